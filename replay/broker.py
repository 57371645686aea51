"""Puts a recording back onto topics: bytes, keys, headers, timestamps and order as they were recorded.

Offsets are the broker's: a recording with holes gives records without them, and tombstones and keys make a compacted
topic compact again. Records are written by an idempotent producer, and each delivery is confirmed before the end is
told. What was put there is remembered nowhere else than on the topic, so a topic that holds records is refused; one
that was begun and stopped can be gone on with, if what it holds is the recording's beginning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from config.errors import BrokerError, TopicError, UsageError
from config.kafka import Kafka, client_config
from dataflows.kafka_reach import reach
from replay.broker_log import ASK_S, GATHER_S, Brokers, Key, Log
from replay.columns import header_lists, one_chunk
from replay.manifest import NO_TIMESTAMP
from replay.reader import PartitionReader
from replay.recording import Recording

BATCH = 5_000
FLUSH_S = 0.2
VISIBLE_S = 30.0
TOPIC_CONFIG = {"retention.ms": "-1", "retention.bytes": "-1", "message.timestamp.type": "CreateTime"}
"""Of topics that are made: recorded times are old, and brokers would delete such records within minutes."""

Row = tuple[int, int, str, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Offset, timestamp, its type, key, value, headers."""


@dataclass(frozen=True, kw_only=True)
class Into:
    """How to put a recording onto topics."""

    speed: float | None = None
    """Multiple of real time, by the records' timestamps; None for as fast as possible."""
    append: bool = False
    """Write behind the records that topics hold already."""
    resume: bool = False
    """Go on where an earlier run was stopped: what topics hold must be the recording's beginning."""
    replication: int = -1
    """Replicas of topics that are made; -1 for the brokers' default."""


@dataclass(frozen=True)
class Played:
    """What was put onto topics."""

    created: list[str]
    records: dict[str, int]
    """Records written, by topic."""
    skipped: int
    """Records that were there already."""


