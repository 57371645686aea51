"""Reads one partition of a recording, from any offset, in large batches.

One row group is held at a time, decoded to Arrow; a batch never spans two, so nothing is copied to join them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from config.errors import RecordingError
from operators.batch import RawBatch
from replay.columns import Column, header_lists, one_chunk
from replay.integrity import REMEDY
from replay.manifest import Partition, RecordingFile, RowGroup

_BATCH_COLUMNS = ["offset", "timestamp", "key", "value"]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row group lies."""

    file: RecordingFile
    number: int
    group: RowGroup


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A row group in memory, as Arrow columns."""

    place: int
    offsets: Any
    """NumPy int64, rising."""
    columns: dict[str, pa.Array]


class PartitionReader:
    """Reads one partition. Holds one row group and one open file; not for use by several threads."""

    def __init__(self, folder: Path, partition: Partition) -> None:
        self.partition = partition
        self._folder = folder
        self._places = [
            _Place(file, number, group) for file in partition.files for number, group in enumerate(file.row_groups)
        ]
        self._starts = [place.group.first_offset for place in self._places]
        self._open: tuple[str, pq.ParquetFile] | None = None
        self._decoded: _Decoded | None = None

    @property
    def first_offset(self) -> int:
        """The first record's offset; of an empty partition, where the next record would be."""
        return self.partition.first_offset

    @property
    def end_offset(self) -> int:
        """One past the last record's offset."""
        return self.partition.end_offset

    @property
    def index(self) -> list[RowGroup]:
        """The sparse index: each row group with its offsets and timestamps, in offset order."""
        return [place.group for place in self._places]

    def read(self, next_offset: int, limit: int) -> RawBatch | None:
        """Return the records from `next_offset` on, or None at the end.

        Args:
            next_offset: The offset of the first record wanted, or of the hole before it.
            limit: How many records at most, ≥ 1. Fewer come at the end of a row group.

        Raises:
            RecordingError: The file was damaged since it was opened.
        """
        if limit < 1:
            raise ValueError(f"limit is {limit}, must be at least 1")
        decoded = self._from(next_offset)
        if decoded is None:
            return None
        row = int(decoded.offsets.searchsorted(next_offset))
        cut = slice(row, row + limit)
        columns = decoded.columns
        return RawBatch(
            topic=self.partition.topic,
            partition=self.partition.partition,
            offsets=decoded.offsets[cut].tolist(),
            timestamps=Column(columns["timestamp"][cut]),
            keys=Column(columns["key"][cut]),
            values=Column(columns["value"][cut]),
            headers=header_lists(columns["headers"][cut]) if "headers" in columns else [],
        )

    def record_digest(self, offset: int) -> str | None:
        """Return the BLAKE2b-128 of key and value at `offset`, or None where the recording has no such record.

        Tells whether a recovery folder that stands behind `offset` was made from this partition or another.
        """
        decoded = self._from(offset)
        if decoded is None:
            return None
        row = int(decoded.offsets.searchsorted(offset))
        if int(decoded.offsets[row]) != offset:
            return None
        digest = blake2b(digest_size=16)
        for name in ("key", "value"):
            body: bytes | None = decoded.columns[name][row].as_py()
            digest.update(b"-" if body is None else b"%d:%b" % (len(body), body))
        return digest.hexdigest()

    def tables(self, first: int, end: int) -> Iterator[pa.Table]:
        """Yield all columns of the records with `first` ≤ offset < `end`, row group by row group.

        Raises:
            RecordingError: A file is damaged.
        """
        for place in self._places:
            if place.group.last_offset < first or place.group.first_offset >= end:
                continue
            table = self._table(place, None)
            begin, stop = one_chunk(table["offset"]).to_numpy().searchsorted([first, end]).tolist()
            yield table.slice(begin, stop - begin)

    def end_before(self, timestamp: int) -> int:
        """Return the offset after the last record stamped before `timestamp` (milliseconds).

        From there on, no record is stamped earlier: the watermark may stand at `timestamp`. Where stamps are in
        order it is the offset of the first record at or after `timestamp`.
        """
        for place in reversed(self._places):
            if not 0 <= place.group.min_timestamp < timestamp:
                continue
            table = self._table(place, ["offset", "timestamp"])
            stamps = one_chunk(table["timestamp"]).to_numpy()
            row = ((stamps >= 0) & (stamps < timestamp)).nonzero()[0][-1]
            return int(table["offset"][int(row)].as_py()) + 1
        return self.first_offset

    def close(self) -> None:
        """Close the file and forget the row group at hand. Reading again opens it again."""
        self._decoded = None
        self._close_file()

    def __enter__(self) -> PartitionReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _from(self, offset: int) -> _Decoded | None:
        """Return the row group that holds the first record at or after `offset`."""
        at = max(bisect_right(self._starts, offset) - 1, 0)
        if at < len(self._places) and self._places[at].group.last_offset < offset:
            at += 1
        if at >= len(self._places):
            return None
        if self._decoded is None or self._decoded.place != at:
            self._decoded = None  # frees the old row group before the new one takes memory
            place = self._places[at]
            wanted = [*_BATCH_COLUMNS, "headers"] if place.group.headers else _BATCH_COLUMNS
            table = self._table(place, wanted)
            columns = {name: one_chunk(table[name]) for name in wanted}
            self._decoded = _Decoded(at, columns["offset"].to_numpy(), columns)
        return self._decoded

    def _table(self, place: _Place, columns: list[str] | None) -> pa.Table:
        """Decode a row group, checking page checksums and that it holds what the index says."""
        group = place.group
        try:
            table = self._file(place.file.name).read_row_group(place.number, columns=columns, use_threads=False)
        except (OSError, pa.ArrowException, IndexError) as error:
            raise self._damaged(place, str(error).splitlines()[0] if str(error) else "it cannot be read") from error
        offsets = one_chunk(table["offset"]).to_numpy()
        if len(offsets) != group.rows or offsets[0] != group.first_offset or offsets[-1] != group.last_offset:
            raise self._damaged(place, "its records are not those the manifest lists")
        if not (offsets[1:] > offsets[:-1]).all():
            raise self._damaged(place, "its offsets do not rise")
        return table

    def _file(self, name: str) -> pq.ParquetFile:
        if self._open is None or self._open[0] != name:
            self._close_file()
            # Not memory-mapped: a file cut off while it is read would then kill the process with SIGBUS.
            self._open = (name, pq.ParquetFile(self._folder / name, page_checksum_verification=True))
        return self._open[1]

    def _close_file(self) -> None:
        if self._open:
            self._open[1].close()
            self._open = None

    def _damaged(self, place: _Place, why: str) -> RecordingError:
        group = place.group
        return RecordingError(
            f"{self._folder / place.file.name}: row group {place.number} "
            f"(offsets {group.first_offset}…{group.last_offset}) is damaged: {why}.",
            remedy=REMEDY,
        )
