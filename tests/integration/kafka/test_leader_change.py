"""Whoever asks brokers where partitions end goes on after a change of leader, with the client it has had."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaException

from config.kafka import client_config
from config.settings import load
from dataflows.kafka_watch import BrokerWatch
from replay.broker_log import Brokers
from sinks.committed import CommittedReader, Place
from tests.support.kafka_cluster import ClusterBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PATIENCE_S = 60.0


def test_ends_are_told_after_the_leader_has_changed(kafka_cluster: ClusterBroker) -> None:
    topic = kafka_cluster.topic()
    kafka_cluster.produce(topic, [b"before"])
    kafka = load(None, {"FORESTALL_KAFKA_BOOTSTRAP_SERVERS": kafka_cluster.bootstrap}).kafka
    watch, brokers = BrokerWatch(client_config(kafka)), Brokers(kafka)
    reader = CommittedReader(client_config(kafka), "readback")
    until(lambda: (watch.end(topic, 0) or (0, 0))[1] == 1)
    assert brokers.ends([(topic, 0)]) == {(topic, 0): 1}
    assert reader.last(Place(topic, 0), b"key", 10) is None
    kafka_cluster.kill()
    kafka_cluster.start()
    kafka_cluster.produce(topic, [b"after"], keys=[b"key"])
    until(lambda: (watch.end(topic, 0) or (0, 0))[1] == 2)
    assert brokers.ends([(topic, 0)]) == {(topic, 0): 2}
    until(lambda: last(reader, topic) == b"after")
    reader.close()


def last(reader: CommittedReader, topic: str) -> bytes | None:
    """Ask as a release does, which asks again when the brokers fail it."""
    try:
        return reader.last(Place(topic, 0), b"key", 10)
    except KafkaException:
        return None


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.1)
