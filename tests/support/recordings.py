"""Small recordings for tests, and their records as plain tuples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from config.clock import from_text
from operators.batch import RawBatch
from replay.cut import cut
from replay.kcat import import_dumps
from replay.manifest import Idle
from replay.reader import PartitionReader
from replay.recording import Recording
from replay.writer import RecordingWriter

Record = tuple[int, int, bytes | None, bytes | None]
"""Offset, timestamp (ms), key, value."""

MADE_AT = 1_800_000_000_000_000
"""A fixed 'now' of the writer, in 2027, microseconds."""


def numbered(count: int, first: int = 0, step: int = 1) -> list[Record]:
    """Return records with keys, values and timestamps made of their offsets."""
    return [(o, 1_000 * o, b"k%d" % (o % 7), b'{"n":%d}' % o) for o in range(first, first + count * step, step)]


def batch_of(records: Sequence[Record], topic: str = "orders", partition: int = 0) -> RawBatch:
    """Return records as one batch."""
    offsets, stamps, keys, values = (list(column) for column in zip(*records, strict=True))
    return RawBatch(topic, partition, offsets, stamps, keys, values)


def record(
    folder: Path,
    partitions: Mapping[tuple[str, int], Sequence[Record]],
    *,
    recorded_until: int | None = None,
    rows_per_file: int = 2_000_000,
    idle: Iterable[Idle] = (),
) -> Recording:
    """Write and open a recording."""
    with RecordingWriter(folder, created_at=MADE_AT, rows_per_file=rows_per_file) as writer:
        for (topic, partition), records in partitions.items():
            writer.declare(topic, partition)
            if records:
                writer.append(batch_of(records, topic, partition))
        writer.finish(recorded_until, idle=list(idle))
    return Recording.open(folder)


def records_of(reader: PartitionReader, limit: int = 1_000, start: int = 0) -> list[Record]:
    """Read a partition to its end."""
    found: list[Record] = []
    while (batch := reader.read(start, limit)) is not None:
        assert 0 < len(batch) <= limit
        found.extend(zip(batch.offsets, batch.timestamps, batch.keys, batch.values, strict=True))
        start = batch.offsets[-1] + 1
    return found


def between(recording: Recording, since: str, until: str, folder: Path) -> Recording:
    """Return a part of a recording."""
    cut(recording, folder, created_at=MADE_AT, from_=from_text(since), until=from_text(until))
    return Recording.open(folder)


def imported(dumps: Sequence[Path], folder: Path) -> Recording:
    """Return a recording made of dumps."""
    with RecordingWriter(folder, created_at=MADE_AT) as writer:
        import_dumps(dumps, writer)
        writer.finish()
    return Recording.open(folder)
