"""Topic partitions as logs: where they begin and end, their records in order, and which offsets have none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple, cast

import pyarrow as pa
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType

from config.errors import BrokerError
from config.kafka import Kafka, client_config
from dataflows.kafka_faults import Troubles
from operators.batch import RawBatch
from replay.columns import to_table
from replay.manifest import NO_TIMESTAMP

ASK_S = 30.0
GATHER_S = 0.1
"""How long a reading of known records waits to be fuller: a call of the client waits for as many as it may give."""
LOOKED_AT_MAX = 1_000
"""Runs of offsets without a record that are looked at for aborted transactions, per partition."""

TIMESTAMP_TYPES = {1: "create", 2: "logappend"}
BACK_MAX = 4_096
"""Offsets that are gone back at first to find the record before another."""

Key = tuple[str, int]
"""Topic and partition."""


class Read(NamedTuple):
    """What came of one partition."""

    key: Key
    messages: list[Message]
    end: int | None
    """The offset at which the partition ended after them, if it did."""


@dataclass
class Holes:
    """Offsets without a record, among those that went by."""

    next: int
    records: int = 0
    offsets: int = 0
    runs: list[tuple[int, int]] = field(default_factory=list)
    """The first of those that are longer than one: first offset, and the one after the last."""

    def meet(self, offset: int) -> None:
        """Take note of the next record in offset order; one that went by before does not count again."""
        if offset >= self.next:
            self.meet_end(offset)
            self.next, self.records = offset + 1, self.records + 1

    def meet_end(self, offset: int) -> None:
        """Take note that there is no record before `offset` any more."""
        missing = offset - self.next
        if missing > 0:
            self.offsets += missing
            if missing > 1 and len(self.runs) < LOOKED_AT_MAX:
                self.runs.append((self.next, offset))
            self.next = offset


class Brokers:
    """Asks brokers about logs.

    Args:
        kafka: The connection.
    """

    def __init__(self, kafka: Kafka) -> None:
        self._config = client_config(kafka) | _QUIET
        self._admin = AdminClient(self._config)
        self._isolation = IsolationLevel.READ_COMMITTED if kafka.read_committed else IsolationLevel.READ_UNCOMMITTED

    def ends(self, keys: list[Key]) -> dict[Key, int]:
        """Return where each partition ends: after the last record that may be read."""
        return self._offsets(dict.fromkeys(keys, OffsetSpec.latest()))  # type: ignore[no-untyped-call]

    def beginnings(self, keys: list[Key]) -> dict[Key, int]:
        """Return the first offset that each partition still has."""
        return self._offsets(dict.fromkeys(keys, OffsetSpec.earliest()))  # type: ignore[no-untyped-call]

    def first_at(self, keys: list[Key], at: int) -> dict[Key, int]:
        """Return the offset of each partition's first record stamped at or after `at` (milliseconds), or its end."""
        found = self._offsets({key: OffsetSpec.for_timestamp(at) for key in keys})
        ends = self.ends([key for key, offset in found.items() if offset < 0])
        return {key: ends.get(key, offset) for key, offset in found.items()}

    def ids(self, topics: list[str]) -> dict[str, str]:
        """Return the id of each topic; one made anew has another."""
        answers = self._admin.describe_topics(TopicCollection(topics), request_timeout=ASK_S)
        return {topic: str(_answer(answer).topic_id) for topic, answer in answers.items()}

    def compacted(self, topics: list[str]) -> dict[str, bool]:
        """Return whether each topic is compacted; one whose configuration we may not see, is taken for it."""
        return {
            topic: "compact" in value for topic, value in self._setting("cleanup.policy", topics, "compact").items()
        }

    def retention_ms(self, topics: list[str]) -> dict[str, int]:
        """Return for how long each topic keeps records; -1 for ever, or where we may not see it."""
        return {topic: int(value) for topic, value in self._setting("retention.ms", topics, "-1").items()}

    def _setting(self, name: str, topics: list[str], unseen: str) -> dict[str, str]:
        resources = {ConfigResource(ResourceType.TOPIC, topic): topic for topic in topics}
        answers = self._admin.describe_configs(list(resources), request_timeout=ASK_S)
        found = dict.fromkeys(topics, unseen)
        for resource, answer in answers.items():
            if answer.exception(ASK_S) is None:
                found[resources[resource]] = str(answer.result()[name].value)
        return found

    def _offsets(self, wanted: Mapping[Key, Any]) -> dict[Key, int]:
        if not wanted:
            return {}
        try:
            return self._ask_offsets(wanted)
        except BrokerError:
            # It goes on asking with what it knows of a leader, though that is one no more.
            self._admin = AdminClient(self._config)
            return self._ask_offsets(wanted)

    def _ask_offsets(self, wanted: Mapping[Key, Any]) -> dict[Key, int]:
        asked = {TopicPartition(*key): spec for key, spec in wanted.items()}
        answers = self._admin.list_offsets(asked, isolation_level=self._isolation, request_timeout=ASK_S)
        return {(one.topic, one.partition): _answer(answer).offset for one, answer in answers.items()}


