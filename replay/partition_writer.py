"""Writes the files of one partition, and keeps the entries they get in the manifest."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import structs

from config.errors import RecordingError
from operators.batch import RawBatch
from replay.columns import SCHEMA, WRITER_OPTIONS, Headers, headers_matter, one_chunk, to_table
from replay.integrity import measure
from replay.manifest import NO_TIMESTAMP, TIMESTAMP_MAX, Partition, RecordingFile, RowGroup, file_name
from replay.unfinished import PARTIAL, disk_faults, publish, sync

ROW_GROUP_ROWS = 50_000
ROW_GROUP_BYTES = 32 << 20
"""Uncompressed; bounds what a reader must hold where records are large."""


class PartitionWriter:
    """Buffers the records of one partition and writes them as row groups.

    Args:
        folder: The recording.
        topic: The topic.
        partition: Its number.
        first_offset: Where the partition begins, if that is known: at its first record, or in the hole before it.
        rows_per_file: Where the next file begins.
        written: What was written before, to go on from.
    """

    def __init__(
        self,
        folder: Path,
        topic: str,
        partition: int,
        first_offset: int | None,
        rows_per_file: int,
        written: Partition | None = None,
    ) -> None:
        self._folder = folder
        self.name = f"{topic}/{partition}"
        self._topic = topic
        self._partition = partition
        self._rows_per_file = rows_per_file
        self._begins = first_offset
        self._first_offset: int | None = None
        self._end_offset = first_offset or 0
        self._min_timestamp = NO_TIMESTAMP
        self.max_timestamp = NO_TIMESTAMP
        self._rows = _Rows()
        self._tables: list[pa.Table] = []
        self._table_rows = 0
        self._table_bytes = 0
        self._files: list[RecordingFile] = []
        self._groups: list[RowGroup] = []
        self._sink: pq.ParquetWriter | None = None
        if written is not None:
            self._files = list(written.files)
            self._begins = written.first_offset
            self._first_offset = written.first_offset if written.files else None
            self._end_offset = written.end_offset
            self._min_timestamp, self.max_timestamp = written.min_timestamp, written.max_timestamp

    def write(
        self,
        offset: int,
        timestamp: int,
        timestamp_type: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
    ) -> None:
        """Add one record.

        Raises:
            RecordingError: Its offset does not rise, or its timestamp is none.
            EnvironmentFault: The disk is full or gone.
        """
        last = self._rows.offsets[-1] if self._rows.offsets else self._end_offset - 1
        if (offset <= last and not self._is_first()) or offset < 0:
            raise self._not_rising(offset, last)
        if not NO_TIMESTAMP <= timestamp <= TIMESTAMP_MAX:
            raise self._bad_timestamp(offset, timestamp)
        if self._rows.add(offset, timestamp, timestamp_type, key, value, headers):
            self._take_rows()

    def append(self, batch: RawBatch, timestamp_type: str) -> None:
        """Add the records of a batch. Raises as `write` does."""
        rows = len(batch)
        self._take_rows()
        self._take(
            to_table(
                self._partition,
                batch.offsets,
                batch.timestamps,
                [timestamp_type] * rows,
                batch.keys,
                batch.values,
                batch.headers or [[]] * rows,
            )
        )

    def append_table(self, table: pa.Table) -> None:
        """Add records that are columns of `SCHEMA` already. Raises as `write` does."""
        self._take_rows()
        self._take(table)

    def finish(self) -> Partition:
        """Write what is left and return the partition's entry in the manifest; more may follow, in another file."""
        self._take_rows()
        while self._table_rows:
            self._write_row_group()
        self._close_file()
        return Partition(
            topic=self._topic,
            partition=self._partition,
            records=sum(file.rows for file in self._files),
            bytes=sum(file.bytes for file in self._files),
            first_offset=self._where_it_begins(),
            end_offset=self._end_offset,
            min_timestamp=self._min_timestamp,
            max_timestamp=self.max_timestamp,
            files=self._files,
        )

    def _where_it_begins(self) -> int:
        if self._first_offset is None:
            return self._end_offset
        return self._first_offset if self._begins is None else min(self._begins, self._first_offset)

    def abandon(self) -> None:
        """Let go of the file at hand; it will be removed."""
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _is_first(self) -> bool:
        return self._first_offset is None and not self._rows.offsets

    def _take_rows(self) -> None:
        if self._rows.offsets:
            rows, self._rows = self._rows, _Rows()
            self._take(rows.table(self._partition))

    def _take(self, table: pa.Table) -> None:
        """Check a table's offsets and timestamps, and queue it for writing."""
        offsets = one_chunk(table["offset"]).to_numpy()
        first = int(offsets[0])
        if first < 0 or (self._first_offset is not None and first < self._end_offset):
            raise self._not_rising(first, self._end_offset - 1)
        falls = (offsets[1:] <= offsets[:-1]).nonzero()[0]
        if len(falls):
            raise self._not_rising(int(offsets[falls[0] + 1]), int(offsets[falls[0]]))
        stamps = one_chunk(table["timestamp"]).to_numpy()
        bad = ((stamps < NO_TIMESTAMP) | (stamps > TIMESTAMP_MAX)).nonzero()[0]
        if len(bad):
            raise self._bad_timestamp(int(offsets[bad[0]]), int(stamps[bad[0]]))
        if self._first_offset is None:
            self._first_offset = first
        self._end_offset = int(offsets[-1]) + 1
        self.max_timestamp = max(self.max_timestamp, int(stamps.max()))
        self._tables.append(table)
        self._table_rows += table.num_rows
        self._table_bytes += table.nbytes
        while self._table_rows >= ROW_GROUP_ROWS or self._table_bytes >= ROW_GROUP_BYTES:
            self._write_row_group()

    def _write_row_group(self) -> None:
        table = pa.concat_tables(self._tables)
        rows = min(table.num_rows, ROW_GROUP_ROWS)
        while rows > 1 and table.slice(0, rows).nbytes > ROW_GROUP_BYTES:
            rows //= 2
        head, rest = table.slice(0, rows), table.slice(rows)
        self._tables = [rest] if rest.num_rows else []
        self._table_rows = rest.num_rows
        self._table_bytes = rest.nbytes if rest.num_rows else 0
        path = self._path()
        with disk_faults(path):
            if self._sink is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._sink = pq.ParquetWriter(f"{path}{PARTIAL}", SCHEMA, **WRITER_OPTIONS)
            self._sink.write_table(head, row_group_size=rows)
        self._groups.append(_entry(head))
        if sum(group.rows for group in self._groups) >= self._rows_per_file:
            self._close_file()

    def _close_file(self) -> None:
        if self._sink is None:
            return
        path = self._path()
        with disk_faults(path):
            self._sink.close()
            self._sink = None
            publish(path)
            sync(path.parent.parent)  # the partition's folder may be new
            ends = _ends(pq.read_metadata(path))
            found = measure(path, ends)
        groups = [
            structs.replace(group, end_byte=end, crc32=crc)
            for group, end, crc in zip(self._groups, ends, found.crc32s, strict=True)
        ]
        stamped = [group.min_timestamp for group in groups if group.min_timestamp != NO_TIMESTAMP]
        if stamped:
            known = [] if self._min_timestamp == NO_TIMESTAMP else [self._min_timestamp]
            self._min_timestamp = min(stamped + known)
        self._files.append(
            RecordingFile(
                name=self._name(),
                bytes=found.bytes,
                sha256=found.sha256,
                rows=sum(group.rows for group in groups),
                first_offset=groups[0].first_offset,
                last_offset=groups[-1].last_offset,
                row_groups=groups,
            )
        )
        self._groups = []

    def _name(self) -> str:
        return file_name(self._topic, self._partition, len(self._files))

    def _path(self) -> Path:
        return self._folder / self._name()

    def _not_rising(self, offset: int, last: int) -> RecordingError:
        return RecordingError(
            f"offset {offset} of {self.name} follows offset {last}: offsets must rise.",
            remedy="Give each record once, and each partition's records in offset order.",
        )

    def _bad_timestamp(self, offset: int, timestamp: int) -> RecordingError:
        return RecordingError(
            f"the record at {self.name}/{offset} has timestamp {timestamp} ms, which is before 1970 or after 9999.",
            remedy="Leave the record out, or give -1 for a record without timestamp.",
        )


