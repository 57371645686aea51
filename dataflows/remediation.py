"""The remediation flow: takes actions in from a topic or a store, and carries them out as long as nobody stops it.

    actions ─► intake: into the ledger ─► shard, keyed by entity ─► targets
                                            ▲        └─► outcomes, onto their topic
    ticks ──────────────────────────────────┤
    flags ─► into the ledger ◄──────────────┘

Bytewax brings the workers and the exchange between them. Its recovery is not used: the ledger is the one truth, and
what was taken in, asked for and heard stands there before anything follows from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, FixedPartitionedSource, StatefulSourcePartition, StatelessSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from config.metrics import FLOW_WORKERS, HEARTBEAT
from dataflows.flag_reader import FlagReader
from dataflows.remedy_clock import wall_clock
from dataflows.remedy_means import Means
from dataflows.remedy_outcomes import Outcomes
from dataflows.remedy_shard import Shard
from dataflows.remedy_sources import Intake
from sinks.failures import noted
from sinks.ledger_rows import NewAction

TICK = timedelta(milliseconds=20)
LOOK_AGAIN = timedelta(milliseconds=100)
"""How long a source that has brought nothing waits before it looks again."""
TURNS_S = 0.2
"""How long a shard goes on with turns, as long as each finds something to do; then it is the next tick's."""

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


class FlagPart(StatefulSourcePartition[tuple[str, Item], None]):
    """Who reads flags, as Bytewax calls it: it brings nothing, what it reads stands in the ledger."""

    def __init__(self, reader: FlagReader | None, stopping: Callable[[], bool]) -> None:
        self._reader, self._stopping = reader, stopping
        self._awake: datetime | None = None
        if reader is not None:
            reader.start()

    @noted
    def next_batch(self) -> list[tuple[str, Item]]:
        """See whether all is well."""
        if self._stopping():
            raise StopIteration
        if self._reader is not None:
            self._reader.check()
        self._awake = datetime.now(UTC) + LOOK_AGAIN
        return []

    def next_awake(self) -> datetime | None:
        """Return when to look again."""
        return self._awake

    def snapshot(self) -> None:
        """How far it is stands in the ledger."""


class FlagSource(FixedPartitionedSource[tuple[str, Item], None]):
    """Reads flags, on one worker of all.

    Args:
        make_reader: Makes who reads them; None where there are none.
        stopping: Whether to stop.
    """

    def __init__(self, make_reader: Callable[[], FlagReader | None], stopping: Callable[[], bool]) -> None:
        self._make_reader, self._stopping = make_reader, stopping

    def list_parts(self) -> list[str]:
        """Return the one part."""
        return ["flags"]

    @noted
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> FlagPart:
        """Begin to read where the ledger stands."""
        return FlagPart(self._make_reader(), self._stopping)


class Ticks(DynamicSource[tuple[str, Item]]):
    """Wakes every shard again and again: answers come and waits end at any time. And tells that workers go on."""

    def __init__(self, shards: list[str], stopping: Callable[[], bool]) -> None:
        self._shards, self._stopping = shards, stopping

    def build(self, step_id: str, worker_index: int, worker_count: int) -> TickPart:
        """Build the ticks of one worker; only the first ticks."""
        FLOW_WORKERS.set(worker_count)
        return TickPart(self._shards if worker_index == 0 else [], self._stopping, str(worker_index))


class TickPart(StatelessSourcePartition[tuple[str, Item]]):
    """The ticks of one worker."""

    def __init__(self, shards: list[str], stopping: Callable[[], bool], worker: str) -> None:
        self._shards, self._stopping, self._worker = shards, stopping, worker
        self._awake: datetime | None = None

    def next_batch(self) -> list[tuple[str, Item]]:
        """Tick."""
        if self._stopping():
            raise StopIteration
        HEARTBEAT.set(time.time(), self._worker)
        self._awake = datetime.now(UTC) + TICK
        return [(shard, []) for shard in self._shards]

    def next_awake(self) -> datetime | None:
        """Return when to tick again."""
        return self._awake


class ShardPart(StatefulSinkPartition[Item, None]):
    """A shard, as Bytewax calls it."""

    def __init__(
        self, shard: Shard, outcomes: Outcomes | None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._shard, self._outcomes, self._monotonic = shard, outcomes, monotonic
        self._relay = None if outcomes is None else outcomes.relay(shard.writer)

    @noted
    def write_batch(self, values: list[Item]) -> None:
        """Begin with new actions, and do all that is due."""
        now = wall_clock()
        for new in values:
            self._shard.take(new, now)
        # Others wait for this worker: other shards, and those that bring actions and tell that it is alive.
        until = self._monotonic() + TURNS_S
        while self._shard.turn(now) and self._monotonic() < until:
            now = wall_clock()
        if self._relay is not None:
            self._relay.go_on()

    def snapshot(self) -> None:
        """How far it is stands in the ledger."""

    @noted
    def close(self) -> None:
        """Tell what is left to tell, if that does not take long."""
        if self._outcomes is not None and self._relay is not None:
            self._outcomes.let_out(self._relay)


class ShardSink(FixedPartitionedSink[Item, None]):
    """All shards.

    Args:
        names: Of the shards.
        means: What they work with.
        outcomes: Where what came of actions is told; None for nowhere but the ledger.
    """

    def __init__(self, names: list[str], means: Means, outcomes: Outcomes | None = None) -> None:
        self._names, self._means, self._outcomes = names, means, outcomes

    def list_parts(self) -> list[str]:
        """Return all shards: any worker can have any of them."""
        return self._names

    def part_fn(self, item_key: str) -> int:
        """Return the place of the shard that `item_key` names."""
        return self._names.index(item_key)

    @noted
    def build_part(self, step_id: str, for_part: str, resume_state: None) -> ShardPart:
        """Take a shard over, and go on with what it has left to do."""
        return ShardPart(Shard(for_part, self._means, wall_clock()), self._outcomes)


def build(actions: ActionSource, ticks: Ticks, flags: FlagSource, shards: ShardSink) -> Dataflow:
    """Return the flow."""
    flow = Dataflow("remediation")
    new = op.input("actions", flow, actions)
    due = op.input("ticks", flow, ticks)
    told = op.input("flags", flow, flags)
    op.output("effects", op.merge("to_shards", new, due, told), shards)
    return flow
