"""A recording, opened: what it holds, and readers of its partitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.errors import RecordingError
from dataflows.schema_folder import FOLDER, SchemaFolder
from operators.wire import Schemas
from replay.integrity import check_file, check_labels, check_schema
from replay.manifest import MANIFEST, Manifest, Partition, RecordingFile, decode
from replay.reader import PartitionReader
from replay.unfinished import UNFINISHED


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording whose manifest was read and whose files are there."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path | str, *, verify: bool = True) -> Recording:
        """Open the recording in `folder`.

        Args:
            folder: Where `manifest.json` lies.
            verify: Read every file once and compare its SHA-256 (about 1 GB/s). Without it only names and sizes are
                compared; a damaged page is then refused when it is read.

        Raises:
            RecordingError: No recording is there, or it is unfinished, damaged or of another format version. Names
                the file, and the row group and offsets where it breaks.
        """
        recording = cls.load(folder)
        for file in recording.files():
            check_file(recording.folder, file, contents=verify)
        if recording.manifest.labels:
            check_labels(recording.folder, recording.manifest.labels, contents=verify)
        for schema in recording.manifest.schemas or ():
            check_schema(recording.folder, schema)
        return recording

    @classmethod
    def load(cls, folder: Path | str) -> Recording:
        """Read the manifest alone, without a look at the files it names; for checking them one by one.

        Raises:
            RecordingError: No recording is there, or it is unfinished, or its manifest is damaged.
        """
        folder = Path(folder)
        return cls(folder, decode(_manifest_text(folder), folder / MANIFEST))

    @property
    def id(self) -> str:
        """The id, derived from the content."""
        return self.manifest.id

    @property
    def recorded_until(self) -> int:
        """Event time, microseconds, exclusive: the watermark of every partition at its end."""
        return self.manifest.recorded_until

    @property
    def partitions(self) -> list[Partition]:
        """What is known of each partition, in the order of topic and partition; empty ones too."""
        return self.manifest.partitions

    @property
    def labels(self) -> Path | None:
        """The file of labels, if the recording carries one."""
        return self.folder / self.manifest.labels.name if self.manifest.labels else None

    def schemas(self) -> Schemas:
        """Return the schemas that framed records name."""
        folder = SchemaFolder(self.folder / FOLDER)
        found = (folder.find(schema.id) for schema in self.manifest.schemas or ())
        return Schemas(schema for schema in found if schema is not None)

    def files(self) -> Iterator[RecordingFile]:
        """Yield all files of all partitions."""
        for partition in self.manifest.partitions:
            yield from partition.files

    def partition(self, topic: str, partition: int) -> Partition:
        """Return what is known of one partition.

        Raises:
            RecordingError: The recording has no such partition.
        """
        for known in self.manifest.partitions:
            if (known.topic, known.partition) == (topic, partition):
                return known
        raise RecordingError(
            f"{self.folder} holds no partition {topic}/{partition}.",
            remedy="See what it holds with `forestall recording info`.",
        )

    def reader(self, topic: str, partition: int) -> PartitionReader:
        """Return a reader of one partition.

        Raises:
            RecordingError: The recording has no such partition.
        """
        return PartitionReader(self.folder, self.partition(topic, partition))

    def problems(self) -> Iterator[str]:
        """Check every file, and every record's place in it; yield a sentence for each file at fault.

        Unlike `open`, goes on after the first, and decodes all columns.
        """
        for partition in self.manifest.partitions:
            reader = PartitionReader(self.folder, partition)
            for file in partition.files:
                try:
                    check_file(self.folder, file, contents=True)
                    for _ in reader.tables(file.first_offset, file.last_offset + 1):
                        pass
                except RecordingError as error:
                    yield error.message
            reader.close()
        if self.manifest.labels:
            try:
                check_labels(self.folder, self.manifest.labels, contents=True)
            except RecordingError as error:
                yield error.message
        for schema in self.manifest.schemas or ():
            try:
                check_schema(self.folder, schema)
            except RecordingError as error:
                yield error.message


def _manifest_text(folder: Path) -> bytes:
    make = "make one with `forestall record`, `forestall import kcat` or `forestall simulate`"
    try:
        return (folder / MANIFEST).read_bytes()
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise RecordingError(f"{folder} does not exist.", remedy=make) from error
        if (folder / UNFINISHED).exists():
            raise RecordingError(
                f"{folder} holds an unfinished recording: its writer was stopped.",
                remedy="Run the command that writes it again; it starts over in the same folder.",
            ) from error
        if not any(folder.iterdir()):
            raise RecordingError(f"{folder} is empty, not a recording.", remedy=make) from error
        raise RecordingError(f"{folder} is not a recording: it has no {MANIFEST}.", remedy=make) from error
    except NotADirectoryError as error:
        raise RecordingError(f"{folder} is a file; a recording is a folder.", remedy=make) from error
    except OSError as error:
        raise RecordingError(
            f"{folder / MANIFEST} cannot be read: {error.strerror}.", remedy="Check its permissions."
        ) from error