class Log:
    """Records of partitions, each from an offset on.

    Args:
        kafka: The connection.
        starts: First offset by partition.
        committed: Whether records of transactions that are open or were aborted stay unseen; by default as set.
    """

    def __init__(self, kafka: Kafka, starts: Mapping[Key, int], committed: bool | None = None) -> None:
        self._troubles = {key: Troubles(f"{key[0]}/{key[1]}") for key in starts}
        committed = kafka.read_committed if committed is None else committed
        config = client_config(
            kafka,
            group_id=kafka.group_id,
            enable_auto_commit=False,
            enable_auto_offset_store=False,
            enable_partition_eof=True,
            auto_offset_reset="error",
            isolation_level="read_committed" if committed else "read_uncommitted",
            check_crcs=True,
            queued_max_messages_kbytes=16_384,
            fetch_queue_backoff_ms=10,
        )
        self._consumer = Consumer(config | _QUIET)
        self._consumer.assign([TopicPartition(*key, offset) for key, offset in starts.items()])

    def read(self, limit: int, patience_s: float) -> Iterator[Read]:
        """Yield what comes within a while, partition by partition.

        Raises:
            TopicError: Records are gone that were to be read.
            BrokerError: The brokers refuse us.
        """
        messages = self._consumer.consume(limit, patience_s)
        for key, group in groupby(messages, lambda m: (str(m.topic()), int(m.partition() or 0))):
            found, end = list[Message](), None
            for message in group:
                error = message.error()
                if error is None:
                    found.append(message)
                    end = None
                elif error.code() == KafkaError._PARTITION_EOF:
                    end = message.offset()
                elif self._troubles[key].judge(error):
                    low, _ = self._consumer.get_watermark_offsets(TopicPartition(*key), timeout=ASK_S)
                    self._troubles[key].overtaken(int(message.offset() or 0), low, error.str())
            if found or end is not None:
                self._troubles[key].back()
                yield Read(key, found, end)

    def go(self, key: Key, offset: int) -> None:
        """Go on at an offset of a partition, the only one."""
        self._consumer.assign([TopicPartition(*key, offset)])

    def leave(self, key: Key) -> None:
        """Read no more of a partition."""
        self._consumer.incremental_unassign([TopicPartition(*key)])

    def close(self) -> None:
        """Let go of the brokers."""
        self._consumer.close()


def aborted(kafka: Kafka, key: Key, runs: list[tuple[int, int]]) -> int:
    """Return how many offsets within `runs`, which have no record that may be read, have one of an aborted transaction.

    Raises:
        TopicError: They are gone meanwhile.
        BrokerError: The brokers refuse us.
    """
    if not runs:
        return 0
    count, log = 0, Log(kafka, {key: runs[0][0]}, committed=False)
    try:
        for first, end in runs:
            log.go(key, first)
            at = first
            while at < end:
                for read in log.read(end - at, GATHER_S):
                    offsets = [offset_of(message) for message in read.messages]
                    count += sum(first <= offset < end for offset in offsets)
                    at = max([at, *(offset + 1 for offset in offsets), read.end or at])
    finally:
        log.close()
    return count


def after_the_one_before(kafka: Kafka, key: Key, offset: int, low: int) -> int:
    """Return the offset after the last record before `offset`, `low` if there is none: there begins its hole.

    Raises:
        TopicError: Records are gone meanwhile.
        BrokerError: The brokers refuse us.
    """
    back = 1
    log = Log(kafka, {key: max(low, offset - back)}) if offset > low else None
    if log is None:
        return low
    try:
        while True:
            start, found, at = max(low, offset - back), low, 0
            log.go(key, start)
            while at < offset:
                for read in log.read(BACK_MAX, GATHER_S):
                    offsets = [offset_of(message) for message in read.messages]
                    found = max([found, *(each + 1 for each in offsets if each < offset)])
                    at = max([at, *(each + 1 for each in offsets), read.end or 0])
            if found > low or start == low:
                return found
            back = min(back * 16, BACK_MAX) if back < BACK_MAX else offset - low
    finally:
        log.close()


def offset_of(message: Message) -> int:
    """Return a record's offset; every record that was read has one."""
    offset = message.offset()
    assert offset is not None
    return offset


_QUIET: dict[str, Any] = {"log_level": 0}


def _answer(future: Any) -> Any:
    try:
        return future.result(ASK_S)
    except KafkaException as error:
        raise BrokerError(
            f"the brokers do not tell where topics begin and end: {error.args[0].str()}.",
            remedy="Check that they are up, and that the user may Describe the topics.",
        ) from None


def _headers(message: Message) -> list[tuple[str, bytes | None]]:
    return cast(list[tuple[str, bytes | None]], list(message.headers() or []))


def batch_of(key: Key, messages: list[Message]) -> RawBatch:
    """Return what is needed of messages to look for schemas."""
    headers = [_headers(message) for message in messages]
    return RawBatch(*key, [], [], [], [message.value() for message in messages], headers if any(headers) else [])


def table_of(key: Key, messages: list[Message]) -> pa.Table:
    """Return messages of one partition as columns of a recording."""
    stamps = [message.timestamp() for message in messages]
    return to_table(
        key[1],
        [offset_of(message) for message in messages],
        [stamp if kind in TIMESTAMP_TYPES else NO_TIMESTAMP for kind, stamp in stamps],
        [TIMESTAMP_TYPES.get(kind, "unknown") for kind, _ in stamps],
        [message.key() for message in messages],
        [message.value() for message in messages],
        [_headers(message) for message in messages],
    )
