"""Topic partitions as Bytewax sources, wherever their bytes come from.

One Bytewax partition per topic partition. It reads large batches through a `Reader`, lets the partition's `Channel`
decode and judge them, aggregates telemetry into partials, and hands over one item per batch. Its snapshot is the
channel's state, offset included.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zlib import crc32

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from config.clock import TIME_MAX
from config.events import Event
from config.identity import key_group
from dataflows.alignment import AlignmentBoard
from dataflows.epoch_pace import EpochPace
from dataflows.overload import Sampling
from dataflows.partition_metrics import PartitionMetrics
from dataflows.stages import Emitter, StageItem, release_frames, route
from operators.autonomy_stage import routed
from operators.batch import RawBatch
from operators.channel import Channel, Position, Taken
from operators.control import ControlChannel
from operators.window import combine
from sinks.failures import noted
from sinks.outbox import Release, part_names
from sinks.part_writer import ChannelStats

BLOCKED_FOR = timedelta(milliseconds=5)
"""How long a source that has nothing to read, or is ahead of the others or of its pace, waits before it looks again."""


class Reader(Protocol):
    """Reads one partition, recorded or live, in offset order. No call may take long: a worker has other partitions."""

    def open(self, left: Position) -> Position:
        """Go to where the partition was left, or where it is to begin, and return where that is.

        Raises:
            RecordingError: it is not the recording read so far: the record before is another one, or some between are
                missing.
            TopicError: the same of a topic.
        """

    def read(self, next_offset: int, limit: int) -> RawBatch | None:
        """Return up to `limit` records from `next_offset` on: none if none are there now, None at the end for good."""

    def silent_until(self, next_offset: int) -> int | None:
        """Return the instant up to which nothing followed, microseconds, if the partition is idle at its end now.

        A recorded partition is idle where it was when it was live: see `idle_until`.
        """

    def publish(self, next_offset: int) -> None:
        """Tell others that everything before `next_offset` is processed and durable. Called again and again."""

    def close(self) -> None:
        """Let go of the partition."""

    def idle_until(self, next_offset: int) -> int | None:
        """Return the watermark promised while the partition stood at `next_offset` and was idle, if it was."""

    def next_idle(self, next_offset: int) -> int | None:
        """Return the first offset after `next_offset` at which the partition was idle, if any."""

    def behind(self, next_offset: int) -> int:
        """Return how many records from `next_offset` on are known to be there."""

    @property
    def until(self) -> int:
        """Event time up to which a finite partition is complete, exclusive, microseconds."""


class Pace(Protocol):
    """Holds a replay back to a multiple of real time."""

    def limit(self, reader: Reader, next_offset: int, limit: int) -> int:
        """Return how many of the next `limit` records are due now."""


@dataclass(frozen=True)
class SourceSettings:
    """What all partitions of a job's source share."""

    batch_records: int
    alignment_max: int
    """Microseconds."""
    emit_interval: timedelta
    epoch_interval: timedelta | None
    """Wall time between two snapshots; None for a single worker, which waits for no other at their end."""
    receivers: Mapping[str, int]
    """Key groups by name of the stages that data partitions send to: `telemetry` and `journey`."""
    sink_parts: int
    panes: Mapping[str, int]
    """Length of a pane, microseconds, by event type."""
    drain: bool = False
    """At the end of the input, let time run out: every timer fires, every pane closes."""
    floors: Mapping[str, int] = field(default_factory=dict)
    """Watermarks, microseconds, that partitions begin with, by channel: those who read already have come so far."""
    control_receivers: Mapping[str, int] = field(default_factory=dict)
    """The same as `receivers` of control partitions: `autonomy` and `case`."""
    follow: bool = False
    """Whether control partitions promise what the slowest data partition has come to: live they do, while of a
    recording it is known what they promised."""


