"""A sample of live topics as a small recording: the last records of each partition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from config.kafka import Kafka
from config.registry import Registry
from dataflows.kafka_reach import partitions_of, reach
from replay.broker_log import Brokers
from replay.record import Recorder
from replay.record_plan import Wanted


def sample(
    kafka: Kafka, registry: Registry, topics: tuple[str, ...], records: int, into: Path, now: Callable[[], int]
) -> None:
    """Record the last records of each partition.

    Args:
        kafka: The connection.
        registry: Where schemas are.
        topics: Topics to look at.
        records: Offsets from the end of each partition, at most.
        into: Folder of the recording.
        now: Wall clock, microseconds.

    Raises:
        TopicError: A topic is missing.
        BrokerError: The brokers cannot be reached, or refuse us.
    """
    counts = partitions_of(reach(kafka), topics)
    keys = [(topic, number) for topic, count in counts.items() for number in range(count)]
    brokers = Brokers(kafka)
    ends, beginnings = brokers.ends(keys), brokers.beginnings(keys)
    starts = {key: max(beginnings[key], ends[key] - records) for key in keys}
    recorder = Recorder(kafka, registry, lambda topic: 0, now)
    recorder.record(Wanted(topics=topics, starts=starts), into)
