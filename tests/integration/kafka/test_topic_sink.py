"""Outputs on topics of a real broker: each once, whoever and whatever comes in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from confluent_kafka import Producer

from config.errors import BrokerError, FencedError, SequenceError, TopicError
from sinks.chain import GENESIS, Entry, link
from sinks.topic import TopicPart
from sinks.transaction import TopicOutputs
from tests.support.faulty_producer import STEPS, FaultyProducer, Once, fail, sleep, swallow
from tests.support.kafka import Broker
from tests.support.topics import PART, entries, fresh_outputs, heads, judged, read, to

pytestmark = pytest.mark.slow

Open = Callable[..., TopicPart]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens parts, and closes them when the test is over."""
    parts = []

    def open_part(outputs: TopicOutputs, made: list[Entry] | None = None, make: Any = Producer) -> TopicPart:
        part = TopicPart(outputs, PART, 0, make)
        parts.append(part)
        part.open(0, heads(made or []))
        return part

    yield open_part
    for part in parts:
        part.close()


def test_outputs_arrive_once_in_order_and_carry_their_chain(kafka: Broker, opened: Open) -> None:
    outputs, made = fresh_outputs(kafka), entries(25)
    part = opened(outputs)
    part.release(made[:10])
    part.release(made[5:20])
    part.release(made)
    part.release(made)
    assert part.seq == 25
    found = read(kafka, outputs.by_kind.values())
    assert judged(kafka, outputs, made) == []
    assert {record.headers["ce_specversion"] for record in found} == {"1.0"}
    assert {record.headers["ce_source"] for record in found} == {
        f"/forestall/{outputs.job}/{kind}" for kind in ("finding", "case", "decision")
    }
    head = GENESIS
    for entry in sorted((record.entry for record in found), key=lambda entry: entry.seq):
        head = link(head, PART, entry.seq, entry.type, entry.id, entry.at, entry.key, entry.body)
        assert head == entry.chain


def test_release_with_a_hole_is_refused_and_writes_nothing(kafka: Broker, opened: Open) -> None:
    outputs, made = fresh_outputs(kafka), entries(5)
    with pytest.raises(SequenceError, match=r"part-000: the topics are at 0, the release goes on at 2"):
        opened(outputs).release(made[1:])
    assert read(kafka, outputs.by_kind.values()) == []


def test_recovered_state_has_to_continue_the_topics(kafka: Broker, opened: Open) -> None:
    outputs, made = fresh_outputs(kafka), entries(9)
    opened(outputs).release(made[:6])
    part = TopicPart(outputs, PART, 0)
    with pytest.raises(SequenceError, match=r"TIME TRAVEL: sink part part-000 is at 6 in the topics.* only at 4"):
        part.open(0, heads(made[:4]))
    with pytest.raises(SequenceError, match=r"GAP: .*is at 6 in the topics.*begins after 8"):
        part.open(8, [made[7].chain])
    with pytest.raises(SequenceError, match=r"CHAIN: sink part part-000, entry 6: the topics and recovered state"):
        part.open(0, heads(entries(9, part="another")))
    part.open(3, [made[2].chain, *(entry.chain for entry in made[3:])])
    part.release(made[3:])
    part.close()
    assert judged(kafka, outputs, made) == []


def test_two_parts_share_topics_and_keep_apart(kafka: Broker) -> None:
    outputs = fresh_outputs(kafka)
    both = {name: entries(12, part=name) for name in ("part-000", "part-001")}
    parts = [TopicPart(outputs, name, number) for number, name in enumerate(both)]
    for part in parts:
        part.open(0, [GENESIS])
    for upto in (5, 12):
        for part in parts:
            part.release(both[part.part][:upto])
    for part in parts:
        part.close()
    found = read(kafka, outputs.by_kind.values())
    assert sorted((record.part, record.seq) for record in found) == [(name, n + 1) for name in both for n in range(12)]


def test_leftover_of_an_earlier_run_is_fenced_and_its_successor_goes_on(kafka: Broker, opened: Open) -> None:
    outputs, made = fresh_outputs(kafka), entries(12)
    zombie = opened(outputs)
    zombie.release(made[:4])
    owner = opened(outputs, made[:6])
    with pytest.raises(FencedError, match="FENCED: sink part part-000 was opened with fence 1, the topics now have 2"):
        zombie.release(made[:6])
    owner.release(made[:8])
    with pytest.raises(FencedError):
        zombie.release(made)
    owner.release(made)
    assert judged(kafka, outputs, made) == []


def test_who_opens_a_part_whose_owner_goes_on_is_fenced(kafka: Broker, opened: Open) -> None:
    outputs, made = fresh_outputs(kafka), entries(6)
    owner = opened(outputs)

    class Late(TopicPart):
        """One that stood still after it had looked."""

        def _transact(self, *arguments: Any) -> None:
            owner.release(made)
            super()._transact(*arguments)

    late = Late(outputs, PART, 0)
    with pytest.raises(FencedError, match="FENCED: sink part part-000"):
        late.open(0, [GENESIS])
    late.close()
    assert judged(kafka, outputs, made) == []


