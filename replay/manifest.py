"""The manifest of a recording: what its folder holds, until when it was recorded, and the checksums of it all.

A recording is a folder:

    manifest.json                        written last, so that a recording without it is not one
    topic=orders/partition=2/00000.parquet
    labels.parquet                       optional: what a simulated world knows to be true
    schemas/7.json                       optional: schemas that framed records name

The id of a recording is derived from everything its manifest says except when it was made; an edited manifest
therefore no longer matches its id.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import PurePosixPath

import msgspec

from config.errors import RecordingError

MANIFEST = "manifest.json"
FORMAT = "forestall-recording"
VERSION = 1

NO_TIMESTAMP = -1
"""The timestamp of a record that has none, as in Kafka."""
TIMESTAMP_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999: later ones cannot be written as RFC 3339 text."""

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SCHEMA = re.compile(r"[0-9a-f-]{1,36}")


class RowGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run of records that is compressed, checked and read together: one entry of the sparse index."""

    first_offset: int
    last_offset: int
    rows: int
    first_timestamp: int
    """Milliseconds since the epoch, as all record timestamps; `NO_TIMESTAMP` where the record has none."""
    min_timestamp: int
    """The earliest timestamp of those records that have one, else `NO_TIMESTAMP`."""
    max_timestamp: int
    headers: bool
    """Whether some record has a header that matters for decoding."""
    end_byte: int
    """Where the row group ends in its file; it begins where the one before ends."""
    crc32: int


class RecordingFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One Parquet file of a partition."""

    name: str
    """Path below the recording's folder, with slashes."""
    bytes: int
    sha256: str
    rows: int
    first_offset: int
    last_offset: int
    row_groups: list[RowGroup]


class Partition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One topic partition: offsets [`first_offset`, `end_offset`), which may have holes, or no record at all.

    A hole may be at the beginning, between the recording that this one continues and its first record.
    """

    topic: str
    partition: int
    records: int
    bytes: int
    first_offset: int
    end_offset: int
    """The offset that continues this recording: one past the last record's."""
    min_timestamp: int
    max_timestamp: int
    files: list[RecordingFile]


class Idle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision made live: this partition was idle, and its watermark was raised while it stood at `next_offset`."""

    topic: str
    partition: int
    next_offset: int
    watermark: int
    """Event time, microseconds since the epoch."""


class Sampled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision made live: from `next_offset` on, one record in so many was looked into, of those that may be sampled.

    It holds up to the next one of the partition. One from before the recording tells what held at its beginning.
    """

    topic: str
    partition: int
    next_offset: int
    one_in: int


class Labels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of labels carried beside the topics; the job never reads it."""

    name: str
    bytes: int
    sha256: str


class SchemaFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schema that framed records name, as the registry told it when they were recorded."""

    id: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a recording holds."""

    format: str
    version: int
    id: str
    created_at: str
    """RFC 3339; not part of the id."""
    recorded_until: int
    """Microseconds since the epoch, exclusive: the watermark of every partition at its end."""
    recorded_until_text: str
    topics: dict[str, int]
    """Records by topic."""
    partitions: list[Partition]
    """In the order of topic and partition."""
    idle: list[Idle] = []
    labels: Labels | None = None
    sampled: list[Sampled] | msgspec.UnsetType = msgspec.UNSET
    """Left out where nothing was: so that the ids of older recordings hold."""
    schemas: list[SchemaFile] | msgspec.UnsetType = msgspec.UNSET
    """Not there in recordings without framed records."""


class _Head(msgspec.Struct):
    format: str = ""
    version: int = 0


def sampled_within(sampled: Iterable[Sampled], topic: str, partition: int, first: int, end: int) -> Iterator[Sampled]:
    """Yield what a recording of the offsets [`first`, `end`) has to know: what held at its beginning, and changes."""
    own = sorted(
        (each for each in sampled if (each.topic, each.partition) == (topic, partition) and each.next_offset < end),
        key=lambda each: each.next_offset,
    )
    for each, following in zip(own, [*own[1:], None], strict=False):
        if following is None or following.next_offset > first:
            yield each


def file_name(topic: str, partition: int, number: int) -> str:
    """Return the path, below the recording's folder, of a partition's file."""
    return f"topic={topic}/partition={partition}/{number:05d}.parquet"


def schema_file(identity: str) -> str:
    """Return the path, below the recording's folder, of a schema's file."""
    return f"schemas/{identity}.json"


def is_topic(name: str) -> bool:
    """Return whether Kafka would allow `name` for a topic; such a name is also safe in a path."""
    return _TOPIC.fullmatch(name) is not None and name not in {".", ".."}


def content_id(manifest: Manifest) -> str:
    """Return the id that `manifest` must have."""
    content = msgspec.structs.replace(manifest, id="", created_at="")
    return blake2b(msgspec.json.encode(content, order="deterministic"), digest_size=16).hexdigest()


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as JSON text for people and programs."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decode(text: bytes, path: object) -> Manifest:
    """Return the manifest that `text`, the content of `path`, holds.

    Raises:
        RecordingError: It is not a manifest, of a version this program does not know, or was changed.
    """
    again = "make the recording again, or copy it again from where it is whole"
    try:
        head = msgspec.json.decode(text, type=_Head)
    except msgspec.MsgspecError as error:
        raise RecordingError(f"{path} is not a manifest: {error}.", remedy=again) from error
    if head.format != FORMAT:
        raise RecordingError(f'{path} is not the manifest of a recording (format is not "{FORMAT}").', remedy=again)
    if head.version != VERSION:
        raise RecordingError(
            f"{path} has format version {head.version}; this program reads version {VERSION}.",
            remedy="Use the version of forestall that made it, or a later one.",
        )
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise RecordingError(f"{path} is damaged: {error}.", remedy=again) from error
    if manifest.id != content_id(manifest):
        raise RecordingError(
            f"{path} was changed after it was written: its id does not match its content.", remedy=again
        )
    _refuse_strange_names(manifest, path)
    return manifest


def _refuse_strange_names(manifest: Manifest, path: object) -> None:
    """Names in a manifest become paths: none may lead out of the folder."""
    for part in manifest.partitions:
        expected = [file_name(part.topic, part.partition, number) for number in range(len(part.files))]
        if not is_topic(part.topic) or part.partition < 0 or [file.name for file in part.files] != expected:
            raise RecordingError(
                f"{path}: the files of {part.topic!r}, partition {part.partition}, are not named as a recording's are.",
                remedy="Make the recording again with `forestall import` or `forestall simulate`.",
            )
    for schema in manifest.schemas or ():
        if not _SCHEMA.fullmatch(schema.id):
            raise RecordingError(f"{path}: {schema.id!r} is no id of a schema.", remedy="Make the recording again.")
    if manifest.labels and PurePosixPath(manifest.labels.name).name != manifest.labels.name:
        raise RecordingError(
            f"{path}: the labels file {manifest.labels.name!r} is not in the folder.",
            remedy="Name a file that lies beside the manifest.",
        )
