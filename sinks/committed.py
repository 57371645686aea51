"""Reading back: what transactions have committed, as any reader with `read_committed` will see it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from config.errors import BrokerError

POLL_S = 0.5
ASK_S = 10.0
AWAY = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._DESTROY_BROKER)
"""Errors that pass, though the client does not call them so."""
STEP = 64
"""Records read from the end of a progress topic at first: each release leaves two there."""

EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class CommittedReader:
    """Reads single records of partitions, once their transactions are decided.

    Args:
        client: How to reach the brokers: librdkafka's properties.
        group: Name of a consumer group; nothing is ever committed to it.
    """

    def __init__(self, client: Mapping[str, Any], group: str) -> None:
        self._client = dict(client)
        self._admin = AdminClient(self._client)
        self._consumer = Consumer(
            {
                **client,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "allow.auto.create.topics": False,
                # What is asked for is there, or decided in a moment; the end of a partition is told after so long.
                "fetch.wait.max.ms": 5,
                "fetch.error.backoff.ms": 50,
            }
        )

    def close(self) -> None:
        """Let go of the brokers."""
        self._consumer.close()

    def missing(self, topics: Iterable[str]) -> list[str]:
        """Return which of `topics` the brokers do not know.

        Raises:
            KafkaException: The brokers cannot be asked.
        """
        known = self._admin.list_topics(timeout=ASK_S).topics
        return sorted(name for name in set(topics) if name not in known or known[name].error is not None)

    def last(self, place: Place, key: bytes, patience_s: float) -> bytes | None:
        """Return the value of the last committed record with `key`; None if there is none.

        Raises:
            KafkaException: The brokers cannot be asked.
            BrokerError: A transaction in this partition stays open beyond `patience_s`.
        """
        deadline = time.monotonic() + patience_s
        low, high = self._offset(place, EARLIEST, patience_s), self._offset(place, LATEST, patience_s)
        step = STEP
        while True:
            start = max(low, high - step)
            found = None
            if start < high:
                for record in self._upto({place: start}, {place: high - 1}, deadline):
                    found = record.value() if record.key() == key else found
            if found is not None or start == low:
                return found
            step *= 16

    def seen(self, ends: Mapping[Place, tuple[int, bytes]], header: str, patience_s: float) -> set[Place]:
        """Return the partitions in which a record is committed, as soon as it is decided for all of them.

        Args:
            ends: The offset of each record, and the value of the header that tells it from others.
            header: Name of that header.
            patience_s: How long to wait for other transactions that are open.

        Raises:
            KafkaException: The brokers cannot be asked.
            BrokerError: A transaction in one of the partitions stays open for too long.
        """
        offsets = {place: offset for place, (offset, _) in ends.items()}
        found = set()
        for record in self._upto(offsets, offsets, time.monotonic() + patience_s):
            place = Place(str(record.topic()), record.partition() or 0)
            offset, value = ends[place]
            if record.offset() == offset and dict(record.headers() or ()).get(header) == value:
                found.add(place)
        return found

    def _offset(
        self,
        place: Place,
        spec: OffsetSpec,
        patience_s: float,
        isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
    ) -> int:
        """Return an end of a partition; records in open transactions lie before it only if they may be read."""
        asked = self._admin.list_offsets(
            {TopicPartition(*place): spec},
            isolation_level=isolation,
            request_timeout=patience_s,
        )
        (answer,) = asked.values()
        try:
            return int(answer.result().offset)
        except KafkaException:
            # It goes on asking with what it knows of a leader, though that is one no more.
            self._admin = AdminClient(self._client)
            raise

    def _upto(self, starts: Mapping[Place, int], ends: Mapping[Place, int], deadline: float) -> Iterator[Message]:
        """Yield the committed records from `starts` on, until in each partition the offset in `ends` is decided."""
        waiting = dict(ends)
        consumer = self._consumer
        consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        try:
            while waiting:
                record = consumer.poll(POLL_S)
                if record is None:
                    if time.monotonic() > deadline:
                        raise self._undecided(waiting)
                    continue
                place = Place(str(record.topic()), record.partition() or 0)
                error = record.error()
                if error is None:
                    yield record
                    decided = record.offset()
                elif error.code() == KafkaError._PARTITION_EOF:
                    decided = (record.offset() or 0) - 1
                elif error.retriable() or error.code() in AWAY:
                    if time.monotonic() > deadline:
                        raise KafkaException(error)
                    continue
                else:
                    raise KafkaException(error)
                if place in waiting and (decided or 0) >= waiting[place]:
                    del waiting[place]
        finally:
            consumer.unassign()

    def _undecided(self, waiting: Mapping[Place, int]) -> BrokerError:
        """Say which partitions are not decided, and how to abort transactions that hang.

        A broker may forget to tell a partition how a transaction ended: after an unclean election (KAFKA-20716), or
        if it is killed and comes back before its death was noticed, while no other broker has the partition. Only an
        operator can tell such a transaction from one that is under way. Aborted by hand, it is sent again.
        """
        aborts = []
        for place in sorted(waiting):
            with suppress(KafkaException, BrokerError):
                start = self._offset(place, LATEST, ASK_S, IsolationLevel.READ_COMMITTED)
                aborts.append(f"abort --topic {place.topic} --partition {place.partition} --start-offset {start}")
        places = ", ".join(f"{place.topic}/{place.partition} at offset {waiting[place]}" for place in sorted(waiting))
        return BrokerError(
            f"Not decided: {places}: a transaction is open there, or the partition has no leader.",
            remedy="If it hangs (`kafka-transactions.sh find-hanging`), abort it in each of these partitions; what is "
            f"lost is sent again: {'; '.join(aborts) or 'the brokers do not say where it begins.'}",
            retry=True,
        )
