"""Publishing outcomes: each once and in order, whatever dies; brokers that are away hold nobody up."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.errors import BrokerError, FencedError, SequenceError
from sinks import outcome_relay
from sinks.chain import GENESIS, Entry
from sinks.continuity import Standing, check_continues
from sinks.ledger import Ledger
from sinks.ledger_shard import OUTCOME, ShardWriter
from sinks.outcome_relay import AGAIN_S, OutcomeRelay
from tests.support.ledgers import outcome


class Topic:
    """A topic that remembers; every part of it begins where it is."""

    def __init__(self) -> None:
        self.there: list[Entry] = []
        self.opened = self.closed = 0
        self.fails: Exception | None = None
        self.dies = False
        """Whether whoever releases is gone before he can tell."""

    def part(self) -> TopicPart:
        return TopicPart(self)


class TopicPart:
    def __init__(self, topic: Topic) -> None:
        self._topic, self.seq = topic, 0

    def open(self, base_seq: int, heads: Sequence[bytes]) -> None:
        if self._topic.fails is not None:
            raise self._topic.fails
        there = self._topic.there
        check_continues("s0", Standing(len(there), there[-1].chain if there else GENESIS), base_seq, heads)
        self._topic.opened += 1
        self.seq = len(there)

    def release(self, entries: Sequence[Entry]) -> None:
        if self._topic.fails is not None:
            raise self._topic.fails
        self._topic.there += [entry for entry in entries if entry.seq > self.seq]
        if self._topic.dies:
            raise SystemExit
        self.seq = len(self._topic.there)

    def close(self) -> None:
        self._topic.closed += 1


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db", create=True) as made:
        yield made


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


class Stage:
    """A shard, its relay, and what the relay notes and takes for the time."""

    def __init__(self, ledger: Ledger, pool: ThreadPoolExecutor, topic: Topic) -> None:
        self.shard = ledger.open_shard("s0")
        self.noted: list[str] = []
        self.now = 0.0
        self.relay = OutcomeRelay(self.shard, topic.part, pool, self.noted.append, lambda: self.now)

    def settled(self) -> None:
        deadline = time.monotonic() + 10
        while not self.relay.go_on():
            assert time.monotonic() < deadline
            time.sleep(0.001)


def tell(shard: ShardWriter, *seqs: int) -> None:
    shard.commit(told=[outcome("a", seq) for seq in seqs])


def test_outcomes_are_published_in_order_and_noted(
    ledger: Ledger, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome_relay, "AHEAD_MAX", 2)
    topic = Topic()
    stage = Stage(ledger, pool, topic)
    assert stage.relay.go_on()
    assert topic.opened == 0
    tell(stage.shard, 1, 2, 3)
    tell(stage.shard, 4, 5)
    stage.settled()
    assert [(entry.seq, entry.type, entry.id) for entry in topic.there] == [(n, OUTCOME, f"a-{n}") for n in range(1, 6)]
    assert (stage.shard.published, ledger.open_shard("s0").published, topic.opened) == (5, 5, 1)
    tell_again = Stage(ledger, pool, topic)
    tell(tell_again.shard, 6)
    tell_again.settled()
    assert [entry.seq for entry in topic.there] == [1, 2, 3, 4, 5, 6]


def test_what_was_published_and_not_noted_is_not_published_again(
    ledger: Ledger, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome_relay, "AHEAD_MAX", 2)
    topic = Topic()
    killed = Stage(ledger, pool, topic)
    tell(killed.shard, 1, 2, 3)
    topic.dies = True
    with pytest.raises(SystemExit):
        killed.settled()
    assert ([entry.seq for entry in topic.there], killed.shard.published) == ([1, 2], 0)
    topic.dies = False
    Stage(ledger, pool, topic).settled()
    assert [entry.seq for entry in topic.there] == [1, 2, 3]


def test_brokers_that_are_away_are_tried_again_later(ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    topic = Topic()
    stage = Stage(ledger, pool, topic)
    topic.fails = BrokerError("no broker", retry=True)
    tell(stage.shard, 1)
    while not stage.noted:
        assert not stage.relay.go_on()
    assert stage.noted == ["outcomes wait in the ledger: no broker"]
    topic.fails = None
    for _ in range(20):
        assert not stage.relay.go_on()
        time.sleep(0.001)
    assert topic.there == []
    stage.now += AGAIN_S
    stage.settled()
    assert ([entry.seq for entry in topic.there], topic.closed) == ([1], 1)


def test_what_no_waiting_mends_stops_the_flow(ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    topic = Topic()
    stage = Stage(ledger, pool, topic)
    tell(stage.shard, 1)
    topic.fails = BrokerError("refused", retry=False)
    with pytest.raises(BrokerError, match="refused"):
        stage.settled()


def test_a_topic_of_another_ledger_is_refused(ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    topic = Topic()
    stage = Stage(ledger, pool, topic)
    tell(stage.shard, 1)
    stage.settled()
    topic.there[-1] = Entry(1, OUTCOME, "b-1", 1, "", b"{}", bytes(31) + b"x")
    stage = Stage(ledger, pool, topic)
    tell(stage.shard, 2)
    with pytest.raises(SequenceError, match="different histories") as raised:
        stage.settled()
    assert "begin with a new ledger" in raised.value.remedy


def test_an_overtaken_flow_notes_nothing(ledger: Ledger, pool: ThreadPoolExecutor) -> None:
    old = Stage(ledger, pool, Topic())
    tell(old.shard, 1)
    newer = ledger.open_shard("s0")
    with pytest.raises(FencedError):
        old.settled()
    assert (newer.published, newer.told) == (0, 1)
