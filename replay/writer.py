"""Writes a recording, so that one that was stopped half way never looks whole.

The order: mark the folder as unfinished; write each file under a temporary name, sync it, give it its name; last the
manifest, in the same way; then take the mark away. Whoever finds the mark without a manifest starts over.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import structs

from config.clock import to_text
from config.errors import RecordingError
from operators.batch import RawBatch
from replay.columns import Headers
from replay.integrity import check_file, measure
from replay.manifest import (
    FORMAT,
    MANIFEST,
    NO_TIMESTAMP,
    VERSION,
    Idle,
    Labels,
    Manifest,
    Partition,
    Sampled,
    SchemaFile,
    content_id,
    encode,
    is_topic,
    schema_file,
)
from replay.partition_writer import PartitionWriter
from replay.unfinished import PARTIAL, PROGRESS, UnfinishedFolder, disk_faults, publish


class Left(msgspec.Struct, frozen=True):
    """What a writer left behind that was stopped."""

    partitions: list[Partition]
    plan: dict[str, Any]


class RecordingWriter:
    """Writes one recording. Use it as a context manager: an error inside takes away what was written.

    Args:
        folder: Where to; must not exist, be empty, or hold what a stopped writer left, which is removed.
        created_at: When it is made, microseconds since the epoch: wall clock, which only the caller may know.
        rows_per_file: Where the next file of a partition begins.
        resume: Go on with what a writer left that was stopped: see `checkpoint`.

    Raises:
        UsageError: The folder holds something else, or another writer is at work in it.
        EnvironmentFault: The folder cannot be written.
    """

    def __init__(
        self, folder: Path | str, *, created_at: int, rows_per_file: int = 2_000_000, resume: bool = False
    ) -> None:
        self.folder = Path(folder)
        self._created_at = created_at
        self._rows_per_file = rows_per_file
        self._partitions: dict[tuple[str, int], PartitionWriter] = {}
        self._unfinished: UnfinishedFolder | None = UnfinishedFolder(self.folder, keep=resume)
        self.left = self._pick_up() if resume else None
        """What the writer before left behind, if there was one."""

    def declare(self, topic: str, partition: int, first_offset: int | None = None) -> None:
        """Say that a partition exists, though it may turn out to have no records.

        Args:
            topic: A name that Kafka would allow.
            partition: Its number, ≥ 0.
            first_offset: Where it begins: at its first record, or in a hole before it. By default at the first record.

        Raises:
            RecordingError: There can be no such partition.
        """
        self._partition(topic, partition, first_offset)

    def write(
        self,
        topic: str,
        partition: int,
        offset: int,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        timestamp_type: str = "create",
    ) -> None:
        """Add one record.

        Args:
            topic: The topic.
            partition: The partition's number.
            offset: Its offset: greater than that of the record before, but not necessarily by one.
            timestamp_ms: Milliseconds since the epoch, `NO_TIMESTAMP` for none.
            key: The key, or None.
            value: The value, or None for a tombstone.
            headers: Name and value of each header; not to be changed afterwards.
            timestamp_type: "create", "logappend" or "unknown".

        Raises:
            RecordingError: There can be no such partition, the offset does not rise, or the timestamp is none.
            EnvironmentFault: The disk is full or gone.
        """
        to = self._partitions.get((topic, partition)) or self._partition(topic, partition)
        to.write(offset, timestamp_ms, timestamp_type, key, value, headers or [])

    def append(self, batch: RawBatch, timestamp_type: str = "create") -> None:
        """Add the records of a batch; quick for large ones. Raises as `write` does."""
        to = self._partition(batch.topic, batch.partition)
        if len(batch):
            to.append(batch, timestamp_type)

    def append_table(self, topic: str, partition: int, table: pa.Table) -> None:
        """Add records as columns of a recording's schema. Raises as `write` does."""
        to = self._partition(topic, partition)
        if table.num_rows:
            to.append_table(table)

    def finish(
        self,
        recorded_until: int | None = None,
        *,
        idle: Sequence[Idle] = (),
        sampled: Sequence[Sampled] = (),
        labels: str | None = None,
        schemas: Sequence[str] = (),
    ) -> Manifest:
        """Write what is left, then the manifest. The writer is done.

        Args:
            recorded_until: Event time, microseconds, exclusive; by default just after the last record's timestamp,
                which then must not lie after `created_at`.
            idle: Decisions that a partition was idle.
            sampled: Decisions of how much of a partition was looked into.
            labels: Name of a file of labels, `labels.…`, that lies in the folder.
            schemas: Ids of schemas, each with its file below `schemas` in the folder.

        Raises:
            RecordingError: `recorded_until` is not given, and the records' timestamps do not tell it.
            EnvironmentFault: The disk is full or gone.
        """
        with disk_faults(self.folder):
            partitions = [self._partitions[name].finish() for name in sorted(self._partitions)]
            topics: dict[str, int] = {}
            for part in partitions:
                topics[part.topic] = topics.get(part.topic, 0) + part.records
            until = self._just_after_the_last() if recorded_until is None else recorded_until
            manifest = Manifest(
                format=FORMAT,
                version=VERSION,
                id="",
                created_at=to_text(self._created_at),
                recorded_until=until,
                recorded_until_text=to_text(until),
                topics=topics,
                partitions=partitions,
                idle=sorted(idle, key=lambda one: (one.topic, one.partition, one.next_offset)),
                labels=self._labels(labels) if labels else None,
                sampled=sorted(sampled, key=lambda one: (one.topic, one.partition, one.next_offset)) or msgspec.UNSET,
                schemas=[self._schema(identity) for identity in sorted(schemas)] or msgspec.UNSET,
            )
            manifest = structs.replace(manifest, id=content_id(manifest))
            path = self.folder / MANIFEST
            path.with_name(path.name + PARTIAL).write_bytes(encode(manifest))
            publish(path)
            if self._unfinished:
                self._unfinished.finish()
                self._unfinished = None
        return manifest

    def checkpoint(self, plan: dict[str, Any]) -> None:
        """Make everything so far outlast this process: a writer with `resume` goes on from here.

        Args:
            plan: What that writer has to know to do the same; plain values.
        """
        with disk_faults(self.folder):
            partitions = [self._partitions[name].finish() for name in sorted(self._partitions)]
            path = self.folder / PROGRESS
            path.with_name(path.name + PARTIAL).write_bytes(msgspec.json.encode(Left(partitions, plan)))
            publish(path)

    def leave(self) -> None:
        """Stop writing; what was written up to the last checkpoint waits for a writer that resumes."""
        if self._unfinished:
            for partition in self._partitions.values():
                with suppress(OSError, pa.ArrowException):
                    partition.abandon()
            self._unfinished.leave()
            self._unfinished = None

    def _pick_up(self) -> Left | None:
        """Return what was left at the last checkpoint, and remove what was written since."""
        path = self.folder / PROGRESS
        with disk_faults(path):
            if not path.exists():
                return None
            try:
                left = msgspec.json.decode(path.read_bytes(), type=Left)
            except msgspec.MsgspecError as error:
                raise RecordingError(
                    f"{path} cannot be read: {error}.", remedy="Remove the folder and start the recording again."
                ) from error
            kept = {self.folder / file.name for part in left.partitions for file in part.files}
            for found in self.folder.glob("topic=*/partition=*/*"):
                if found not in kept:
                    found.unlink()
            for file in (file for part in left.partitions for file in part.files):
                check_file(self.folder, file, contents=False)
        for part in left.partitions:
            self._partitions[part.topic, part.partition] = PartitionWriter(
                self.folder, part.topic, part.partition, part.first_offset, self._rows_per_file, part
            )
        return left

    def abandon(self) -> None:
        """Remove what was written. Does nothing after `finish`."""
        if not self._unfinished:
            return
        for partition in self._partitions.values():
            with suppress(OSError, pa.ArrowException):
                partition.abandon()
        with disk_faults(self.folder):
            self._unfinished.abandon()
        self._unfinished = None

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.abandon()

    def _partition(self, topic: str, partition: int, first_offset: int | None = None) -> PartitionWriter:
        known = self._partitions.get((topic, partition))
        if known is None:
            if not is_topic(topic) or partition < 0:
                raise RecordingError(
                    f"{topic!r}, partition {partition}, cannot be a topic partition.",
                    remedy="Name topics with letters, digits, '.', '_' and '-', and count partitions from 0.",
                )
            known = PartitionWriter(self.folder, topic, partition, first_offset, self._rows_per_file)
            self._partitions[topic, partition] = known
        return known

    def _just_after_the_last(self) -> int:
        """Return the time just after the last record.

        A record from the future, by a wild clock, must not decide it: every timer up to there would fire.
        """
        last = max(self._partitions.values(), key=lambda part: part.max_timestamp, default=None)
        if last is None or last.max_timestamp == NO_TIMESTAMP:
            raise RecordingError(
                "no record has a timestamp, so it is not known until when they were recorded.",
                remedy="Say it with --until.",
            )
        until = (last.max_timestamp + 1) * 1000
        if until > self._created_at + 1000:
            raise RecordingError(
                f"{last.name} holds a record stamped {to_text(last.max_timestamp * 1000)}, later than now "
                f"({to_text(self._created_at)}), so it is not known until when the records were recorded.",
                remedy="Say it with --until.",
            )
        return until

    def _labels(self, name: str) -> Labels:
        found = measure(self.folder / name)
        return Labels(name, found.bytes, found.sha256)

    def _schema(self, identity: str) -> SchemaFile:
        found = measure(self.folder / schema_file(identity))
        return SchemaFile(identity, found.bytes, found.sha256)
