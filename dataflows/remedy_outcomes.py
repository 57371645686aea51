"""The topic of outcomes: where the settings name one, what came of actions is told there to the detection job."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from config.kafka import client_config
from config.settings import Settings
from dataflows.kafka_faults import Troubles
from sinks.chain import kind_of
from sinks.ledger_shard import OUTCOME, ShardWriter
from sinks.outcome_relay import OutcomeRelay
from sinks.topic import TopicPart
from sinks.topic_check import limits, prepare_topics
from sinks.transaction import TopicOutputs

LINGER_S = 5.0
"""Wall time that a process which was asked to stop takes to publish what is left; the rest goes out at the next
start."""
POLL_S = 0.02


def check_outcomes(settings: Settings, shards: Sequence[str]) -> None:
    """Check the topic of outcomes, if one is named; make that of its progress.

    Raises:
        ForestallError: settings, brokers or topics are at fault; names all that is.
    """
    topics = settings.topics
    topics.by_kind()
    if topics.outcomes is not None:
        client, prefix = client_config(settings.kafka), topics.outcomes_prefix
        prepare_topics(client, [topics.outcomes], topics.outcomes_progress, len(shards), prefix)


class Outcomes:
    """The topic, as the shards of a process publish onto it.

    Args:
        outputs: Where to.
        shards: Names of all shards.
    """

    def __init__(self, outputs: TopicOutputs, shards: Sequence[str]) -> None:
        self._outputs, self._shards = outputs, list(shards)
        self._pool = ThreadPoolExecutor(len(self._shards), "outcomes")
        self._until: float | None = None

    @classmethod
    def of(cls, settings: Settings, shards: Sequence[str]) -> Outcomes | None:
        """Return the topic that the settings name; None where they name none."""
        topics = settings.topics
        if topics.outcomes is None:
            return None
        client = client_config(settings.kafka)
        return cls(
            TopicOutputs(
                client,
                {kind_of(OUTCOME): topics.outcomes},
                limits(client, [topics.outcomes]),
                topics.outcomes_progress,
                topics.outcomes_prefix,
                topics.transaction_timeout,
            ),
            shards,
        )

    def relay(self, shard: ShardWriter) -> OutcomeRelay:
        """Return who publishes the outcomes of a shard."""

        def make() -> TopicPart:
            return TopicPart(self._outputs, shard.shard, self._shards.index(shard.shard))

        return OutcomeRelay(shard, make, self._pool, Troubles(shard.shard).note)

    def let_out(self, relay: OutcomeRelay) -> None:
        """Publish what is left of a shard before the process ends, as long as all of them together may take."""
        self._until = time.monotonic() + LINGER_S if self._until is None else self._until
        while not relay.go_on() and time.monotonic() < self._until:
            time.sleep(POLL_S)
