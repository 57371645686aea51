"""Topic partitions as Bytewax sources, wherever their bytes come from.

One Bytewax partition per topic partition. It reads large batches through a `Reader`, lets the partition's `Channel`
decode and judge them, aggregates telemetry into partials, and hands over one item per batch. Its snapshot is the
channel's state, offset included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zlib import crc32

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from config.clock import TIME_MAX
from config.events import Event
from config.identity import key_group
from dataflows.alignment import AlignmentBoard
from dataflows.stages import Emitter, StageItem, release_frames
from operators.batch import RawBatch
from operators.channel import Channel, Taken
from operators.window import combine
from sinks.failures import noted
from sinks.outbox import Release, part_names
from sinks.part_writer import ChannelStats

BLOCKED_FOR = timedelta(milliseconds=5)
"""How long a source that is ahead of the others, or of its pace, waits before it looks again."""


class Reader(Protocol):
    """Reads one partition in offset order."""

    def read(self, next_offset: int, limit: int) -> RawBatch | None:
        """Return up to `limit` records from `next_offset` on; None at the end of a finite partition."""

    def check_continues(self, next_offset: int, last_digest: str) -> None:
        """Refuse a partition that is not the one read so far.

        Raises:
            RecordingError: the record before `next_offset` is another one, or records in between are missing.
        """

    def idle_until(self, next_offset: int) -> int | None:
        """Return the watermark promised while the partition stood at `next_offset` and was idle, if it was."""

    def next_idle(self, next_offset: int) -> int | None:
        """Return the first offset after `next_offset` at which the partition was idle, if any."""

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
    receivers: Mapping[str, int]
    """Key groups by name of the receiving stages: `telemetry` and `journey`."""
    sink_parts: int
    panes: Mapping[str, int]
    """Length of a pane, microseconds, by event type."""
    drain: bool = False
    """At the end of the input, let time run out: every timer fires, every pane closes."""


class PartitionSource(FixedPartitionedSource[StageItem, bytes]):
    """All partitions of a job.

    Args:
        channels: Names of the partitions, `topic/partition`.
        open_reader: Opens the reader of a channel.
        open_channel: Builds the logic of a channel from its recovered state, if any.
        board: Opens the alignment board in this process.
        stopping: Whether the job was asked to stop.
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
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._open_reader, self._open_channel, self._open_board = open_reader, open_channel, board
        self._stopping = stopping
        self._pace = pace

    def list_parts(self) -> list[str]:
        """Return all channels: any worker can read any of them."""
        return self._channels

    @noted
    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> PartitionTicks:
        """Open a partition where it was left.

        Raises:
            RecordingError: the partition does not continue the one read so far.
        """
        channel = self._open_channel(for_part, resume_state)
        reader = self._open_reader(for_part)
        reader.check_continues(channel.next_offset, channel.last_digest)
        return PartitionTicks(self._settings, channel, reader, self._open_board(), self._stopping, self._pace)


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
    ) -> None:
        self._settings, self._channel, self._reader, self._board = settings, channel, reader, board
        self._stopping, self._pace = stopping, pace
        self._emitter = Emitter(channel.name, settings.receivers, settings.emit_interval, _wall_clock)
        self._own_part = crc32(channel.name.encode())
        self._awake: datetime | None = None
        self._ended = False
        self._snapshot: bytes | None = None
        # A resumed partition stands where it stood; unsaid, each would wait for the others to say it first.
        board.tell(channel.name, channel.watermark)

    @noted
    def next_batch(self) -> list[StageItem]:
        """Read, decode, judge and aggregate the next records."""
        if self._ended or self._stopping():
            raise StopIteration
        self._awake = None
        channel, settings = self._channel, self._settings
        if channel.watermark - settings.alignment_max > self._board.slowest():
            return self._wait()
        limit = settings.batch_records
        idle_at = self._reader.next_idle(channel.next_offset)
        if idle_at is not None:
            limit = min(limit, idle_at - channel.next_offset)
        if self._pace is not None:
            limit = self._pace.limit(self._reader, channel.next_offset, limit)
            if limit == 0:
                return self._wait()
        batch = self._reader.read(channel.next_offset, limit)
        if batch is None:
            return self._end()
        taken = channel.take(batch)
        idle_watermark = self._reader.idle_until(channel.next_offset)
        if idle_watermark is not None:
            channel.promise(idle_watermark)
        self._snapshot = None
        self._board.tell(channel.name, channel.watermark)
        return self._items(channel.watermark, taken, ended=False)

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
        return self._items(self._channel.watermark, None, ended=True)

    def _items(self, watermark: int, taken: Taken | None, *, ended: bool) -> list[StageItem]:
        settings, name = self._settings, self._channel.name
        events: dict[str, dict[int, list[Event]]] = {"journey": {}}
        partials = {}
        released: list[Event] = []
        if taken is not None:
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
        )

    def next_awake(self) -> datetime | None:
        """Return when to look again."""
        return self._awake

    @noted
    def snapshot(self) -> bytes:
        """Return the channel's state."""
        if self._snapshot is None:
            self._snapshot = self._channel.snapshot()
        return self._snapshot


def _wall_clock() -> datetime:
    return datetime.now(UTC)
