"""Outputs on topics whose writer is killed, stopped or cut off at every step; and that these tests notice."""

from __future__ import annotations

import random
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from confluent_kafka import Producer

from config.errors import BrokerError, SequenceError
from sinks.chain import Entry
from sinks.topic import TopicPart
from sinks.topic_progress import Progress
from sinks.transaction import TopicOutputs, send
from tests.support.faulty_producer import FaultyProducer, Once, swallow
from tests.support.kafka import Broker
from tests.support.topic_releases import EXIT_FAILED, POINTS, start
from tests.support.topics import PART, entries, fresh_outputs, heads, judged

pytestmark = pytest.mark.slow

SHORT = timedelta(seconds=1)


def test_every_output_is_there_once_though_the_writer_is_killed_at_every_step(kafka: Broker) -> None:
    outputs, count = fresh_outputs(kafka, SHORT), 10 * len(POINTS)
    for point in POINTS:
        # What comes before belongs to the opening of the part, the rest to a release.
        nth = 1 if point == "released" else 2 if point in ("looking", "looked") else 3
        code, said = start(outputs, count, 5, point=point, nth=nth).end()
        assert code == -signal.SIGKILL, f"{point}: {said}"
    code, said = start(outputs, count, 50).end()
    assert code == 0, said
    assert judged(kafka, outputs, entries(count)) == []


def test_every_output_is_there_once_though_the_writer_is_killed_at_any_moment(kafka: Broker) -> None:
    outputs, rng, kills = fresh_outputs(kafka, SHORT), random.Random(7), 0
    for _ in range(12):
        child = start(outputs, 4_000, 20)
        child.wait_for("open")
        time.sleep(rng.uniform(0.0, 1.5))
        child.kill()
        kills += child.end()[0] == -signal.SIGKILL
    code, said = start(outputs, 4_000, 2_000).end()
    assert code == 0, said
    assert kills > 8
    assert judged(kafka, outputs, entries(4_000)) == []


def test_writer_that_wakes_up_after_another_took_over_stops_and_changes_nothing(kafka: Broker) -> None:
    outputs, count = fresh_outputs(kafka, SHORT), 400
    zombie = start(outputs, count, 4)
    zombie.wait_for("released")
    time.sleep(0.1)
    zombie.signal(signal.SIGSTOP)
    time.sleep(3)
    owner = start(outputs, count, 100)
    owner.wait_for("released")
    zombie.signal(signal.SIGCONT)
    code, said = zombie.end()
    assert (code, "FENCED: sink part part-000" in said) == (EXIT_FAILED, True), said
    code, said = owner.end()
    assert code == 0, said
    assert judged(kafka, outputs, entries(count)) == []


@pytest.mark.parametrize("step", ["produced", "flushed", "committed"])
def test_broker_that_is_killed_and_comes_back_amid_a_release(kafka: Broker, step: str) -> None:
    if not kafka.may_be_killed:
        pytest.skip("the broker of FORESTALL_TEST_KAFKA is not ours to kill")
    outputs, made = fresh_outputs(kafka), entries(30)
    gone = threading.Event()

    def cut(producer: FaultyProducer) -> None:
        kafka.kill()
        gone.set()

    part = TopicPart(outputs, PART, 0, Once(step, cut, nth=3).make)
    part.open(0, heads([]))
    part.release(made[:10])
    hung: list[BrokerError] = []

    def release() -> None:
        try:
            part.release(made)
        except BrokerError as error:
            hung.append(error)

    releasing = threading.Thread(target=release)
    releasing.start()
    assert gone.wait(30)
    kafka.start()
    releasing.join(120)
    part.close()
    for error in hung:
        abort_as_told(kafka, error)
        hung.extend(reopen(outputs, made))
    assert judged(kafka, outputs, made) == []


def abort_as_told(kafka: Broker, error: BrokerError) -> None:
    """Do what an operator is told to do about a transaction that hangs.

    A single broker that comes back before its death was noticed may confirm a commit, and then forget to tell the
    partitions. Nothing but an operator's hand ends such a transaction, and then nothing may be lost.
    """
    aborts = re.findall(r"abort (--topic \S+ --partition \d+ --start-offset \d+)", error.remedy)
    assert aborts, error
    for abort in aborts:
        kafka.command("TransactionsCommand", "abort", *abort.split())


def reopen(outputs: TopicOutputs, made: list[Entry]) -> list[BrokerError]:
    """Go on as the next run does; it may meet the same transaction in another partition."""
    part = TopicPart(outputs, PART, 0)
    try:
        part.open(0, heads(made))
        part.release(made)
    except BrokerError as error:
        return [error]
    finally:
        part.close()
    return []


# Controls: each takes one safeguard away, and has to find what comes of it.


def test_control_without_transactions_outputs_come_twice(kafka: Broker) -> None:
    outputs, made = fresh_outputs(kafka), entries(20)
    code, said = start(outputs, 20, 5, point="flushed", nth=3, plain=True).end()
    assert code == -signal.SIGKILL, said
    code, said = start(outputs, 20, 20, plain=True).end()
    assert code == 0, said
    assert any(each.startswith("twice") for each in judged(kafka, outputs, made))


class Trusting(TopicPart):
    """Believes the commit, and reads nothing back."""

    def _transact(self, entries: Sequence[Entry], target: Progress, deadline: float) -> None:
        assert self._producer is not None
        send(self._producer, self._outputs, self.part, entries, self._place, target.encode())
        self._renew(deadline)
        self._progress = target


def test_control_without_reading_back_outputs_are_lost(kafka: Broker) -> None:
    outputs, made = fresh_outputs(kafka), entries(12)
    part = Trusting(outputs, PART, 0, Once("flushed", swallow, nth=2).make)
    part.open(0, heads([]))
    part.release(made[:6])
    part.release(made)
    part.close()
    assert [each.partition(":")[0] for each in judged(kafka, outputs, made)] == ["lost"] * 6


def released_before_it_was_durable(kafka: Broker, reopen: Callable[[TopicPart, list[Entry]], None]) -> list[str]:
    """Release outputs that a crash then takes back: the run after it makes others in their place."""
    outputs, kept = fresh_outputs(kafka), entries(5)
    part = TopicPart(outputs, PART, 0, Producer)
    part.open(0, heads(kept))
    part.release([*kept, *entries(3, since=kept, padding=1)])
    part.close()
    again = [*kept, *entries(4, since=kept, padding=2)]
    part = TopicPart(outputs, PART, 0, Producer)
    try:
        reopen(part, again)
        part.release(again)
    finally:
        part.close()
    return judged(kafka, outputs, again)


def test_output_released_before_it_was_durable_stops_the_next_run(kafka: Broker) -> None:
    with pytest.raises(SequenceError, match="TIME TRAVEL: sink part part-000 is at 8 in the topics"):
        released_before_it_was_durable(kafka, lambda part, again: part.open(0, heads(again[:5])))
    with pytest.raises(SequenceError, match="CHAIN: sink part part-000, entry 8"):
        released_before_it_was_durable(kafka, lambda part, again: part.open(0, heads(again)))


def test_control_without_comparing_outputs_of_two_histories_are_mixed(
    kafka: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unguarded(*arguments: Any) -> None:
        pass

    monkeypatch.setattr("sinks.topic.check_continues", unguarded)
    found = released_before_it_was_durable(kafka, lambda part, again: part.open(0, heads(again)))
    assert {each.partition(":")[0] for each in found} == {"altered"}
