"""One transaction onto topics: outputs and the progress of their sink part, sent and confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sinks.chain import Entry
from sinks.cloudevents import CHAIN, message
from sinks.committed import Place

COMMIT_S = 15.0
"""Wall time for a commit; what became of it is read back in any case."""

LOST_ERROR = "without setting an exception"
"""Python's words for a client that fails and does not say of what."""


@dataclass(frozen=True)
class TopicOutputs:
    """Where outputs go, and by whom."""

    client: Mapping[str, Any] = field(repr=False)
    """How to reach the brokers: librdkafka's properties, secrets among them."""
    by_kind: Mapping[str, str]
    """The topic of each kind of outputs that has one."""
    bytes_max: Mapping[str, int]
    """What each topic takes as a batch of records."""
    progress_topic: str
    """Compacted; at least as many partitions as there are sink parts, each written by one of them."""
    job: str
    """Name of this job among all that write to these brokers."""
    transaction_timeout: timedelta

    def transactional_id(self, part: str) -> str:
        """Return the transactional id of a sink part: the same in every run."""
        return f"{self.job}.{part}"

    @property
    def timeout_s(self) -> float:
        """After so long the brokers abort a transaction."""
        return self.transaction_timeout.total_seconds()

    def producer(self, part: str) -> dict[str, Any]:
        """Return the configuration of a producer for a sink part: librdkafka's properties."""
        limits = self.bytes_max.values()
        timeout_ms = int(self.timeout_s * 1000)
        return {
            **self.client,
            "transactional.id": self.transactional_id(part),
            "transaction.timeout.ms": timeout_ms,
            "message.timeout.ms": timeout_ms,
            "acks": "all",
            "enable.idempotence": True,
            "allow.auto.create.topics": False,
            # As Java's clients choose partitions: a key is then in one partition, whoever writes to the topic.
            "partitioner": "murmur2_random",
            "message.max.bytes": max(max(limits, default=0), 1_000_000),
            # A batch larger than its topic takes would be refused as a whole.
            "batch.size": max(min(limits, default=1_000_000), 1),
            "retry.backoff.ms": 20,
            "reconnect.backoff.ms": 20,
        }


class Undelivered(Exception):
    """Records of a transaction did not arrive; it must not be committed."""

    def __init__(self, error: KafkaError | None, topic: str) -> None:
        super().__init__(f"{topic}: {error.str() if error else 'records were not confirmed in time'}")
        self.error = error
        self.topic = topic


class Sent:
    """What became of the records of one transaction."""

    def __init__(self) -> None:
        self.ends: dict[Place, tuple[int, bytes]] = {}
        """Offset and chain hash, as in its header, of the last output in each partition."""
        self.confirmed = 0
        self.failed: Undelivered | None = None
        self.trouble: KafkaException | Undelivered | None = None
        """What went wrong, if anything did."""

    def report(self, chain: bytes, error: KafkaError | None, record: Message) -> None:
        """Take in the delivery report of a record; without `chain`, that of the progress record."""
        if error is not None:
            self.failed = self.failed or Undelivered(error, str(record.topic()))
            return
        self.confirmed += 1
        if chain:
            place, offset = Place(str(record.topic()), record.partition() or 0), record.offset() or 0
            if offset >= self.ends.get(place, (-1,))[0]:
                self.ends[place] = (offset, chain)


def send(
    producer: Producer, outputs: TopicOutputs, part: str, entries: Sequence[Entry], place: Place, progress: bytes
) -> Sent:
    """Run one transaction; what is known of it comes back, but only reading back tells whether it is there.

    Args:
        producer: A fresh one, with transactions.
        outputs: Where to.
        part: The sink part.
        entries: Its outputs.
        place: The partition of its progress.
        progress: The record there, which is sent last.
    """
    sent = Sent()
    try:
        producer.begin_transaction()
        for entry in entries:
            topic = outputs.by_kind[entry.kind]
            made = message(part, entry, outputs.job, outputs.bytes_max[topic])
            report = partial(sent.report, dict(made.headers)[CHAIN])
            _produce(producer, topic, key=made.key, value=made.value, headers=list(made.headers), on_delivery=report)
        key, report = outputs.transactional_id(part).encode(), partial(sent.report, b"")
        _produce(producer, place.topic, partition=place.partition, key=key, value=progress, on_delivery=report)
        if producer.flush(outputs.timeout_s):
            producer.purge()  # which reports those that are left
            producer.flush(COMMIT_S)
        if sent.failed is not None:
            raise sent.failed
        if sent.confirmed != len(entries) + 1:
            raise Undelivered(None, place.topic)
        producer.commit_transaction(COMMIT_S)
    except (KafkaException, Undelivered) as error:
        sent.trouble = error
    except SystemError as error:
        # A fatal error is raised amid the delivery reports of the same call, and stands as the cause of what they do;
        # or the client loses it.
        if isinstance(error.__cause__, KafkaException):
            sent.trouble = error.__cause__
        elif LOST_ERROR in str(error):
            sent.trouble = KafkaException(KafkaError(KafkaError._FATAL, LOST_ERROR))
        else:
            raise
    return sent


def _produce(producer: Producer, topic: str, **record: Any) -> None:
    """Hand a record to the producer; wait while its queue is full."""
    while True:
        try:
            producer.produce(topic, **record)
            return
        except BufferError:
            producer.poll(0.1)
