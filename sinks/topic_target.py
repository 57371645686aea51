"""A target that takes commands from a topic: records in Kafka, keyed by entity, with the idempotency key in a header.

A topic does not tell what became of a record whose delivery was not confirmed: then a person looks. Whoever reads the
topic knows by the idempotency key what it has done already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from config.clock import SECOND, to_text
from config.effects import Call, Reply
from config.targets import Target
from sinks.cloudevents import PREFIX

REFUSED = (
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.INVALID_MSG,
    KafkaError.POLICY_VIOLATION,
)
"""Errors by which it is certain that the record is not there, and will not be."""
SOURCE = "/forestall/remediation"
TYPE = "forestall.command."


class TopicTarget:
    """Writes commands onto a topic. Safe to share between threads.

    Args:
        target: Which topic.
        client: How to reach the brokers: librdkafka's properties.
        wall: The time of the wall, seconds.
        replay: See `sinks.http_target.HttpTarget`.
    """

    def __init__(
        self, target: Target, client: Mapping[str, Any], wall: Callable[[], float] = time.time, *, replay: bool = False
    ) -> None:
        self._topic, self._client, self._wall, self._replay = target.topic, dict(client), wall, replay

    def close(self) -> None:
        """Nothing is held on to."""

    def carry_out(self, call: Call) -> Reply:
        """Write a command, wait until it is confirmed, and return what came of it."""
        if call.verb in ("query", "measure"):
            return Reply(call.action_id, call.turn, "unreadable", "a topic tells nothing")
        if not self._replay and call.is_late(round(self._wall() * SECOND)):
            return Reply(call.action_id, call.turn, "expired", "it waited for its turn for too long")
        told: list[KafkaError | None] = []
        # A producer of its own: one that waits for another record's retries would delay this one's expiry.
        producer = Producer(self._client | self._limits(call))
        try:
            producer.produce(
                self._topic,
                key=call.entity.encode(),
                value=call.body(),
                headers=self._headers(call),
                on_delivery=lambda error, message: _note(told, error, message),
            )
            producer.flush(call.timeout / SECOND + 1)
        except (KafkaException, BufferError) as error:
            return Reply(call.action_id, call.turn, "not-sent", type(error).__name__, failed=True)
        if not told:
            producer.purge()
            return Reply(call.action_id, call.turn, "unknown", "it was not confirmed in time", failed=True)
        if told[0] is None:
            return Reply(call.action_id, call.turn, "done")
        name = told[0].name()
        if told[0].code() in REFUSED:
            return Reply(call.action_id, call.turn, "refused", name)
        return Reply(call.action_id, call.turn, "unknown", name, failed=True)

    def _limits(self, call: Call) -> dict[str, Any]:
        return {
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": max(call.timeout // 1_000, 1),
            # That there is no such topic is to be known before that.
            "topic.metadata.propagation.max.ms": max(call.timeout // 2_000, 1),
            "allow.auto.create.topics": False,
            "log_level": 0,
        }

    def _headers(self, call: Call) -> list[tuple[str, str | bytes | None]]:
        attributes = {
            "specversion": "1.0",
            "id": call.key,
            "source": SOURCE,
            "type": f"{TYPE}{call.operation}",
            "subject": call.entity,
            "time": to_text(int(self._wall() * SECOND)),
        }
        headers: list[tuple[str, str | bytes | None]] = [(PREFIX + name, text) for name, text in attributes.items()]
        return [*headers, ("idempotency-key", call.key), ("content-type", "application/json")]


def _note(told: list[KafkaError | None], error: KafkaError | None, message: Message) -> None:
    told.append(error)