class BrokerPlayer:
    """Puts recordings onto topics.

    Args:
        kafka: The connection.
        advance: Called with how many more records were confirmed.
        stopping: Whether to leave off.
    """

    def __init__(
        self,
        kafka: Kafka,
        advance: Callable[[int], None] = lambda records: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._kafka, self._advance, self._stopping = kafka, advance, stopping
        self._failed: KafkaError | None = None
        self._confirmed = 0

    def play(self, recording: Recording, into: Into) -> Played | None:
        """Write all records of a recording; None if it was asked to stop before the end.

        Raises:
            UsageError: A topic holds records, or has other partitions than the recording.
            TopicError: A topic cannot be made.
            BrokerError: The brokers cannot be reached, refuse us, or did not confirm a record.
            RecordingError: The recording is damaged.
        """
        created = self._make_topics(recording, into)
        keys = [(part.topic, part.partition) for part in recording.partitions]
        starts = self._starts(recording, keys, into)
        config = client_config(
            self._kafka,
            enable_idempotence=True,
            acks="all",
            linger_ms=20,
            compression_type="zstd",
            delivery_timeout_ms=120_000,
            queue_buffering_max_messages=100_000,
            message_max_bytes=1_000_000_000,  # how large a record may be is the topic's to say
        )
        producer = Producer(config | {"log_level": 0})
        written = dict.fromkeys((part.topic for part in recording.partitions), 0)
        started, first = time.monotonic(), None
        for stamp, key, row in _in_order(recording, starts):
            first = stamp if first is None else first
            if into.speed is not None:
                self._wait(producer, started + (stamp - first) / 1000 / into.speed)
            if self._stopping():
                break
            self._produce(producer, key, row)
            written[key[0]] += 1
        self._settle(producer)
        if self._stopping():
            return None
        return Played(created, written, sum(parts for parts in starts.values()))

    # -- topics ----------------------------------------------------------------------------------------------------

    def _make_topics(self, recording: Recording, into: Into) -> list[str]:
        metadata = reach(self._kafka)
        counts: dict[str, int] = {}
        for part in recording.partitions:
            counts[part.topic] = max(counts.get(part.topic, 0), part.partition + 1)
        found = {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}
        fewer = [f"{name} has {found[name]}" for name in counts if name in found and found[name] < counts[name]]
        if fewer:
            raise UsageError(
                f"too few partitions: topic {', '.join(fewer)}; the recording has "
                f"{', '.join(f'{name} {counts[name]}' for name in counts)}.",
                remedy="Name other brokers, or remove the topic.",
            )
        missing = [name for name in counts if name not in found]
        if not missing:
            return []
        admin = AdminClient(client_config(self._kafka) | {"log_level": 0})
        made = admin.create_topics(
            [NewTopic(name, counts[name], into.replication, config=TOPIC_CONFIG) for name in missing]
        )
        for name, future in made.items():
            try:
                future.result(ASK_S)
            except KafkaException as error:
                raise TopicError(
                    f"topic {name} cannot be made: {error.args[0].str()}.",
                    remedy="Make it yourself, with the partitions of the recording, or grant Create on it.",
                ) from None
        deadline = time.monotonic() + VISIBLE_S
        while any(name not in reach(self._kafka).topics for name in missing):
            if time.monotonic() > deadline:
                raise BrokerError(f"topics {', '.join(missing)} were made and do not appear.", remedy="Try again.")
            time.sleep(0.1)
        return missing

    def _starts(self, recording: Recording, keys: list[Key], into: Into) -> dict[Key, int]:
        """Return how many records of each partition are on the topic already."""
        brokers = Brokers(self._kafka)
        self._check_retention(recording, brokers)
        low, high = brokers.beginnings(keys), brokers.ends(keys)
        held = {key: high[key] - low[key] for key in keys}
        if into.resume:
            return {key: self._matching(recording, key, low[key], high[key]) if held[key] else 0 for key in keys}
        full = [f"{topic}/{partition}" for (topic, partition), count in held.items() if count]
        if full and not into.append:
            raise UsageError(
                f"topics hold records: {', '.join(full)}.",
                remedy="Name other brokers, remove the topics, write behind the records with --append, or go on with "
                "what was stopped with --resume.",
            )
        return dict.fromkeys(keys, 0)

    def _check_retention(self, recording: Recording, brokers: Brokers) -> None:
        """Refuse topics that would delete recorded records for their age."""
        now_ms, kept = time.time_ns() // 1_000_000, brokers.retention_ms(list(recording.manifest.topics))
        old = {
            part.topic
            for part in recording.partitions
            if part.min_timestamp > 0 and 0 <= kept.get(part.topic, -1) < now_ms - part.min_timestamp
        }
        if old:
            raise UsageError(
                f"{', '.join(sorted(old))}: retention.ms is shorter than the recorded records are old: they would be "
                "deleted within minutes.",
                remedy="Set retention.ms=-1 on the topic, or remove it: then it is made so.",
            )

    def _matching(self, recording: Recording, key: Key, low: int, high: int) -> int:
        """Return how many records a partition holds, which must be the recording's first."""
        count, log = 0, Log(self._kafka, {key: low}, committed=False)
        rows = _rows(recording.reader(*key))
        at = low
        try:
            while at < high:
                for read in log.read(BATCH, GATHER_S):
                    for message in read.messages:
                        row = next(rows, None)
                        if row is None or not _same(message, row):
                            raise UsageError(
                                f"{key[0]}/{key[1]} holds other records than the recording's first {count + 1}.",
                                remedy="Remove the topic, or write behind its records with --append.",
                            )
                        count, at = count + 1, int(message.offset() or 0) + 1
                    at = max(at, read.end or 0)
        finally:
            log.close()
        self._advance(count)
        return count

    # -- records ---------------------------------------------------------------------------------------------------

    def _produce(self, producer: Producer, place: Key, row: Row) -> None:
        _, stamp, _, key, value, headers = row
        while True:
            self._raise_fault()
            try:
                producer.produce(
                    place[0],
                    value=value,
                    key=key,
                    partition=place[1],
                    timestamp=max(stamp, 0),
                    headers=list(headers),  # a list of its own type, which lists of others are not
                    on_delivery=self._delivered,
                )
                producer.poll(0)
                return
            except BufferError:
                producer.poll(FLUSH_S)
            except KafkaException as error:
                self._failed = error.args[0]

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed = self._failed or error
        else:
            self._confirmed += 1
            if self._confirmed % 1_000 == 0:
                self._advance(1_000)

    def _settle(self, producer: Producer) -> None:
        """Wait until every record is confirmed."""
        while producer.flush(FLUSH_S):
            self._raise_fault()
        self._raise_fault()
        self._advance(self._confirmed % 1_000)

    def _raise_fault(self) -> None:
        if self._failed is not None:
            raise BrokerError(
                f"a record was not written: {self._failed.str()}.",
                remedy="Look after the brokers, then go on with --resume.",
            )

    def _wait(self, producer: Producer, due: float) -> None:
        """Wait until a record is due, or it is asked to stop."""
        while (left := due - time.monotonic()) > 0 and not self._stopping():
            producer.poll(min(left, FLUSH_S))


def _rows(reader: PartitionReader, skip: int = 0) -> Iterator[Row]:
    """Yield the records of a partition, without the first `skip`."""
    for table in reader.tables(reader.first_offset, reader.end_offset):
        if skip >= table.num_rows:
            skip -= table.num_rows
            continue
        rest, skip = table.slice(skip), 0
        columns = [rest[name].to_pylist() for name in ("offset", "timestamp", "timestamp_type", "key", "value")]
        yield from zip(*columns, header_lists(one_chunk(rest["headers"])), strict=True)
    reader.close()


def _in_order(recording: Recording, skips: Mapping[Key, int]) -> Iterator[tuple[int, Key, Row]]:
    """Yield all records by timestamp, each partition in its own order; with the stamp that counts."""

    def of(key: Key) -> Iterator[tuple[int, Key, Row]]:
        newest = NO_TIMESTAMP
        for row in _rows(recording.reader(*key), skips[key]):
            newest = max(newest, row[1])
            yield newest, key, row

    # Rows are not compared: two of one partition are in order, those of two partitions differ by their keys.
    return merge(*map(of, skips), key=lambda each: each[:2])


def _same(message: Message, row: Row) -> bool:
    _, stamp, _, key, value, headers = row
    same_time = stamp <= 0 or message.timestamp()[1] == stamp
    same_headers = list(message.headers() or []) == headers
    return same_time and same_headers and (message.key(), message.value()) == (key, value)
