"""Stages on Bytewax: key groups as `stateful_batch` logics, and the frames between them.

A stage's Bytewax key is its key group, so a group runs on one worker and its state is one row of the recovery. What
a group emits in one activation leaves as one item, from which each receiving stage picks its frames: one per
receiving group that has something to get. The others learn of the risen watermark by an empty frame, at most every
`emit_interval` of wall time; that economy changes the pace, never the results.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Stream
from bytewax.operators import StatefulBatchLogic

from config.clock import TIME_MIN
from config.events import BROADCAST, RELEASE, Event
from config.identity import key_group
from config.metrics import SNAPSHOT_SECONDS, STAGE_SECONDS, STATE_BYTES
from operators.frame import Frame
from operators.keyed import KeyedGroup, body_decoder
from operators.logic import KeyedLogic
from sinks.chain import kind_of
from sinks.failures import noted
from sinks.outbox import Release, part_names, part_of
from sinks.part_writer import ChannelStats
from sinks.statelog import StateLog


@dataclass(frozen=True)
class StatePlace:
    """Where the state logs of all groups are."""

    folder: Path
    inline_bytes: int


@dataclass(frozen=True)
class Stage:
    """What is needed to build one stage.

    `receivers` are the stages it sends frames to, with their number of key groups.
    """

    name: str
    key_groups: int
    logic: Callable[[], KeyedLogic[Any]]
    channels: tuple[str, ...]
    receivers: Mapping[str, int]
    sink_parts: int
    emit_interval: timedelta
    place: StatePlace

    @property
    def outlets(self) -> tuple[str, ...]:
        """Names of the channels by which this stage speaks, one per key group."""
        return tuple(group_channel(self.name, group) for group in range(self.key_groups))


class StageItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one sender emits at once: frames by receiving stage, and what it releases, by sink part."""

    frames: dict[str, list[Frame]]
    releases: list[tuple[str, Release]] = []


def group_channel(stage: str, group: int) -> str:
    """Return the name of the channel by which a key group speaks."""
    return f"@{stage}/{group}"


