"""All stages of the detection flow in one thread, under any schedule that a seed draws.

The stages are the product's own, `StageLogic` and `Emitter` included; only Bytewax is missing. In its place: queues
that keep the order of each sender, a source per partition that reads as much as the schedule says, checkpoints with
nothing under way, and crashes back to the last of them.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl

from config.clock import TIME_MIN
from config.events import Event
from config.settings import KeyGroups
from dataflows.detection import Layout, Logics, control_receivers_of, receivers_of, stages
from dataflows.stages import Emitter, Stage, StageItem, StageLogic, StatePlace, route
from operators.autonomy_stage import routed
from operators.frame import Frame
from operators.window import combine
from sinks.chain import canonical
from tests.support.measures import Measure, table

Fact = Event | Measure
Output = tuple[str, str, int, str, bytes]
"""Type, id, event time, key, body: what a digest is made of."""

GROUPS = KeyGroups(telemetry=2, journey=3, cause=2, case=3)
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Content:
    """What the partitions hold, and how it is judged."""

    partitions: Mapping[str, list[Fact]]
    lateness: int
    until: int
    panes: Mapping[str, int]
    controls: frozenset[str] = frozenset()
    """Those of the partitions that are control partitions."""
    accepted: dict[str, list[tuple[int, Fact, int]]] = field(init=False)
    """By partition: offset, fact, and the watermark after it, of all facts that are not late."""
    _combined: dict[tuple[str, int, int], dict[int, list[Any]]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.accepted = {}
        for name, facts in self.partitions.items():
            newest, kept = TIME_MIN, []
            for offset, fact in enumerate(facts):
                if fact.at >= newest - self.lateness:
                    newest = max(newest, fact.at)
                    kept.append((offset, fact, newest - self.lateness))
            self.accepted[name] = kept

    def partials(self, name: str, begin: int, end: int) -> dict[int, list[Any]]:
        """Return the partials of a batch, by key group; made once, for many schedules cut alike."""
        made = self._combined.get((name, begin, end))
        if made is None:
            rows = [(offset, fact) for offset, fact, _ in self.accepted[name][begin:end] if isinstance(fact, Measure)]
            offsets = pl.Series([offset for offset, _ in rows], dtype=pl.Int64)
            frame = table([fact for _, fact in rows]).with_columns(offset=offsets)
            made = self._combined[name, begin, end] = combine(frame, name, self.panes, GROUPS.telemetry)
        return made

    def events(self, name: str, begin: int, end: int) -> dict[str, dict[int, list[Event]]]:
        """Return the events of a batch, by receiving stage and key group."""
        events = [
            Event(fact.at, fact.id, fact.key, fact.type, fact.data, name, offset)
            for offset, fact, _ in self.accepted[name][begin:end]
            if isinstance(fact, Event)
        ]
        if name in self.controls:
            return route((each for event in events for each in routed(event)), control_receivers_of(GROUPS))
        return route((("journey", event) for event in events), {"journey": GROUPS.journey})

    def receivers(self, name: str) -> dict[str, int]:
        """Return the stages that a partition sends to, with their key groups."""
        return control_receivers_of(GROUPS) if name in self.controls else receivers_of(GROUPS)


@dataclass(frozen=True)
class Schedule:
    """How a run goes; nothing of it may be seen in its outputs."""

    seed: int
    batch_max: int = 400
    checkpoint_rate: float = 0.02
    crash_rate: float = 0.01
    emit_interval: timedelta = timedelta(0)
    inline_bytes: int = 1 << 30
    """Below the size of the state, its logs are files."""


CUTS = 16
"""Batches of measures end at multiples of it: schedules then share the costly aggregation of equal batches."""


class Pipeline:
    """One run over `content`; `outputs` after `run` are what left."""

    def __init__(self, content: Content, logics: Logics, schedule: Schedule, folder: Path) -> None:
        self.content, self.schedule = content, schedule
        self.rng = random.Random(schedule.seed)
        self.now = START
        place = StatePlace(folder, schedule.inline_bytes)
        layout = Layout(GROUPS, 2, schedule.emit_interval)
        data = tuple(name for name in content.partitions if name not in content.controls)
        controls = tuple(name for name in content.partitions if name in content.controls)
        self.stages: dict[str, Stage] = stages(layout, logics, data, place, controls)
        self.queues: dict[tuple[str, int], dict[str, deque[Frame]]] = {}
        self.released: list[Event] = []
        self.crashes = 0
        self._resume({}, dict.fromkeys(content.partitions, 0))
        self._checkpoint()

    def run(self) -> list[Output]:
        """Run to the end of all partitions; return what was released, sorted."""
        with patch("dataflows.stages._wall_clock", self._clock):
            while not all(self.ended.values()) or self._pending() or self._due():
                self._step()
        assert all(node._group.ended for node in self.nodes.values())
        return sorted((e.type, e.id, e.at, e.key, canonical(e.data)) for e in self.released)

    def _clock(self) -> datetime:
        return self.now

    # -- what may happen next --------------------------------------------------------------------------------------

    def _step(self) -> None:
        rng = self.rng
        chance = rng.random()
        if chance < self.schedule.crash_rate:
            self._crash()
        elif chance < self.schedule.crash_rate + self.schedule.checkpoint_rate:
            self._settle()
            self._checkpoint()
        elif chance < 0.1:
            self.now += timedelta(milliseconds=rng.choice((1, 60, 1000)))
            self._notify()
        elif self._pending() and (chance < 0.8 or all(self.ended.values())):
            self._deliver(rng.choice(self._pending()))
        elif reading := [name for name, ended in self.ended.items() if not ended]:
            self._read(rng.choice(reading))
        else:
            self.now += timedelta(seconds=1)
            self._notify()

    def _read(self, name: str) -> None:
        content, begin = self.content, self.positions[name]
        accepted = content.accepted[name]
        if begin >= len(accepted):
            self.ended[name] = True
            watermark = max(accepted[-1][2] if accepted else TIME_MIN, content.until)
            frames = self.emitters[name].frames(watermark, {}, {}, ended=True)
        else:
            end = min(begin + self.rng.randrange(1, self.schedule.batch_max + 1), len(accepted))
            if end < len(accepted) and isinstance(accepted[begin][1], Measure):
                end = max(end // CUTS * CUTS, begin + CUTS - begin % CUTS)
            self.positions[name] = end = min(end, len(accepted))
            events, partials = content.events(name, begin, end), content.partials(name, begin, end)
            frames = self.emitters[name].frames(accepted[end - 1][2], events, {"telemetry": partials})
        self._send(frames)

    def _deliver(self, to: tuple[str, int]) -> None:
        """Hand a node some of what waits for it, each sender's frames in order."""
        queues = self.queues[to]
        frames: list[Frame] = []
        for _ in range(self.rng.randrange(1, 6)):
            waiting = sorted(sender for sender, queue in queues.items() if queue)
            if not waiting:
                break
            frames.append(queues[self.rng.choice(waiting)].popleft())
        node = self.nodes.get(to)
        if node is None:
            node = self.nodes[to] = StageLogic(self.stages[to[0]], None)
        self._emit(node.on_batch(frames)[0])

    def _notify(self) -> None:
        for node in self._due():
            self._emit(node.on_notify()[0])
        for emitter in self.emitters.values():
            if emitter.due_at is not None and emitter.due_at <= self.now:
                self._send(emitter.overdue())

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        while pending := self._pending():
            self._deliver(self.rng.choice(pending))

    def _checkpoint(self) -> None:
        snapshots = {name: node.snapshot() for name, node in self.nodes.items()}
        self.saved = (snapshots, dict(self.positions), len(self.released))

    def _crash(self) -> None:
        self.crashes += 1
        snapshots, positions, released = self.saved
        del self.released[released:]
        self._resume(snapshots, positions)

    def _resume(self, snapshots: Mapping[tuple[str, int], bytes], positions: Mapping[str, int]) -> None:
        self.queues = {(s.name, g): {} for s in self.stages.values() for g in range(s.key_groups)}
        self.nodes = {to: StageLogic(self.stages[to[0]], state) for to, state in snapshots.items()}
        self.positions = dict(positions)
        self.ended = dict.fromkeys(self.content.partitions, False)
        interval, content = self.schedule.emit_interval, self.content
        self.emitters = {
            name: Emitter(name, content.receivers(name), interval, self._clock) for name in content.partitions
        }

    # -- routing ---------------------------------------------------------------------------------------------------

    def _emit(self, items: Any) -> None:
        item: StageItem
        for item in items:
            self._send(item.frames)
            self.released += [event for _, release in item.releases for event in release.events]

    def _send(self, frames: Mapping[str, list[Frame]]) -> None:
        for stage, of_stage in frames.items():
            for frame in of_stage:
                self.queues[stage, frame.to].setdefault(frame.channel, deque()).append(frame)

    def _pending(self) -> list[tuple[str, int]]:
        return [to for to, queues in self.queues.items() if any(queues.values())]

    def _due(self) -> list[StageLogic]:
        return [node for node in self.nodes.values() if node.notify_at() is not None]

    def groups(self) -> Iterator[tuple[str, Any]]:
        """Yield each node's key group, to look at."""
        for (stage, _), node in self.nodes.items():
            yield stage, node._group
