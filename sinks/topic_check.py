"""Output topics at the start of a job: are they there, may we write them, what do they take; and where progress is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic

from config.errors import BrokerError, ForestallError, TopicError, together

ASK_S = 15.0
APPEAR_S = 15.0
OPEN = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError.REQUEST_TIMED_OUT)
"""Errors that leave a question open."""
TOPIC_BYTES = 1_048_588
"""What a topic takes by default; where we may not ask, we believe this."""
PROGRESS = {"cleanup.policy": "compact", "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.1"}
"""Of the topic of progress: every release writes a record, and only the last of each sink part counts."""


def prepare_topics(
    client: Mapping[str, Any], topics: Iterable[str], progress: str, parts: int, transactional_prefix: str
) -> None:
    """Check the topics that outputs go to, and make the one of progress where there is none.

    Args:
        client: How to reach the brokers: librdkafka's properties.
        topics: Those of outputs.
        progress: That of progress.
        parts: The number of sink parts.
        transactional_prefix: What transactional ids begin with.

    Raises:
        ForestallError: Something is at fault; names all that is.
    """
    for last in (False, True):
        faults: list[ForestallError] = []
        try:
            _look(client, sorted(set(topics)), progress, parts, transactional_prefix, faults)
            break
        except KafkaException as error:
            # Brokers that have just begun may leave a client's question open for good: another client asks anew.
            if last or error.args[0].code() not in OPEN:
                faults.append(_refused("Output topics cannot be looked at", error.args[0]))
                break
    if faults:
        raise together(faults)


def _look(
    client: Mapping[str, Any],
    wanted: list[str],
    progress: str,
    parts: int,
    transactional_prefix: str,
    faults: list[ForestallError],
) -> None:
    """Add to `faults` all that is at fault."""
    admin = AdminClient(dict(client))
    metadata = admin.list_topics(timeout=ASK_S)
    there = {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}
    if missing := [name for name in wanted if name not in there]:
        faults.append(
            TopicError(
                f"Outputs cannot go to {', '.join(missing)}: no such topic, or no permission to see it.",
                remedy="Create it, correct [topics], or grant Describe and Write on it.",
            )
        )
    if progress not in there:
        _make_progress(admin, progress, parts)
    known = [name for name in wanted if name in there] + [progress]
    faults += _unwritable(admin, known)
    faults += _unfit(admin, progress, there.get(progress, parts), parts)
    faults += _untransactional(client, transactional_prefix)


def limits(client: Mapping[str, Any], topics: Iterable[str]) -> dict[str, int]:
    """Return the bytes that each topic takes as one batch of records."""
    admin = AdminClient(dict(client))
    found = {name: _config(admin, name).get("max.message.bytes") for name in set(topics)}
    return {name: TOPIC_BYTES if value is None else int(value) for name, value in found.items()}


def _config(admin: AdminClient, topic: str) -> dict[str, str]:
    """Return the configuration of a topic; nothing where we may not ask for it."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    try:
        (answer,) = admin.describe_configs([resource], request_timeout=ASK_S).values()
        return {name: entry.value for name, entry in answer.result().items()}
    except KafkaException:
        return {}


def _make_progress(admin: AdminClient, topic: str, parts: int) -> None:
    """Make the topic of progress, with as many copies as the brokers choose for others."""
    made = admin.create_topics([NewTopic(topic, num_partitions=parts, replication_factor=-1, config=PROGRESS)])
    try:
        made[topic].result(ASK_S)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
    deadline = time.monotonic() + APPEAR_S
    while topic not in admin.list_topics(timeout=ASK_S).topics and time.monotonic() < deadline:
        time.sleep(0.1)


def _unwritable(admin: AdminClient, topics: list[str]) -> list[ForestallError]:
    """Return the topics that we may not write, by the brokers' own word; without authorisation there is none."""
    asked = admin.describe_topics(TopicCollection(topics), include_authorized_operations=True, request_timeout=ASK_S)
    refused = []
    for topic, answer in asked.items():
        allowed = answer.result().authorized_operations
        if allowed and AclOperation.WRITE not in allowed:
            refused.append(topic)
    if not refused:
        return []
    return [BrokerError(f"No permission to write {', '.join(sorted(refused))}.", remedy="Grant Write on it.")]


def _unfit(admin: AdminClient, topic: str, partitions: int, parts: int) -> list[ForestallError]:
    """Return why progress cannot be kept in a topic."""
    faults: list[ForestallError] = []
    if partitions < parts:
        faults.append(
            TopicError(
                f"The topic of progress, {topic}, has {partitions} partitions for {parts} sink parts.",
                remedy="Add partitions to it, or name another one (topics.progress).",
            )
        )
    policy = _config(admin, topic).get("cleanup.policy", "compact")
    if policy != "compact":
        faults.append(
            TopicError(
                f"The topic of progress, {topic}, has cleanup.policy = {policy}: progress would be deleted.",
                remedy="Set its cleanup.policy to compact.",
            )
        )
    return faults


def _untransactional(client: Mapping[str, Any], prefix: str) -> list[ForestallError]:
    """Return why there cannot be transactions: tried with an id that no sink part has."""
    producer = Producer({**client, "transactional.id": f"{prefix}.check", "transaction.timeout.ms": 10_000})
    try:
        producer.init_transactions(ASK_S)
    except KafkaException as error:
        return [_refused(f"No transaction can be begun with an id such as {prefix}.check", error.args[0])]
    return []


def _refused(what: str, error: KafkaError) -> BrokerError:
    return BrokerError(
        f"{what}: {error.str()}.",
        remedy="Check what the user of [kafka.security] may do, and that the brokers keep transactions "
        "(transaction.state.log.replication.factor is at most their number).",
        retry=error.retriable(),
    )
