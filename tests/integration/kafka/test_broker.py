"""The broker of the tests itself: what the other tests of topics take for granted."""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition

from tests.support.kafka import Broker


def read(kafka: Broker, topic: str) -> list[bytes | None]:
    consumer = Consumer(kafka.client(group_id="reader", enable_auto_commit=False))
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
        found: list[bytes | None] = []
        while len(found) < end:
            found += [message.value() for message in consumer.consume(100, 1.0)]
        return found
    finally:
        consumer.close()


def test_records_outlive_a_kill_and_a_restart(kafka: Broker) -> None:
    topic = kafka.topic()
    kafka.produce(topic, [b"one", b"two"])
    if kafka.may_be_killed:
        kafka.kill()
        kafka.restart()
    kafka.produce(topic, [b"three"])
    assert read(kafka, topic) == [b"one", b"two", b"three"]


def test_a_topic_that_was_not_made_does_not_appear_by_being_asked_for(kafka: Broker) -> None:
    assert kafka.partitions("never-made") == 0
    assert kafka.partitions("never-made") == 0
