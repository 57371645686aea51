"""One partition of a topic on a real broker: where it begins, what it brings, when it is idle, when it refuses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from config.clock import SECOND
from config.errors import TopicError
from config.kafka import Kafka, client_config
from config.kafka_start import Start
from config.settings import load
from dataflows.kafka_source import KafkaPartition
from dataflows.kafka_watch import BrokerWatch
from operators.batch import RawBatch
from operators.channel import Position, record_digest
from tests.support.kafka import Broker

PATIENCE_S = 30.0


@dataclass
class Read:
    """What a partition brought, and the position after it."""

    offsets: list[int] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    batches: list[RawBatch] = field(default_factory=list)


class Opened:
    """A partition that was opened."""

    def __init__(self, reader: KafkaPartition, left: Position) -> None:
        self.reader = reader
        self.began = reader.open(left)
        self.position = self.began
        self._closed = False

    def close(self) -> None:
        """Let go of it, if that was not done before."""
        if not self._closed:
            self._closed = True
            self.reader.close()

    def read(self, count: int) -> Read:
        """Read until so many records came."""
        found, deadline = Read(), time.monotonic() + PATIENCE_S
        while len(found.offsets) < count:
            assert time.monotonic() < deadline, f"only {len(found.offsets)} of {count} records came"
            self._step(found)
        return found

    def read_to_the_end(self) -> Read:
        """Read until the partition is idle."""
        found, deadline = Read(), time.monotonic() + PATIENCE_S
        while self.reader.silent_until(self.position.next_offset) is None:
            assert time.monotonic() < deadline, "the partition did not become idle"
            self._step(found)
        return found

    def _step(self, found: Read) -> None:
        batch = self.reader.read(self.position.next_offset, 1000)
        if len(batch):
            found.offsets += batch.offsets
            found.values += batch.values
            found.batches.append(batch)
            digest = record_digest(batch.keys[-1], batch.values[-1])
            self.position = Position(batch.offsets[-1] + 1, digest, self.began.origin, True)
        else:
            time.sleep(0.005)


Open = Callable[..., Opened]


@pytest.fixture
def settings(kafka: Broker) -> Kafka:
    return load(None, {"FORESTALL_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "FORESTALL_KAFKA_GROUP_ID": "g"}).kafka


@pytest.fixture
def open_partition(settings: Kafka) -> Iterator[Open]:
    opened: list[Opened] = []

    def made(topic: str, start: str = "earliest", left: Position | None = None, idle_s: float = 0.2) -> Opened:
        watch = BrokerWatch(client_config(settings))
        reader = KafkaPartition(
            settings, f"{topic}/0", Start.parse(start), timedelta(seconds=idle_s), watch, lambda: False
        )
        opened.append(Opened(reader, left or Position()))
        return opened[-1]

    yield made
    for each in opened:
        each.close()


def committed(kafka: Broker, topic: str) -> int:
    consumer = Consumer(kafka.client(group_id="g"))
    try:
        (found,) = consumer.committed([TopicPartition(topic, 0)], timeout=10)
        return int(found.offset)
    finally:
        consumer.close()


# -- what it brings ----------------------------------------------------------------------------------------------------


def test_records_come_as_they_are_in_order_and_only_once(kafka: Broker, open_partition: Open) -> None:
    topic = kafka.topic()
    producer = Producer(kafka.client())
    producer.produce(topic, b"one", b"k", timestamp=1_700_000_000_123, headers=[("a", b"1"), ("b", None)])
    producer.produce(topic, None, b"k", timestamp=1_700_000_000_124)
    producer.produce(topic, b"", None, timestamp=1_700_000_000_125)
    assert producer.flush(10) == 0
    (batch,) = open_partition(topic).read_to_the_end().batches
    assert (batch.topic, batch.partition, list(batch.offsets)) == (topic, 0, [0, 1, 2])
    assert list(batch.timestamps) == [1_700_000_000_123, 1_700_000_000_124, 1_700_000_000_125]
    assert (list(batch.keys), list(batch.values)) == ([b"k", b"k", None], [b"one", None, b""])
    assert (batch.keys[-1], batch.values[0:2]) == (None, [b"one", None])
    assert batch.headers == [[("a", b"1"), ("b", None)], [], []]


def test_a_batch_without_headers_has_none(kafka: Broker, open_partition: Open) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [b"one"])
    assert open_partition(topic).read(1).batches[0].headers == []


def test_reading_goes_on_after_the_last_record_that_was_taken(kafka: Broker, open_partition: Open) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [b"%d" % n for n in range(50)])
    first = open_partition(topic).read(50)
    left = Position(20, record_digest(None, b"19"), open_partition(topic).began.origin, True)
    assert open_partition(topic, left=left).read(30).values == first.values[20:]


def test_records_of_aborted_transactions_stay_unseen_and_marks_leave_holes(kafka: Broker, open_partition: Open) -> None:
    topic = kafka.topic()
    producer = Producer(kafka.client(transactional_id=topic))
    producer.init_transactions(10)
    for value, keep in ((b"kept", True), (b"gone", False), (b"kept too", True)):
        producer.begin_transaction()
        producer.produce(topic, value)
        assert producer.flush(10) == 0
        producer.commit_transaction(10) if keep else producer.abort_transaction(10)
    read = open_partition(topic).read_to_the_end()
    assert (read.offsets, read.values) == ([0, 4], [b"kept", b"kept too"])


def test_a_compacted_partition_has_holes_and_is_continued_though_the_last_record_is_gone(
    kafka: Broker, open_partition: Open
) -> None:
    topic = kafka.topic(
        cleanup_policy="compact", segment_ms=100, min_cleanable_dirty_ratio=0.01, max_compaction_lag_ms=100
    )
    kafka.produce(topic, [b"a", b"b", b"c"], keys=[b"1", b"2", b"1"])
    opened = open_partition(topic)
    assert opened.read(3).values == [b"a", b"b", b"c"]
    left = opened.position
    deadline = time.monotonic() + PATIENCE_S
    offsets = [0]
    while 2 in offsets or 0 in offsets:  # the newest segment is never compacted: push it on
        assert time.monotonic() < deadline, f"the broker did not compact {offsets}"
        time.sleep(0.3)
        kafka.produce(topic, [b"z"], keys=[b"1"])
        offsets = open_partition(topic, "earliest").read_to_the_end().offsets
    resumed = open_partition(topic, left=left).read_to_the_end()
    # It goes on being compacted meanwhile, but the newest record of a key stays.
    assert set(resumed.offsets) <= {offset for offset in offsets if offset > 2}
    assert resumed.offsets[-1] == offsets[-1]


# -- where it begins ---------------------------------------------------------------------------------------------------


@pytest.fixture
def ten(kafka: Broker) -> str:
    topic = kafka.topic()
    kafka.produce(topic, [b"%d" % n for n in range(10)], timestamps=[1_700_000_000_000 + n * 1000 for n in range(10)])
    return topic


@pytest.mark.parametrize(
    ("start", "first"),
    [
        ("earliest", 0),
        ("latest", 10),
        ("committed", 0),
        ("2023-11-14T22:13:23.5Z", 4),
        ("2023-11-14T22:13:23Z", 3),
        ("2030-01-01T00:00:00Z", 10),
    ],
)
def test_a_partition_without_state_begins_where_the_settings_say(
    ten: str, open_partition: Open, start: str, first: int
) -> None:
    opened = open_partition(ten, start)
    assert opened.began.next_offset == first
    assert opened.read_to_the_end().offsets == list(range(first, 10))


def test_a_group_that_has_committed_is_followed(kafka: Broker, ten: str, open_partition: Open) -> None:
    opened = open_partition(ten)
    opened.reader.publish(7)
    deadline = time.monotonic() + PATIENCE_S
    while committed(kafka, ten) != 7:
        assert time.monotonic() < deadline
        opened.reader.read(0, 1)
    assert open_partition(ten, "committed").began.next_offset == 7


def test_the_last_progress_is_told_to_the_group_though_nothing_follows(
    kafka: Broker, ten: str, open_partition: Open
) -> None:
    opened = open_partition(ten)
    opened.read_to_the_end()
    opened.reader.publish(7)
    opened.reader.publish(10)  # too soon after the one before
    deadline = time.monotonic() + PATIENCE_S
    while committed(kafka, ten) != 10:
        assert time.monotonic() < deadline
        opened.reader.publish(10)  # as the source does with each look
        opened.reader.read(10, 1)


def test_marks_of_transactions_at_the_end_are_no_lag(kafka: Broker, open_partition: Open) -> None:
    topic = kafka.topic()
    producer = Producer(kafka.client(transactional_id=topic))
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, value=b"x", partition=0)
    producer.commit_transaction(10)
    opened = open_partition(topic)
    assert opened.read_to_the_end().offsets == [0]
    deadline = time.monotonic() + PATIENCE_S
    while committed(kafka, topic) != 2:  # the mark is at offset 1
        assert time.monotonic() < deadline
        opened.reader.publish(1)
        opened.reader.read(1, 1)


@pytest.mark.parametrize("resumed", [False, True])
def test_marks_at_the_end_are_no_lag_of_a_partition_that_may_not_be_read(
    kafka: Broker, open_partition: Open, resumed: bool
) -> None:
    topic = kafka.topic()
    producer = Producer(kafka.client(transactional_id=topic))
    producer.init_transactions(10)
    for commit in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        producer.produce(topic, value=b"x", partition=0)
        assert producer.flush(10) == 0
        commit(10)
    opened = open_partition(topic)
    opened.read(1)
    if resumed:
        opened = open_partition(topic, left=opened.position)
    deadline = time.monotonic() + PATIENCE_S
    while committed(kafka, topic) != 4:
        assert time.monotonic() < deadline
        opened.reader.publish(1)
        time.sleep(0.1)
    kafka.produce(topic, [b"y"])
    assert opened.read(1).values == [b"y"]


def test_a_partition_that_was_never_opened_takes_nothing_back(
    kafka: Broker, ten: str, settings: Kafka, open_partition: Open
) -> None:
    opened = open_partition(ten)
    opened.read_to_the_end()
    deadline = time.monotonic() + PATIENCE_S
    while committed(kafka, ten) != 10:
        assert time.monotonic() < deadline
        opened.reader.publish(10)
        opened.reader.read(10, 1)
    watch = BrokerWatch(client_config(settings))
    stopped = KafkaPartition(settings, f"{ten}/0", Start.parse("earliest"), timedelta(seconds=1), watch, lambda: True)
    stopped.open(Position(7, "", "", True))
    stopped.publish(7)
    stopped.close()
    assert committed(kafka, ten) == 10


def test_a_resumed_partition_takes_nothing_back_before_it_has_met_the_end_again(
    kafka: Broker, open_partition: Open
) -> None:
    topic = kafka.topic()
    producer = Producer(kafka.client(transactional_id=topic))
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, value=b"x", partition=0)
    producer.commit_transaction(10)
    opened = open_partition(topic)
    opened.read_to_the_end()
    deadline = time.monotonic() + PATIENCE_S
    while committed(kafka, topic) != 2:  # the mark is at offset 1
        assert time.monotonic() < deadline
        opened.reader.publish(1)
        opened.reader.read(1, 1)
    resumed = open_partition(topic, left=opened.position)
    resumed.reader.publish(1)  # nothing has come yet
    resumed.close()
    assert committed(kafka, topic) == 2


def test_records_met_in_looking_for_the_end_are_read(kafka: Broker, open_partition: Open) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [b"a"])
    opened = open_partition(topic)
    opened.read(1)
    opened.reader.publish(1)
    kafka.produce(topic, [b"b", b"c"])
    for _ in range(20):
        opened.reader.publish(1)
        time.sleep(0.05)
    assert opened.read(2).values == [b"b", b"c"]


def test_what_is_asked_about_a_further_topic_is_answered_at_once(kafka: Broker, settings: Kafka) -> None:
    first, second = kafka.topic(), kafka.topic(3)
    watch, began = BrokerWatch(client_config(settings)), time.monotonic()
    watch.topic(first)
    while (found := watch.topic(second)) is None:
        assert time.monotonic() - began < 5
        time.sleep(0.01)
    assert found[1] == 3


def test_state_counts_and_not_the_settings_nor_the_group(ten: str, open_partition: Open) -> None:
    origin = open_partition(ten).began.origin
    assert open_partition(ten, "latest", Position(0, "", origin, True)).began.next_offset == 0


def test_a_partition_that_began_at_its_end_is_not_begun_again_there(
    kafka: Broker, ten: str, open_partition: Open
) -> None:
    left = open_partition(ten, "latest").began
    kafka.produce(ten, [b"10"])
    assert open_partition(ten, "latest", left).read(1).values == [b"10"]


# -- silence -----------------------------------------------------------------------------------------------------------


def test_an_empty_partition_is_idle_after_the_timeout(kafka: Broker, open_partition: Open) -> None:
    before = time.time_ns() // 1000
    opened = open_partition(kafka.topic(), idle_s=0.5)
    assert opened.reader.silent_until(0) is None
    opened.read_to_the_end()
    silent = opened.reader.silent_until(0)
    assert silent is not None
    assert before + 0.4 * SECOND < silent <= time.time_ns() // 1000


def test_a_partition_with_an_open_transaction_is_not_idle(kafka: Broker, open_partition: Open) -> None:
    topic = kafka.topic()
    producer = Producer(kafka.client(transactional_id=topic))
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, b"open")
    assert producer.flush(10) == 0
    opened = open_partition(topic)
    until = time.monotonic() + 2
    while time.monotonic() < until:
        assert not len(opened.reader.read(0, 10))
        assert opened.reader.silent_until(0) is None
    producer.commit_transaction(10)
    assert opened.read_to_the_end().values == [b"open"]


def test_a_partition_that_was_idle_is_so_at_once_after_a_restart(kafka: Broker, open_partition: Open) -> None:
    topic = kafka.topic()
    origin = open_partition(topic).began.origin
    opened = open_partition(topic, left=Position(0, "", origin, True, idle=True), idle_s=3600)
    assert opened.read_to_the_end().offsets == []


def test_a_partition_with_records_not_read_yet_is_not_idle(kafka: Broker, ten: str, open_partition: Open) -> None:
    opened = open_partition(ten, idle_s=0.0)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        assert opened.reader.silent_until(0) is None
        time.sleep(0.05)


# -- what it refuses ---------------------------------------------------------------------------------------------------


def delete_until(kafka: Broker, topic: str, offset: int) -> None:
    admin = kafka.admin()
    admin.delete_records([TopicPartition(topic, 0, offset)])[TopicPartition(topic, 0)].result(10)


def test_records_deleted_before_they_were_read_stop_the_job_at_its_start(
    kafka: Broker, ten: str, open_partition: Open
) -> None:
    left = Position(3, "x", open_partition(ten).began.origin, True)
    delete_until(kafka, ten, 6)
    with pytest.raises(
        TopicError, match=rf"{ten}/0: offset 3 is not there any more, the first one left is 6"
    ) as caught:
        open_partition(ten, left=left)
    assert "retention" in caught.value.remedy


def test_records_deleted_while_the_job_reads_stop_it(kafka: Broker, open_partition: Open) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [b"x" * 1000] * 30_000)
    opened = open_partition(topic)
    delete_until(kafka, topic, 29_990)
    with pytest.raises(TopicError, match="the first one left is 29990: records were deleted before they were read"):
        opened.read(30_000)


def test_nothing_is_missed_when_only_what_was_read_is_deleted(kafka: Broker, ten: str, open_partition: Open) -> None:
    left = Position(6, record_digest(None, b"5"), open_partition(ten).began.origin, True)
    delete_until(kafka, ten, 6)
    assert open_partition(ten, left=left).read_to_the_end().offsets == [6, 7, 8, 9]


def test_a_topic_made_anew_is_refused_at_the_start(kafka: Broker, ten: str, open_partition: Open) -> None:
    left = open_partition(ten).began
    kafka.delete(ten)
    kafka.create(ten)
    with pytest.raises(TopicError, match=f"{ten}/0: the topic was deleted and made anew since offset 0 was reached"):
        open_partition(ten, left=left)


def test_a_topic_made_anew_while_the_job_reads_stops_it(
    kafka: Broker, ten: str, open_partition: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflows.kafka_watch.TOPICS_EVERY_S", 0.2)
    opened = open_partition(ten)
    opened.read(10)
    kafka.delete(ten)
    kafka.create(ten)
    with pytest.raises(TopicError, match="made anew"):
        opened.read(1)


def test_a_topic_that_is_deleted_stops_the_job_after_a_while(
    kafka: Broker, ten: str, open_partition: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflows.kafka_watch.TOPICS_EVERY_S", 0.2)
    monkeypatch.setattr("dataflows.kafka_faults.GONE_S", 1.0)
    opened = open_partition(ten)
    opened.read(10)
    kafka.delete(ten)
    with pytest.raises(TopicError, match=f"{ten}/0 is gone"):
        opened.read(1)


def test_another_record_where_reading_stopped_is_refused(ten: str, open_partition: Open) -> None:
    left = Position(5, record_digest(None, b"another"), open_partition(ten).began.origin, True)
    with pytest.raises(TopicError, match="offset 4 is not the record that was read before"):
        open_partition(ten, left=left).read(1)


def test_a_partition_shorter_than_what_was_read_is_refused(ten: str, open_partition: Open) -> None:
    left = Position(11, "x", open_partition(ten).began.origin, True)
    with pytest.raises(TopicError, match="ends at offset 10, the recovery folder goes on at 11"):
        open_partition(ten, left=left)


# -- brokers that go away ----------------------------------------------------------------------------------------------


def test_a_broker_that_is_away_is_waited_for_and_noted(
    kafka: Broker, ten: str, open_partition: Open, capfd: pytest.CaptureFixture[str]
) -> None:
    if not kafka.may_be_killed:
        pytest.skip("the broker is not ours to kill")
    opened = open_partition(ten)
    opened.read(10)
    kafka.kill()
    try:
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert not len(opened.reader.read(10, 10))
            assert opened.reader.silent_until(10) is None or time.monotonic() < until - 3.5
            time.sleep(0.05)
    finally:
        kafka.restart()
    kafka.produce(ten, [b"back"])
    assert opened.read(1).values == [b"back"]
    notes = capfd.readouterr().err
    assert f"{ten}/0: no broker serves it now, waiting" in notes
    assert f"{ten}/0: served again after" in notes