class Emitter:
    """Turns what one sender emits into frames: the frame economy.

    Args:
        channel: The sender's channel.
        receivers: Number of key groups by name of the receiving stages.
        emit_interval: Between two empty frames, at least.
        clock: Wall clock; it paces, and decides nothing else.
    """

    def __init__(
        self,
        channel: str,
        receivers: Mapping[str, int],
        emit_interval: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._channel = channel
        self._receivers = receivers
        self._interval = emit_interval
        self._clock = clock
        self._told = TIME_MIN
        self._told_at = datetime.min.replace(tzinfo=UTC)
        self._ended_told = False
        self._pending = TIME_MIN

    def frames(
        self,
        watermark: int,
        events: Mapping[str, Mapping[int, list[Event]]],
        partials: Mapping[str, Mapping[int, list[Any]]],
        *,
        ended: bool = False,
    ) -> dict[str, list[Frame]]:
        """Return the frames to send now, by receiving stage."""
        self._pending = watermark
        now = self._clock()
        tell_all = (ended and not self._ended_told) or (
            watermark > self._told and now - self._told_at >= self._interval
        )
        made: dict[str, list[Frame]] = {}
        for stage, groups in self._receivers.items():
            of_stage, merged = events.get(stage, {}), partials.get(stage, {})
            chosen: Iterable[int] = range(groups) if tell_all else sorted(of_stage.keys() | merged.keys())
            made[stage] = [
                Frame(g, self._channel, watermark, of_stage.get(g, []), merged.get(g, []), ended) for g in chosen
            ]
        if tell_all:
            self._told, self._told_at, self._ended_told = watermark, now, ended
        return made

    def owe(self, watermark: int) -> None:
        """Take note of a watermark reached before a stop, which nobody may have been told."""
        self._pending = watermark

    @property
    def due_at(self) -> datetime | None:
        """When an empty frame is due that was held back, None when nothing is."""
        return self._told_at + self._interval if self._pending > self._told else None

    def overdue(self) -> dict[str, list[Frame]]:
        """Return the empty frames that were held back."""
        return self.frames(self._pending, {}, {}, ended=self._ended_told)


def route(emitted: Iterable[tuple[str, Event]], receivers: Mapping[str, int]) -> dict[str, dict[int, list[Event]]]:
    """Sort events by receiving stage and key group; `RELEASE` is left to the caller."""
    routed: dict[str, dict[int, list[Event]]] = {stage: {} for stage in receivers}
    for to, event in emitted:
        if to == RELEASE:
            continue
        groups = receivers[to]
        chosen = range(groups) if event.key == BROADCAST else (key_group(event.key, groups),)
        for group in chosen:
            routed[to].setdefault(group, []).append(event)
    return routed


class StageLogic(StatefulBatchLogic[Frame, StageItem, bytes]):
    """One key group of a stage, as Bytewax calls it. Which one it is, the first frame or the state tells."""

    @noted
    def __init__(self, stage: Stage, state: bytes | None) -> None:
        self._stage = stage
        self._group: KeyedGroup[Any] = KeyedGroup(stage.logic(), stage.channels)
        self._log: StateLog | None = None
        self._emitter: Emitter | None = None
        self._number = -1
        self._ended_told = False
        self._snapshot: bytes | None = None
        self._bytes = 0
        if state is not None:
            self._number, token = msgspec.msgpack.decode(state, type=tuple[int, bytes])
            self._log, deltas = StateLog.resume(stage.place.folder, stage.place.inline_bytes, token)
            self._group.restore(deltas)
            self._open(self._number).owe(self._group.cut)

    def _open(self, number: int) -> Emitter:
        stage = self._stage
        self._number = number
        if self._log is None:
            self._log = StateLog(stage.place.folder, f"{stage.name}-{number}", stage.place.inline_bytes)
        self._emitter = Emitter(group_channel(stage.name, number), stage.receivers, stage.emit_interval, _wall_clock)
        return self._emitter

    @noted
    def on_batch(self, values: list[Frame]) -> tuple[Iterable[StageItem], bool]:
        """Take in frames, process what they allow, emit one item."""
        began = time.perf_counter()
        if self._emitter is None:
            self._open(values[0].to)
        assert self._emitter is not None
        group = self._group
        for frame in values:
            group.receive(frame)
        emitted = group.advance()
        self._snapshot = None
        frames = self._emitter.frames(group.cut, route(emitted, self._stage.receivers), {}, ended=group.ended)
        items = self._item(frames, emitted)
        STAGE_SECONDS.observe(time.perf_counter() - began, self._stage.name)
        return items, StatefulBatchLogic.RETAIN

    @noted
    def on_notify(self) -> tuple[Iterable[StageItem], bool]:
        """Send the empty frames that were held back."""
        assert self._emitter is not None
        return self._item(self._emitter.overdue(), []), StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        """Return when held-back frames are due."""
        return None if self._emitter is None else self._emitter.due_at

    def _item(self, frames: dict[str, list[Frame]], emitted: list[tuple[str, Event]]) -> list[StageItem]:
        stage, group = self._stage, self._group
        channel = group_channel(stage.name, self._number)
        events = [event for to, event in emitted if to == RELEASE]
        ended = group.ended and not self._ended_told
        self._ended_told = self._ended_told or ended
        releases = release_frames(channel, self._number, stage.sink_parts, events, ended)
        if ended:
            stats = ChannelStats(
                channel,
                next_offset=0,
                watermark=group.cut,
                open_keys=group.keys,
                open_timers=group.open_timers,
                open_events=group.open_events,
            )
            # First, for a sender that has ended says no more.
            releases.insert(0, (part_of(self._number, part_names(stage.sink_parts)), Release(channel, stats=[stats])))
        if not releases and not any(frames.values()):
            return []
        return [StageItem(frames, releases)]

    @noted
    def snapshot(self) -> bytes:
        """Make the group's changes durable and return where they are."""
        if self._snapshot is None:
            assert self._log is not None
            began = time.perf_counter()
            token = self._log.snapshot(self._group.delta(), self._group.whole)
            self._snapshot = msgspec.msgpack.encode((self._number, token))
            SNAPSHOT_SECONDS.observe(time.perf_counter() - began, self._stage.name)
            STATE_BYTES.add(self._log.size_bytes - self._bytes, self._stage.name)
            self._bytes = self._log.size_bytes
        return self._snapshot


def release_frames(sender: str, group: int, parts: int, events: list[Event], ended: bool) -> list[tuple[str, Release]]:
    """Return what a sender releases: its events to its own part, and its end to every part."""
    names = part_names(parts)
    own = part_of(group, names)
    if ended:
        return [(name, Release(sender, events if name == own else [], True)) for name in names]
    return [(own, Release(sender, events))] if events else []


def build_stage(flow_step: str, stage: Stage, frames: Stream[tuple[str, Frame]]) -> Stream[StageItem]:
    """Add a stage to the flow; returns the stream of what its groups emit."""
    body_decoder(stage.logic().state_type)  # here, where no worker runs yet
    keyed = op.stateful_batch(flow_step, frames, lambda state: StageLogic(stage, state))
    return op.map(f"{flow_step}_items", keyed, _value)


def frames_for(step: str, stage: str, items: Stream[StageItem]) -> Stream[tuple[str, Frame]]:
    """Pick the frames that go to `stage`, keyed by its key groups."""

    def pick(item: StageItem) -> list[tuple[str, Frame]]:
        return [(f"{frame.to:03d}", frame) for frame in item.frames.get(stage, ())]

    return op.flat_map(step, items, pick)


def releases_of(step: str, items: Stream[StageItem]) -> Stream[tuple[str, Release]]:
    """Pick what goes to the outbox, keyed by sink part."""
    return op.flat_map(step, items, lambda item: item.releases)


def only(kinds: frozenset[str]) -> Callable[[tuple[str, Release]], list[tuple[str, Release]]]:
    """Return what leaves of a release its outputs of some kinds and its end, and drops one without either."""

    def pick(keyed: tuple[str, Release]) -> list[tuple[str, Release]]:
        part, release = keyed
        events = [event for event in release.events if kind_of(event.type) in kinds]
        return [(part, Release(release.sender, events, release.ended))] if events or release.ended else []

    return pick


def _value(keyed: tuple[str, StageItem]) -> StageItem:
    return keyed[1]


def _wall_clock() -> datetime:
    return datetime.now(UTC)
