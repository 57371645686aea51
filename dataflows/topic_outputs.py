"""The topics that a live job's outputs go to, as its settings name them.

Apart from `sinks/`, since what a store alone needs must not load a client of Kafka.
"""

from __future__ import annotations

from config.kafka import client_config
from config.settings import Settings
from sinks.outbox import part_names
from sinks.outlets import topic_part
from sinks.topic_check import limits, prepare_topics
from sinks.topic_outlet import TopicOutlet
from sinks.transaction import TopicOutputs


def parts_on_topics(settings: Settings) -> list[str]:
    """Return what the store calls the sink parts that release onto topics; none where no topic is named."""
    return [topic_part(part) for part in part_names(settings.runtime.sink_parts)] if settings.topics.by_kind() else []


def check_topics(settings: Settings) -> None:
    """Check the topics of outputs, if there are any; make the one of progress.

    Raises:
        ForestallError: Settings, brokers or topics are at fault; names all that is.
    """
    topics, parts = settings.topics, settings.runtime.sink_parts
    if by_kind := topics.by_kind():
        client = client_config(settings.kafka)
        prepare_topics(client, by_kind.values(), topics.progress_topic, parts, topics.transactional_id_prefix)


def topic_outlet(settings: Settings, store_url: str) -> TopicOutlet | None:
    """Return the topics as an outlet of this process; None where no topic is named.

    Raises:
        SettingsError: The settings are at fault.
    """
    topics = settings.topics
    by_kind = topics.by_kind()
    if not by_kind:
        return None
    client = client_config(settings.kafka)
    outputs = TopicOutputs(
        client,
        by_kind,
        limits(client, by_kind.values()),
        topics.progress_topic,
        topics.transactional_id_prefix,
        topics.transaction_timeout,
    )
    return TopicOutlet(outputs, part_names(settings.runtime.sink_parts), store_url)
