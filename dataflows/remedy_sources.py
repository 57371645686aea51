"""Where the remediation flow takes its actions from: the sink parts of a store, or the partitions of a topic.

How far each is taken in stands in the ledger, in the transaction of what was taken in. So a source needs no snapshot,
and nothing is taken in twice or left out, wherever the flow dies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from config.errors import InputError
from config.kafka import Kafka
from config.kafka_start import Start
from dataflows.kafka_source import KafkaPartition
from dataflows.kafka_watch import BrokerWatch
from dataflows.remedy_rows import decoded, new_action
from operators.channel import Position
from sinks.actions import Recorded, action_sources, actions_after
from sinks.ledger import Ledger
from sinks.ledger_rows import NewAction, Reject
from sinks.store import Store

BATCH = 4_000
"""Actions taken in at once: each transaction costs a wait for the disk."""
REASON_MAX = 500
NEVER_IDLE = timedelta(days=36_500)


class ActionReader(Protocol):
    """Reads one source of actions in order."""

    source: str
    """What the ledger calls it."""

    def open(self, position: int) -> None:
        """Begin at the position that the ledger has."""

    def read(self, position: int) -> tuple[Sequence[Recorded], int]:
        """Return what comes next, at most `BATCH`, perhaps none; and the position that follows it."""


class StoreReader:
    """Reads a sink part of a store."""

    def __init__(self, store: Store, part: str) -> None:
        self.source = f"store/{part}"
        self._store, self._part = store, part

    def open(self, position: int) -> None:
        """A store is read from wherever it is asked for."""

    def read(self, position: int) -> tuple[Sequence[Recorded], int]:
        """Return the actions after `position`."""
        recorded = actions_after(self._store, self._part, position, BATCH)
        return recorded, recorded[-1].position if recorded else position


class TopicReader:
    """Reads a partition of the topic of actions, or of that of those that were withheld."""

    def __init__(self, kafka: Kafka, channel: str, watch: BrokerWatch, stopping: Callable[[], bool]) -> None:
        self.source = f"topic/{channel}"
        own = replace(kafka, group_id=f"{kafka.group_id}-remediation", read_committed=True)
        self._partition = KafkaPartition(own, channel, Start("earliest"), NEVER_IDLE, watch, stopping)
        self._next = 0

    def open(self, position: int) -> None:
        """Go to where the ledger stands; a topic is read from its first record on.

        Raises:
            TopicError: records are gone that were not taken in.
        """
        self._next = self._partition.open(Position(next_offset=position, begun=position > 0)).next_offset

    def read(self, position: int) -> tuple[Sequence[Recorded], int]:
        """Return the records that are there after those read before."""
        self._partition.publish(position)
        batch = self._partition.read(self._next, BATCH)
        if not len(batch):
            return [], position
        records = zip(batch.offsets, batch.keys, batch.values, strict=True)
        self._next = batch.offsets[-1] + 1
        return [Recorded(at, _text(key), value or b"") for at, key, value in records], self._next


@dataclass
class Intake:
    """Takes a source's actions into the ledger.

    Args:
        ledger: The ledger.
        reader: The source.
        shards: Names of all shards.
    """

    ledger: Ledger
    reader: ActionReader
    shards: list[str]

    def __post_init__(self) -> None:
        self._position = self.ledger.position(self.reader.source)
        self.reader.open(self._position)

    def take(self) -> tuple[list[NewAction], bool]:
        """Take in what comes next; return the actions not known before, and whether anything came."""
        recorded, following = self.reader.read(self._position)
        if not recorded:
            return [], False
        new: list[NewAction] = []
        refused: list[Reject] = []
        for record in recorded:
            try:
                new.append(new_action(decoded(record.body), record.key, self.shards))
            except InputError as error:
                refused.append(Reject(record.position, error.message[:REASON_MAX], record.body))
        fresh = self.ledger.take_in(self.reader.source, self._position, following, new, refused)
        self._position = following
        return fresh, True


def store_readers(store: Store) -> list[StoreReader]:
    """Return the readers of all sink parts of a store."""
    return [StoreReader(store, part) for part in action_sources(store)]


def _text(key: bytes | None) -> str:
    return "" if key is None else key.decode(errors="replace")