class PartitionSource(FixedPartitionedSource[StageItem, bytes]):
    """All partitions of a job.

    Args:
        channels: Names of the partitions, `topic/partition`.
        open_reader: Opens the reader of a channel.
        open_channel: Builds the logic of a channel from its recovered state, if any.
        board: Opens the alignment board in this process.
        stopping: Whether the job was asked to stop.
        pace: Holds back what is not due.
        sampling: Says at which rate a channel is sampled.
        is_full: Whether so much waits to be released that nothing is to be read.
        controls: Those of the channels that are control partitions.
    """

    def __init__(
        self,
        settings: SourceSettings,
        channels: list[str],
        open_reader: Callable[[str], Reader],
        open_channel: Callable[[str, bytes | None], Channel],
        board: Callable[[], AlignmentBoard],
        stopping: Callable[[], bool],
        pace: Pace | None = None,
        sampling: Callable[[str], Sampling] | None = None,
        is_full: Callable[[], bool] = lambda: False,
        controls: frozenset[str] = frozenset(),
    ) -> None:
        self._settings = settings
        self._channels, self._controls = channels, controls
        self._open_reader, self._open_channel, self._open_board = open_reader, open_channel, board
        self._stopping = stopping
        self._pace, self._open_sampling, self._is_full = pace, sampling, is_full

    def list_parts(self) -> list[str]:
        """Return all channels: any worker can read any of them."""
        return self._channels

    def data_parts(self) -> tuple[str, ...]:
        """Return the channels that tell of the business."""
        return tuple(name for name in self._channels if name not in self._controls)

    def control_parts(self) -> tuple[str, ...]:
        """Return the channels that tell the job what to do."""
        return tuple(name for name in self._channels if name in self._controls)

    @noted
    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> PartitionTicks:
        """Open a partition where it was left.

        Raises:
            InputError: the partition does not continue the one read so far.
        """
        channel = self._open_channel(for_part, resume_state)
        reader = self._open_reader(for_part)
        left = channel.position
        channel.begin(reader.open(left))
        if not left.begun and for_part in self._settings.floors:
            channel.stay_idle(self._settings.floors[for_part])
        sampling = None if self._open_sampling is None else self._open_sampling(for_part)
        board = self._open_board()
        return PartitionTicks(
            self._settings, channel, reader, board, self._stopping, self._pace, sampling, self._is_full
        )


