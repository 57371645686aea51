"""A recording's partitions as readers of the job's source."""

from __future__ import annotations

import time
from datetime import timedelta

import msgspec

from config.clock import micros
from config.errors import RecordingError
from dataflows.sources import Reader
from operators.batch import RawBatch
from operators.channel import Position
from replay.reader import PartitionReader
from replay.recording import Recording


class RecordedPartition:
    """Reads one partition of a recording: a `dataflows.sources.Reader`.

    Args:
        recording: The recording it is of.
        channel: `topic/partition`.
    """

    def __init__(self, recording: Recording, channel: str) -> None:
        topic, _, partition = channel.rpartition("/")
        self._channel = channel
        self._folder = recording.folder
        self._reader = recording.reader(topic, int(partition))
        self._until = recording.recorded_until
        self._idle = {
            idle.next_offset: idle.watermark
            for idle in recording.manifest.idle
            if (idle.topic, idle.partition) == (topic, int(partition))
        }

    @property
    def until(self) -> int:
        """Event time up to which the recording is complete, exclusive, microseconds."""
        return self._until

    @property
    def records(self) -> PartitionReader:
        """The records themselves."""
        return self._reader

    def open(self, left: Position) -> Position:
        """Go to where the partition was left; refuse a recording that does not continue the one read so far.

        Raises:
            RecordingError: the record before that is another one, or records in between are missing.
        """
        first, end, at = self._reader.first_offset, self._reader.end_offset, left.next_offset
        if not left.last_digest or at == first:
            return msgspec.structs.replace(left, next_offset=max(first, at))
        if not first < at <= end:
            raise RecordingError(
                f"{self._folder}: {self._channel} holds offsets {first} to {end - 1}, "
                f"the recovery folder goes on at {at}",
                remedy="Replay the recording that comes next, or start with a new store.",
            )
        if self._reader.record_digest(at - 1) != left.last_digest:
            raise RecordingError(
                f"{self._folder}: {self._channel} offset {at - 1} is not the record that was read before: "
                "the recovery folder was made from another recording",
                remedy="Name the recording it was made from, or start with a new store.",
            )
        return left

    def read(self, next_offset: int, limit: int) -> RawBatch | None:
        """Return up to `limit` records from `next_offset` on, None at the end."""
        return self._reader.read(next_offset, limit)

    def silent_until(self, next_offset: int) -> int | None:
        """Return None: it is known where the partition was idle, see `idle_until`."""
        return None

    def publish(self, next_offset: int) -> None:
        """Nobody follows how far a replay is."""

    def close(self) -> None:
        """Nothing is held that has to be given back."""

    def behind(self, next_offset: int) -> int:
        """Return how many offsets from `next_offset` on the recording still has."""
        return max(self._reader.end_offset - max(next_offset, self._reader.first_offset), 0)

    def idle_until(self, next_offset: int) -> int | None:
        """Return the watermark promised while the partition was idle at `next_offset`, if it was."""
        return self._idle.get(next_offset)

    def next_idle(self, next_offset: int) -> int | None:
        """Return the first offset after `next_offset` at which the partition was idle, if any."""
        return min((offset for offset in self._idle if offset > next_offset), default=None)


class SilentPartition:
    """A control partition that was read before and of which the recording holds nothing: nobody said anything more.

    Args:
        recording: Tells how far it goes.
    """

    def __init__(self, recording: Recording) -> None:
        self._until = recording.recorded_until

    @property
    def until(self) -> int:
        """Event time up to which the recording is complete, exclusive, microseconds."""
        return self._until

    def open(self, left: Position) -> Position:
        """Stay where it was left."""
        return left

    def read(self, next_offset: int, limit: int) -> RawBatch | None:
        """Return None: it is at its end."""
        return None

    def silent_until(self, next_offset: int) -> int | None:
        """Return None: what holds at the end of a recording, `until` says."""
        return None

    def publish(self, next_offset: int) -> None:
        """Nobody follows how far a replay is."""

    def close(self) -> None:
        """Nothing is held that has to be given back."""

    def behind(self, next_offset: int) -> int:
        """Return 0."""
        return 0

    def idle_until(self, next_offset: int) -> int | None:
        """Return None: nothing was promised beside its end."""
        return None

    def next_idle(self, next_offset: int) -> int | None:
        """Return None, as there is none."""
        return None


class RecordedSampling:
    """Samples a partition as it was when it was live: a `dataflows.overload.Sampling`.

    Args:
        recording: The recording it is of.
        channel: `topic/partition`.
    """

    def __init__(self, recording: Recording, channel: str) -> None:
        topic, _, partition = channel.rpartition("/")
        sampled = recording.manifest.sampled or []
        self._changes = sorted(
            (each.next_offset, each.one_in)
            for each in sampled
            if (each.topic, each.partition) == (topic, int(partition))
        )

    def one_in(self, next_offset: int, behind: int, current: int) -> int:
        """Return the rate decided last, or the one up to here where none was."""
        decided = [one_in for offset, one_in in self._changes if offset <= next_offset]
        return decided[-1] if decided else current

    def next_change(self, next_offset: int) -> int | None:
        """Return the first offset after `next_offset` at which the rate changed."""
        return next((offset for offset, _ in self._changes if offset > next_offset), None)


class Speed:
    """Paces a replay at a multiple of real time, by the records' own timestamps: a `dataflows.sources.Pace`.

    Args:
        factor: 60 replays an hour in a minute.
        start_ms: Timestamp of the recording's first record, milliseconds; the clock starts at the first question.
    """

    def __init__(self, factor: float, start_ms: int) -> None:
        self._per_ms = factor * 1000
        self._start_ms = start_ms
        self._began: float | None = None

    def limit(self, reader: Reader, next_offset: int, limit: int) -> int:
        """Return how many of the next `limit` records are due now; all, once the partition's end is due."""
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        due_ms = self._start_ms + int((now - self._began) * self._per_ms)
        if not isinstance(reader, RecordedPartition) or due_ms >= reader.until // micros(timedelta(milliseconds=1)):
            return limit
        return min(limit, max(reader.records.end_before(due_ms) - next_offset, 0))