def test_transaction_that_a_leftover_has_begun_is_undone(kafka: Broker, opened: Open) -> None:
    outputs, made = fresh_outputs(kafka), entries(8)
    reached, go = threading.Event(), threading.Event()

    def hang(producer: FaultyProducer) -> None:
        reached.set()
        go.wait(30)

    zombie, fate = opened(outputs, make=Once("flushed", hang, nth=2).make), list[BaseException]()

    def release() -> None:
        try:
            zombie.release(made)
        except FencedError as error:
            fate.append(error)

    thread = threading.Thread(target=release)
    thread.start()
    assert reached.wait(30)
    assert len(read(kafka, [outputs.by_kind["case"]], "read_uncommitted")) > 0
    owner = opened(outputs, made[:5])
    owner.release(made[:5])
    go.set()
    thread.join(60)
    assert len(fate) == 1
    owner.release(made)
    assert judged(kafka, outputs, made) == []


def test_two_who_take_a_part_over_at_once_do_not_both_believe_it(kafka: Broker, opened: Open) -> None:
    outputs, made = fresh_outputs(kafka), entries(6)
    opened(outputs).release(made[:2])

    def overtake(producer: FaultyProducer) -> None:
        owners.append(opened(outputs, made[:4]))

    owners: list[TopicPart] = []
    loser = TopicPart(outputs, PART, 0, Once("began", overtake).make)
    with pytest.raises(FencedError):
        loser.open(0, heads(made[:4]))
    loser.close()
    owners[0].release(made)
    assert judged(kafka, outputs, made) == []


def test_transaction_that_times_out_is_made_again(kafka: Broker, opened: Open) -> None:
    outputs, made = fresh_outputs(kafka, timedelta(seconds=1)), entries(8)
    late = Once("flushed", sleep(4), nth=2)
    part = opened(outputs, make=late.make)
    part.release(made)
    assert late.done
    assert judged(kafka, outputs, made) == []


@pytest.mark.parametrize("step", STEPS)
def test_call_that_fails_is_made_good_wherever_it_is(kafka: Broker, opened: Open, step: str) -> None:
    outputs, made = fresh_outputs(kafka), entries(12)
    fault = Once(step, fail, nth=3)
    part = opened(outputs, make=fault.make)
    part.release(made[:5])
    part.release(made)
    assert fault.done
    assert judged(kafka, outputs, made) == []


def test_commit_that_is_confirmed_and_lost_is_found_by_reading_back(kafka: Broker, opened: Open) -> None:
    outputs, made = fresh_outputs(kafka), entries(8)
    lost = Once("flushed", swallow, nth=2)
    part = opened(outputs, make=lost.make)
    part.release(made)
    assert lost.done
    assert judged(kafka, outputs, made) == []


def test_reading_back_waits_for_the_transactions_of_others(kafka: Broker, opened: Open) -> None:
    outputs, made = fresh_outputs(kafka), entries(8)
    other = Producer(kafka.client(transactional_id="other-" + outputs.job, transaction_timeout_ms=60_000))
    other.init_transactions(20)
    other.begin_transaction()
    other.produce(
        outputs.by_kind["case"], b"open", headers=[("forestall-part", b"x"), ("forestall-seq", b"1")], key=b""
    )
    assert other.flush(20) == 0
    part = opened(outputs)
    thread = threading.Thread(target=part.release, args=(made,))
    thread.start()
    thread.join(3)
    assert thread.is_alive()
    assert part.seq == 0
    other.abort_transaction(20)
    thread.join(30)
    assert part.seq == 8
    assert judged(kafka, outputs, made) == []


def test_output_too_large_for_its_topic_goes_without_its_body(kafka: Broker, opened: Open) -> None:
    outputs = fresh_outputs(kafka, max_message_bytes=20_000)
    small = entries(60, padding=1_000)
    large = entries(1, since=small, padding=30_000)
    last = entries(20, since=[*small, *large], padding=1_000)
    part = opened(outputs)
    part.release([*small, *large, *last])
    found = {record.seq: record for record in read(kafka, outputs.by_kind.values())}
    assert sorted(found) == list(range(1, 82))
    assert found[61].value == b""
    assert found[61].headers["ce_dataref"] == f"store:{large[0].kind}/id-61"
    assert found[61].headers["forestall-chain"] == large[0].chain.hex()
    assert all(found[entry.seq].entry == entry for entry in [*small, *last])


def test_more_than_one_transaction_holds_goes_in_several(
    kafka: Broker, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.topic.ENTRIES_MAX", 7)
    monkeypatch.setattr("sinks.topic.BYTES_MAX", 600)
    outputs, made = fresh_outputs(kafka), entries(20, padding=100)
    part = opened(outputs)
    part.release(made)
    assert judged(kafka, outputs, made) == []


def test_topic_that_is_deleted_stops_the_release(kafka: Broker, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, made = fresh_outputs(kafka, timedelta(seconds=1)), entries(8)
    part = opened(outputs)
    kafka.delete(outputs.by_kind["case"])
    monkeypatch.setattr("sinks.topic.PATIENCE_S", 2.0)
    with pytest.raises(TopicError, match=r"part-000: cases-\w+ of \[topics\] is gone"):
        part.release(made)
    assert read(kafka, [outputs.by_kind["finding"]]) == []


def test_brokers_that_are_away_for_too_long_stop_the_release(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.topic.PATIENCE_S", 1.0)
    monkeypatch.setattr("sinks.topic.SLICE_S", 1.0)
    outputs = fresh_outputs(kafka)
    away = to(outputs, client={"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    part = TopicPart(away, PART, 0)
    with pytest.raises(BrokerError, match="nothing could be released to topics for too long") as raised:
        part.open(0, [GENESIS])
    part.close()
    assert raised.value.retry
