"""Cuts a recording by time, so that one cut continues the other.

A cut is a range of offsets per partition, and offsets are kept. The border of a time T is after the last record
stamped before T: from there on no record is stamped earlier, so the cut before may say "recorded until T" with truth
even where stamps are out of order. The same T gives the same border to the cut that ends and the one that begins
there; hence replaying [0, T1) and then [T1, T2) into one store equals replaying [0, T2).

That holds where a record's timestamp is not later than its event time plus what the caller allows for: a record
stamped after T1 with an event time before T1 would be late for the second cut, though it may not have been for the
whole. Where producers stamp late, pass a `recorded_until` that much before `until`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfile

from config.clock import to_text
from config.errors import UsageError
from replay.manifest import Idle, Manifest, Partition, Sampled, sampled_within, schema_file
from replay.recording import Recording
from replay.writer import RecordingWriter


def cut(
    recording: Recording,
    into: Path,
    *,
    created_at: int,
    from_: int | None = None,
    until: int | None = None,
    recorded_until: int | None = None,
    advance: Callable[[int], None] = lambda _records: None,
) -> Manifest:
    """Write the part of `recording` between two instants as a recording of its own.

    Args:
        recording: What to cut; verified by the caller.
        into: Folder of the cut.
        created_at: Wall clock, microseconds.
        from_: First instant, microseconds; by default the recording's beginning.
        until: Last instant, exclusive; by default the recording's end.
        recorded_until: Event time until which the cut is complete; by default `until`.
        advance: Called with how many more records were written.

    Raises:
        UsageError: The instants are not in order, or beyond the recording's end; the folder is taken.
        RecordingError: The recording is damaged.
        EnvironmentFault: The disk is full or gone.
    """
    end = recording.recorded_until
    last = end if until is None else until
    complete = last if recorded_until is None else recorded_until
    if last > end or complete > last:
        raise UsageError(
            f"the cut would be recorded until {to_text(max(last, complete))}, "
            f"but what it is cut from only until {to_text(min(last, end))}.",
            remedy=f"Cut until {to_text(end)} at the latest.",
        )
    if from_ is not None and from_ >= last:
        raise UsageError(f"--from {to_text(from_)} is not before --until {to_text(last)}.", remedy="Swap them.")
    with RecordingWriter(into, created_at=created_at) as writer:
        idle: list[Idle] = []
        sampled: list[Sampled] = []
        for part in recording.partitions:
            with recording.reader(part.topic, part.partition) as reader:
                first = part.first_offset if from_ is None else reader.end_before(_millis(from_))
                stop = part.end_offset if until is None else reader.end_before(_millis(until))
                writer.declare(part.topic, part.partition, first)
                for table in reader.tables(first, stop):
                    writer.append_table(part.topic, part.partition, table)
                    advance(table.num_rows)
            idle.extend(_idle_within(recording, part, first, stop))
            sampled.extend(sampled_within(recording.manifest.sampled or (), part.topic, part.partition, first, stop))
        labels = recording.labels
        if labels:
            copyfile(labels, into / labels.name)
        schemas = [schema.id for schema in recording.manifest.schemas or ()]
        for identity in schemas:
            copy = into / schema_file(identity)
            copy.parent.mkdir(exist_ok=True)
            copyfile(recording.folder / schema_file(identity), copy)
        name = labels.name if labels else None
        return writer.finish(complete, idle=idle, sampled=sampled, labels=name, schemas=schemas)


def _millis(at: int) -> int:
    """Return the millisecond not before `at`: a whole stamp is before the one if and only if before the other."""
    return -(-at // 1000)


def _idle_within(recording: Recording, part: Partition, first: int, stop: int) -> Iterator[Idle]:
    """Yield the decisions made while the partition stood within the cut; one at its end belongs to the next cut."""
    for idle in recording.manifest.idle:
        if (idle.topic, idle.partition) == (part.topic, part.partition):
            at_end = idle.next_offset == stop == part.end_offset
            if first <= idle.next_offset < stop or at_end:
                yield idle
