"""Checksums of a recording's files: made when they are written, compared when they are opened.

A damaged file is named with the row group and the records where it breaks. That needs no reading of damaged Parquet,
which a decoder may answer with anything: each row group's byte range has a CRC-32 of its own in the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from config.errors import RecordingError
from replay.manifest import Labels, RecordingFile, RowGroup, SchemaFile, schema_file

REMEDY = "copy the recording again from where it is whole, or make it again"

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Measured:
    """What a file on disk is."""

    bytes: int
    sha256: str
    crc32s: list[int]
    """One for each of the byte ranges asked for."""


def measure(path: Path, ends: Sequence[int] = ()) -> Measured:
    """Read a file once and return its checksums.

    Args:
        path: The file.
        ends: Where its row groups end, rising; the first begins at byte 0.
    """
    digest = hashlib.sha256()
    crcs: list[int] = []
    with path.open("rb") as file:
        at = 0
        for end in ends:
            crc = 0
            while at < end and (block := file.read(min(_BLOCK, end - at))):
                digest.update(block)
                crc = crc32(block, crc)
                at += len(block)
            crcs.append(crc)
        while block := file.read(_BLOCK):
            digest.update(block)
            at += len(block)
    return Measured(at, digest.hexdigest(), crcs)


def check_file(folder: Path, expected: RecordingFile, *, contents: bool) -> None:
    """Compare a partition's file with the manifest.

    Args:
        folder: The recording.
        expected: What the manifest says of the file.
        contents: Compare the checksum too, not only the size.

    Raises:
        RecordingError: It is missing, cut off, or damaged; names the row group and offsets where it breaks.
    """
    path = folder / expected.name
    _check_size(path, expected.bytes, expected.row_groups)
    if not contents:
        return
    found = measure(path, [group.end_byte for group in expected.row_groups])
    if found.sha256 == expected.sha256:
        return
    first_row = 0
    for number, (group, crc) in enumerate(zip(expected.row_groups, found.crc32s, strict=True)):
        if crc != group.crc32:
            raise RecordingError(
                f"{path} is damaged in row group {number} (rows {first_row}…{first_row + group.rows - 1}, "
                f"offsets {group.first_offset}…{group.last_offset}): its checksum is wrong.",
                remedy=REMEDY,
            )
        first_row += group.rows
    raise RecordingError(
        f"{path} is damaged in its Parquet footer, after row {first_row - 1}: its checksum is wrong.", remedy=REMEDY
    )


def check_labels(folder: Path, expected: Labels, *, contents: bool) -> None:
    """Compare the labels file with the manifest.

    Raises:
        RecordingError: It is missing or damaged.
    """
    path = folder / expected.name
    _check_size(path, expected.bytes, [])
    if contents and measure(path).sha256 != expected.sha256:
        raise RecordingError(f"{path} is damaged: its checksum is wrong.", remedy=REMEDY)


def check_schema(folder: Path, expected: SchemaFile) -> None:
    """Compare a schema's file, which is small, with the manifest.

    Raises:
        RecordingError: It is missing or damaged.
    """
    path = folder / schema_file(expected.id)
    _check_size(path, expected.bytes, [])
    if measure(path).sha256 != expected.sha256:
        raise RecordingError(f"{path} is damaged: its checksum is wrong.", remedy=REMEDY)


def _check_size(path: Path, expected: int, groups: Sequence[RowGroup]) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise RecordingError(f"{path} is missing, though the manifest names it.", remedy=REMEDY) from error
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}.", remedy="Check its permissions.") from error
    if size == expected:
        return
    where = ""
    first_row = 0
    for number, group in enumerate(groups):
        if size < group.end_byte:
            where = f": it is cut off in row group {number}, row {first_row} (offset {group.first_offset}) and on"
            break
        first_row += group.rows
    raise RecordingError(f"{path} has {size} bytes where {expected} were written{where}.", remedy=REMEDY)
