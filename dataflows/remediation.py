"""The remediation flow: takes actions in from a topic or a store, and carries them out as long as nobody stops it.

    actions ─► intake: into the ledger ─► shard, keyed by entity ─► targets
                                            ▲
    ticks ──────────────────────────────────┘

Bytewax brings the workers and the exchange between them. Its recovery is not used: the ledger is the one truth, and
what was taken in, asked for and heard stands there before anything follows from it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, FixedPartitionedSource, StatefulSourcePartition, StatelessSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from dataflows.remedy_clock import wall_clock
from dataflows.remedy_shard import Means, Shard
from dataflows.remedy_sources import Intake
from sinks.failures import noted
from sinks.ledger_rows import NewAction

TICK = timedelta(milliseconds=20)
LOOK_AGAIN = timedelta(milliseconds=100)
"""How long a source that has brought nothing waits before it looks again."""

Item = list[NewAction]
"""What a shard is handed: new actions, or none, at a tick."""


class ActionPart(StatefulSourcePartition[tuple[str, Item], None]):
    """One source of actions, as Bytewax calls it."""

    def __init__(self, intake: Intake, stopping: Callable[[], bool]) -> None:
        self._intake, self._stopping = intake, stopping
        self._awake: datetime | None = None

    @noted
    def next_batch(self) -> list[tuple[str, Item]]:
        """Take in what comes next, and hand it to the shards."""
        if self._stopping():
            raise StopIteration
        new, came = self._intake.take()
        self._awake = None if came else datetime.now(UTC) + LOOK_AGAIN
        by_shard: dict[str, Item] = {}
        for one in new:
            by_shard.setdefault(one.shard, []).append(one)
        return list(by_shard.items())

    def next_awake(self) -> datetime | None:
        """Return when to look again."""
        return self._awake

    def snapshot(self) -> None:
        """How far it is stands in the ledger."""


class ActionSource(FixedPartitionedSource[tuple[str, Item], None]):
    """All sources of actions.

    Args:
        names: Of the sources.
        open_intake: Opens the intake of one.
        stopping: Whether to stop.
    """

    def __init__(self, names: list[str], open_intake: Callable[[str], Intake], stopping: Callable[[], bool]) -> None:
        self._names, self._open_intake, self._stopping = names, open_intake, stopping

    def list_parts(self) -> list[str]:
        """Return all sources: any worker can read any of them."""
        return self._names

    @noted
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> ActionPart:
        """Open a source where the ledger stands."""
        return ActionPart(self._open_intake(for_part), self._stopping)


class Ticks(DynamicSource[tuple[str, Item]]):
    """Wakes every shard again and again: answers come and waits end at any time."""

    def __init__(self, shards: list[str], stopping: Callable[[], bool]) -> None:
        self._shards, self._stopping = shards, stopping

    def build(self, step_id: str, worker_index: int, worker_count: int) -> TickPart:
        """Build the ticks of one worker; only the first ticks."""
        return TickPart(self._shards if worker_index == 0 else [], self._stopping)


class TickPart(StatelessSourcePartition[tuple[str, Item]]):
    """The ticks of one worker."""

    def __init__(self, shards: list[str], stopping: Callable[[], bool]) -> None:
        self._shards, self._stopping = shards, stopping
        self._awake: datetime | None = None

    def next_batch(self) -> list[tuple[str, Item]]:
        """Tick."""
        if self._stopping():
            raise StopIteration
        self._awake = datetime.now(UTC) + TICK
        return [(shard, []) for shard in self._shards]

    def next_awake(self) -> datetime | None:
        """Return when to tick again."""
        return self._awake


class ShardPart(StatefulSinkPartition[Item, None]):
    """A shard, as Bytewax calls it."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    @noted
    def write_batch(self, values: list[Item]) -> None:
        """Begin with new actions, and do all that is due."""
        now = wall_clock()
        for new in values:
            self._shard.take(new, now)
        while self._shard.turn(now):
            now = wall_clock()

    def snapshot(self) -> None:
        """How far it is stands in the ledger."""


class ShardSink(FixedPartitionedSink[Item, None]):
    """All shards.

    Args:
        names: Of the shards.
        means: What they work with.
    """

    def __init__(self, names: list[str], means: Means) -> None:
        self._names, self._means = names, means

    def list_parts(self) -> list[str]:
        """Return all shards: any worker can have any of them."""
        return self._names

    def part_fn(self, item_key: str) -> int:
        """Return the place of the shard that `item_key` names."""
        return self._names.index(item_key)

    @noted
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> ShardPart:
        """Take a shard over, and go on with what it has left to do."""
        return ShardPart(Shard(for_part, self._means, wall_clock()))


def build(actions: ActionSource, ticks: Ticks, shards: ShardSink) -> Dataflow:
    """Return the flow."""
    flow = Dataflow("remediation")
    new = op.input("actions", flow, actions)
    due = op.input("ticks", flow, ticks)
    op.output("effects", op.merge("to_shards", new, due), shards)
    return flow