class PartitionTicks(StatefulSourcePartition[StageItem, bytes]):
    """One partition, as Bytewax calls it."""

    def __init__(
        self,
        settings: SourceSettings,
        channel: Channel,
        reader: Reader,
        board: AlignmentBoard,
        stopping: Callable[[], bool],
        pace: Pace | None,
        sampling: Sampling | None = None,
        is_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings, self._channel, self._reader, self._board = settings, channel, reader, board
        self._stopping, self._pace, self._sampling, self._is_full = stopping, pace, sampling, is_full
        self._control = isinstance(channel, ControlChannel)
        receivers = settings.control_receivers if self._control else settings.receivers
        self._emitter = Emitter(channel.name, receivers, settings.emit_interval, _wall_clock)
        self._epoch = EpochPace(None if settings.epoch_interval is None else settings.epoch_interval.total_seconds())
        self._own_part = crc32(channel.name.encode())
        self._awake: datetime | None = None
        self._ended = False
        self._snapshot: bytes | None = None
        self._durable = channel.next_offset
        """Offset in the last snapshot: durable by the next call."""
        self._metrics = PartitionMetrics(channel, board.slowest, delays=not self._control)
        self._metrics.stands(reader.behind(channel.next_offset))
        idle_watermark = reader.idle_until(channel.next_offset)
        if idle_watermark is not None:
            channel.stay_idle(idle_watermark)
        self._emitter.owe(channel.watermark)
        # A resumed partition stands where it stood; unsaid, each would wait for the others to say it first.
        self._tell_board()

    @noted
    def next_batch(self) -> list[StageItem]:
        """Read, decode, judge and aggregate the next records."""
        # Bytewax asks for a batch of the next epoch only when the one before is durable.
        self._reader.publish(self._durable)
        if self._ended or self._stopping():
            raise StopIteration
        self._awake = None
        channel, settings = self._channel, self._settings
        slowest = self._board.slowest()
        self._metrics.sees(slowest)
        if channel.watermark - settings.alignment_max > slowest:
            self._metrics.waits()
            return self._wait()
        if self._is_full():
            return self._wait()  # no progress: who waits for a store for long is not ready
        border = self._border()
        limit = self._epoch.limit(settings.batch_records)
        if border is not None:
            limit = min(limit, border - channel.next_offset)
        if self._pace is not None:
            limit = self._pace.limit(self._reader, channel.next_offset, limit)
            if limit == 0:
                self._metrics.waits()
                return self._wait()
        if self._control and settings.follow:
            self._keep_up()
        began = time.perf_counter()
        found = self._reader.read(channel.next_offset, limit)
        if found is None:
            return self._end()
        if not len(found):
            return self._quiet()
        self._resample()
        batch = found if border is None else found.until(border)
        taken = channel.take(batch)
        if border is not None and len(batch) < len(found):
            channel.pass_over(border)  # before the border was a hole
        idle_watermark = self._reader.idle_until(channel.next_offset)
        if idle_watermark is not None:
            channel.stay_idle(idle_watermark)
        self._snapshot = None
        self._tell_board()
        items = self._items(channel.watermark, taken, ended=False)
        spent = time.perf_counter() - began
        self._epoch.took(len(batch), spent)
        self._metrics.took(taken, spent, self._board.slowest())
        self._metrics.stands(self._reader.behind(channel.next_offset), idle=idle_watermark is not None)
        return items

    def _tell_board(self) -> None:
        if self._control:
            self._board.leave(self._channel.name)  # nobody waits for what people may say
        else:
            self._board.tell(self._channel.name, self._channel.watermark)

    def _keep_up(self) -> None:
        """Promise what the slowest data partition promised: the stages need not wait for a control partition."""
        if self._channel.stay_idle_for(self._board.reached()):
            self._snapshot = None
            self._emitter.owe(self._channel.watermark)

    def _border(self) -> int | None:
        """Return the next offset at which something was decided when this was live: up to there go batches."""
        at = self._channel.next_offset
        borders = [self._reader.next_idle(at), None if self._sampling is None else self._sampling.next_change(at)]
        return min((border for border in borders if border is not None), default=None)

    def _resample(self) -> None:
        """Decide at which rate to go on: there is something to read."""
        if self._sampling is not None:
            channel, at = self._channel, self._channel.next_offset
            channel.sample(self._sampling.one_in(at, self._reader.behind(at), channel.one_in))

    def _quiet(self) -> list[StageItem]:
        """Nothing is there now: wait, or promise that nothing earlier will come."""
        silent_until = self._reader.silent_until(self._channel.next_offset)
        if self._control:
            if silent_until is not None:
                self._metrics.waits()  # a broker said that it is all
                self._metrics.stands(0, idle=True)
            return self._wait()
        if silent_until is None or not self._channel.stay_idle_for(silent_until):
            return self._wait()
        self._snapshot = None
        self._board.leave(self._channel.name, self._channel.watermark)
        self._metrics.promised(self._board.slowest())
        self._metrics.stands(0, idle=True)
        self._awake = _wall_clock() + BLOCKED_FOR
        return self._items(self._channel.watermark, None, ended=False)

    def _wait(self) -> list[StageItem]:
        self._awake = _wall_clock() + BLOCKED_FOR
        due_at = self._emitter.due_at
        if due_at is None or due_at > _wall_clock():
            return []
        return [StageItem(self._emitter.overdue())]

    def _end(self) -> list[StageItem]:
        self._ended = True
        self._board.leave(self._channel.name)
        # What comes later, in a recording that continues this one, has to keep the promise made here.
        self._channel.promise(TIME_MAX if self._settings.drain else self._reader.until)
        self._snapshot = None
        self._metrics.stands(0, ended=True)
        return self._items(self._channel.watermark, None, ended=True)

    def _items(self, watermark: int, taken: Taken | None, *, ended: bool) -> list[StageItem]:
        settings, name = self._settings, self._channel.name
        events: dict[str, dict[int, list[Event]]] = {"journey": {}}
        partials = {}
        released: list[Event] = []
        if taken is not None and self._control:
            gone = (each for event in taken.events for each in routed(event))
            events, released = route(gone, settings.control_receivers), taken.released
        elif taken is not None:
            groups = settings.receivers["journey"]
            for event in taken.events:
                events["journey"].setdefault(key_group(event.key, groups), []).append(event)
            partials["telemetry"] = combine(taken.measures, name, settings.panes, settings.receivers["telemetry"])
            released = taken.released
        frames = self._emitter.frames(watermark, events, partials, ended=ended)
        releases = release_frames(name, self._own_part, settings.sink_parts, released, ended)
        own = part_names(settings.sink_parts)[self._own_part % settings.sink_parts]
        # First, for a sender that has ended says no more.
        releases.insert(0, (own, Release(name, [], False, [self._stats(watermark)])))
        return [StageItem(frames, releases)]

    def _stats(self, watermark: int) -> ChannelStats:
        counts = self._channel.counts
        return ChannelStats(
            self._channel.name,
            self._channel.next_offset,
            watermark,
            counts.records,
            counts.accepted,
            counts.late,
            counts.duplicates,
            counts.rejected,
            counts.held,
            shed=counts.shed,
        )

    def next_awake(self) -> datetime | None:
        """Return when to look again."""
        return self._awake

    @noted
    def snapshot(self) -> bytes:
        """Return the channel's state."""
        self._epoch.begin()
        if self._snapshot is None:
            began = time.perf_counter()
            self._snapshot = self._channel.snapshot()
            self._metrics.saved(len(self._snapshot), time.perf_counter() - began)
            self._durable = self._channel.next_offset
        self._metrics.epoch_ended()
        return self._snapshot

    def close(self) -> None:
        """Let go of the partition; nothing is written."""
        self._reader.close()


def _wall_clock() -> datetime:
    return datetime.now(UTC)
