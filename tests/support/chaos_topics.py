"""Topics of a campaign: written, and read as anybody outside would."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar, cast

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from tests.support.kafka import Broker

T = TypeVar("T")

ANSWER_S = 60.0
STEP_S = 0.05
"""Between two stretches that are written slowly."""
DELIVERY_S = 120.0
"""Longer than any outage that a campaign makes."""


class Record(NamedTuple):
    """A record of a topic, written or to be written."""

    topic: str
    partition: int
    timestamp: int
    """Milliseconds since the epoch."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Output(NamedTuple):
    """A committed record of an output topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Topics:
    """Makes, writes and reads topics, past all that befalls the job's own connections."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._client = broker.client()
        self._admin = AdminClient(self._client)
        self._partitions: dict[str, int] = {}
        self._trickle: threading.Thread | None = None
        self._trickled: str | None = None

    def make(self, topics: Mapping[str, int], config: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Make topics, each with so many partitions, and wait until they are there."""
        new = [
            NewTopic(name, num_partitions=count, replication_factor=1, config=dict((config or {}).get(name, {})))
            for name, count in topics.items()
        ]
        for answer in self._admin.create_topics(new).values():
            answer.result(ANSWER_S)
        deadline = time.monotonic() + ANSWER_S
        while not self._are_there(topics):
            if time.monotonic() > deadline:
                raise RuntimeError(f"topics did not appear: {sorted(topics)}")
            time.sleep(0.02)
        self._partitions.update(topics)

    def _are_there(self, topics: Mapping[str, int]) -> bool:
        with suppress(KafkaException):  # beside much else a broker may not answer in time: it is asked again
            return all(self._broker.partitions(name) == count for name, count in topics.items())
        return False

    def delete(self, topics: Sequence[str]) -> None:
        """Delete topics."""
        if not topics:
            return
        for answer in self._admin.delete_topics(list(topics)).values():
            with suppress(KafkaException):
                answer.result(ANSWER_S)

    def write(self, records: Sequence[Record], transactional: Sequence[int] = ()) -> list[int]:
        """Write records in order; return their offsets.

        Args:
            records: What to write.
            transactional: If given, the records are written in transactions of these lengths, each of which is
                preceded by one of the same records that is aborted.
        """
        offsets: dict[int, int] = {}
        if not transactional:
            producer = Producer(self._producer_config())
            _produce(producer, list(enumerate(records)), offsets)
        else:
            own = {"transactional.id": f"input-{os.getpid()}", "message.timeout.ms": 30_000}
            producer = Producer({**self._producer_config(), **own})
            producer.init_transactions(ANSWER_S)
            numbered = list(enumerate(records))
            start = 0
            for length in itertools.cycle(transactional):
                batch = numbered[start : start + length]
                if not batch:
                    break
                producer.begin_transaction()
                _produce(producer, batch[:3], {})
                producer.abort_transaction(ANSWER_S)
                producer.begin_transaction()
                _produce(producer, batch, offsets)
                producer.commit_transaction(ANSWER_S)
                start += length
        return [offsets[number] for number in range(len(records))]

    def trickle(self, records: Sequence[Record], seconds: float, silences: Sequence[float] = ()) -> None:
        """Write records one after the other, whatever befalls the broker meanwhile; do not wait for that.

        Args:
            records: What to write.
            seconds: How long that takes.
            silences: Breaks in between, evenly spread, seconds.
        """
        self._trickled = "not done"
        self._trickle = threading.Thread(target=self._write_slowly, args=(records, seconds, silences), daemon=True)
        self._trickle.start()

    def trickled(self) -> None:
        """Wait until all of `trickle` is there.

        Raises:
            RuntimeError: It did not work, or the broker gave other offsets than 0, 1, 2 … in each partition.
        """
        if self._trickle is not None:
            self._trickle.join(DELIVERY_S)
            self._trickle = None
            if self._trickled is not None:
                raise RuntimeError(f"writing slowly: {self._trickled}")

    def _write_slowly(self, records: Sequence[Record], seconds: float, silences: Sequence[float]) -> None:
        try:
            producer = Producer(self._producer_config())
            offsets: dict[int, int] = {}
            steps = max(int(seconds / STEP_S), 1)
            numbered = list(enumerate(records))
            size = -(-len(records) // steps)
            breaks = {-(-steps * (number + 1) // (len(silences) + 1)): each for number, each in enumerate(silences)}
            for step in range(steps):
                _send(producer, numbered[step * size : (step + 1) * size], offsets)
                time.sleep(STEP_S)
                producer.poll(0)
                time.sleep(breaks.get(step, 0))
            left = producer.flush(DELIVERY_S)
            expected: dict[tuple[str, int], int] = {}
            for number, record in numbered:
                place = (record.topic, record.partition)
                if offsets.get(number) != expected.get(place, 0):
                    raise RuntimeError(f"{left} left; record {number} of {place}: {offsets.get(number)}")
                expected[place] = expected.get(place, 0) + 1
            self._trickled = None
        except BaseException as error:
            self._trickled = repr(error)

    def _producer_config(self) -> dict[str, Any]:
        return {
            **self._client,
            "enable.idempotence": True,
            "linger.ms": 1,
            "message.timeout.ms": int(DELIVERY_S * 1000),
            "message.max.bytes": 4_000_000,
        }

    def read(self, topics: Sequence[str]) -> list[Output]:
        """Return all committed records of topics, up to the true end of each partition."""
        ends = {place: end for place, end in self.ends(topics, committed=False).items() if end}
        found: list[Output] = []
        if not ends:
            return found
        consumer = Consumer(
            {
                **self._client,
                "group.id": "checker",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in ends])
        waiting = dict(ends)
        deadline = time.monotonic() + ANSWER_S * 3
        while waiting:
            if time.monotonic() > deadline:
                raise RuntimeError(f"cannot be read to their end, a transaction is open: {waiting}")
            for message in consumer.consume(10_000, 0.2):
                error, place = message.error(), (str(message.topic()), message.partition() or 0)
                if error is None:
                    pairs = cast(list[tuple[str, bytes]], message.headers() or [])
                    headers = tuple((name, value or b"") for name, value in pairs)
                    found.append(Output(*place, message.offset() or 0, message.key(), message.value(), headers))
                elif error.code() != KafkaError._PARTITION_EOF:
                    continue
                reached = (message.offset() or 0) + (error is None)
                if reached >= waiting.get(place, reached + 1):
                    del waiting[place]
        consumer.close()
        return found

    def ends(self, topics: Sequence[str], *, committed: bool = True) -> dict[tuple[str, int], int]:
        """Return where partitions end: for readers of committed records, or truly."""
        places = self._places(topics)
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED

        def ask() -> dict[tuple[str, int], int]:
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            wanted = dict.fromkeys(places, latest)
            asked = self._admin.list_offsets(wanted, isolation_level=level, request_timeout=ANSWER_S)
            try:
                return {(each.topic, each.partition): int(answer.result().offset) for each, answer in asked.items()}
            except KafkaException:
                self._admin = AdminClient(self._client)  # this one asks for a leader's epoch that is past
                raise

        return _patiently(ask) if places else {}

    def undecided(self, topics: Sequence[str]) -> list[tuple[str, int]]:
        """Return the partitions in which a transaction is open."""
        stable, true = self.ends(topics), self.ends(topics, committed=False)
        return [place for place in true if stable[place] != true[place]]

    def committed(self, group: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        """Return the offsets committed to a consumer group."""
        places = self._places(topics)
        consumer = Consumer({**self._client, "group.id": group, "enable.auto.commit": False})
        try:
            answers = _patiently(lambda: consumer.committed(places, ANSWER_S)) if places else []
        finally:
            consumer.close()
        return {(each.topic, each.partition): each.offset for each in answers if each.offset >= 0}

    def _places(self, topics: Sequence[str]) -> list[TopicPartition]:
        return [TopicPartition(name, number) for name in topics for number in range(self._partitions[name])]


def _patiently(ask: Callable[[], T]) -> T:
    """Ask again while a broker that has just started does not know its place yet."""
    deadline = time.monotonic() + ANSWER_S
    while True:
        try:
            return ask()
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _produce(producer: Producer, batch: Sequence[tuple[int, Record]], offsets: dict[int, int]) -> None:
    wanted = len(offsets) + len(batch)
    _send(producer, batch, offsets)
    left = producer.flush(DELIVERY_S)
    if left or len(offsets) != wanted:
        raise RuntimeError(f"{wanted - len(offsets)} records were not delivered")


def _send(producer: Producer, batch: Sequence[tuple[int, Record]], offsets: dict[int, int]) -> None:
    def report(number: int) -> Callable[[Any, Any], None]:
        def delivered(error: Any, message: Any) -> None:
            if error is None:
                offsets[number] = message.offset()

        return delivered

    for number, record in batch:
        producer.produce(
            record.topic,
            value=record.value,
            key=record.key,
            partition=record.partition,
            timestamp=record.timestamp,
            headers=list(record.headers) or None,
            on_delivery=report(number),
        )
        producer.poll(0)