class _Rows:
    """Records given one by one, as parallel lists."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self._timestamps: list[int] = []
        self._types: list[str] = []
        self._keys: list[bytes | None] = []
        self._values: list[bytes | None] = []
        self._headers: list[Headers] = []
        self._bytes = 0

    def add(
        self, offset: int, timestamp: int, kind: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> bool:
        """Add a record; return whether these are enough for a row group."""
        self.offsets.append(offset)
        self._timestamps.append(timestamp)
        self._types.append(kind)
        self._keys.append(key)
        self._values.append(value)
        self._headers.append(headers)
        self._bytes += len(value) if value else 0
        return len(self.offsets) >= ROW_GROUP_ROWS or self._bytes >= ROW_GROUP_BYTES

    def table(self, partition: int) -> pa.Table:
        """Return them as columns."""
        return to_table(partition, self.offsets, self._timestamps, self._types, self._keys, self._values, self._headers)


def _entry(table: pa.Table) -> RowGroup:
    """Return the index entry of a row group; where it ends and its checksum are known once the file is closed."""
    offsets = one_chunk(table["offset"]).to_numpy()
    stamps = one_chunk(table["timestamp"]).to_numpy()
    known = stamps[stamps != NO_TIMESTAMP]
    return RowGroup(
        first_offset=int(offsets[0]),
        last_offset=int(offsets[-1]),
        rows=len(offsets),
        first_timestamp=int(stamps[0]),
        min_timestamp=int(known.min()) if len(known) else NO_TIMESTAMP,
        max_timestamp=int(stamps.max()),
        headers=headers_matter(one_chunk(table["headers"])),
        end_byte=0,
        crc32=0,
    )


def _ends(metadata: pq.FileMetaData) -> list[int]:
    """Return the byte after each row group."""
    ends = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(c) for c in range(group.num_columns)]
        ends.append(
            max(
                (c.dictionary_page_offset if c.has_dictionary_page else c.data_page_offset) + c.total_compressed_size
                for c in columns
            )
        )
    return ends
