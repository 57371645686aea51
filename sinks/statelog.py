"""The durable home of one key group's state: an append-only log beside Bytewax's snapshots.

Bytewax keeps, of each key it woke, the newest pickle: whole. A group of 62,000 journeys would be written whole at
every epoch. So the snapshot that Bytewax keeps is small, a *token*, (generation, length, checksum, tail): a prefix of
this log that was fsynced before the token was returned, and the deltas that came after it. Small changes ride in the
tail and cost no fsync; when the tail outgrows `inline_bytes` it moves into the log. Resuming truncates the log to
the token's length, so whatever a lost epoch appended is gone, exactly as Bytewax forgets that epoch.

A log that has grown to twice its live content is rewritten as a new generation. The old file stays until two more
snapshots were taken: by then the epoch that first refers to the new one is durable, for a source enters an epoch
only when all before it are.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import msgspec

from config.errors import RecoveryError

FORMAT = 1
GARBAGE_FACTOR = 2.0
COMPACTION_BYTES_MIN = 1 << 20

_HEADER = struct.Struct("<II")  # payload bytes, CRC-32 of payload


class Token(msgspec.Struct, frozen=True, array_like=True):
    """What Bytewax keeps of a group: where its state is."""

    format: int
    name: str
    generation: int
    length: int
    checksum: int
    """CRC-32 over the log's first `length` bytes."""
    tail: list[bytes]
    """Deltas after the log's prefix, oldest first."""


_token_decoder = msgspec.msgpack.Decoder(Token)


class StateLog:
    """The log of one key group.

    Args:
        folder: Where the logs of all groups are; made when the first log is.
        name: Unique in the folder, stable across runs: `stage-group`.
        inline_bytes: How much may ride in the token before it moves into the log.
    """

    def __init__(self, folder: Path, name: str, inline_bytes: int) -> None:
        self._folder = folder
        self._name = name
        self._inline_bytes = inline_bytes
        # Groups fill alike; a factor of its own keeps them from being rewritten all in one epoch.
        self._garbage_factor = GARBAGE_FACTOR + crc32(name.encode()) % 64 / 64
        self._generation = 0
        self._file: int | None = None
        self._length = 0
        self._checksum = 0
        self._live = 0
        self._tail: list[bytes] = []
        self._retired: list[tuple[int, Path]] = []
        self._snapshots = 0

    @classmethod
    def resume(cls, folder: Path, inline_bytes: int, token: bytes) -> tuple[StateLog, list[bytes]]:
        """Return the log that `token` refers to, truncated to it, and its deltas, oldest first.

        Raises:
            RecoveryError: the log is missing, shorter than the token says, or damaged.
        """
        told = decoded(token)
        log = cls(folder, told.name, inline_bytes)
        log._generation, log._length, log._checksum = told.generation, told.length, told.checksum
        log._tail = list(told.tail)
        deltas = log._read() if told.length else []
        log._live = len(deltas[0]) if deltas else 0
        log._remove_other_generations()
        return log, deltas + log._tail

    def snapshot(self, delta: bytes, whole: Callable[[], bytes]) -> bytes:
        """Make `delta` durable with all before it and return the token.

        Args:
            delta: What changed since the snapshot before.
            whole: Returns the complete state; called when the log is to be rewritten.

        Raises:
            RecoveryError: the disk is full or gone; the token before still holds.
        """
        try:
            return self._snapshot(delta, whole)
        except OSError as error:
            raise RecoveryError(
                f"{self._path(self._generation)}: {error.strerror}",
                remedy="Free space on its disk, or check it, and start again; nothing is lost.",
                retry=True,
            ) from error

    def _snapshot(self, delta: bytes, whole: Callable[[], bytes]) -> bytes:
        self._snapshots += 1
        self._remove_retired()
        self._tail.append(delta)
        if sum(map(len, self._tail)) > self._inline_bytes:
            grown = self._length + sum(map(len, self._tail))
            if grown > max(COMPACTION_BYTES_MIN, self._garbage_factor * self._live):
                self._rewrite(whole())
            else:
                self._append(self._tail)
            self._tail = []
        return msgspec.msgpack.encode(
            Token(FORMAT, self._name, self._generation, self._length, self._checksum, self._tail)
        )

    @property
    def size_bytes(self) -> int:
        """Bytes in the log and its tail."""
        return self._length + sum(map(len, self._tail))

    def close(self) -> None:
        """Close the file. Nothing is written: what counts is what a token refers to."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    # -- the file --------------------------------------------------------------------------------------------------

    def _path(self, generation: int) -> Path:
        return _path(self._folder, self._name, generation)

    def _append(self, payloads: list[bytes]) -> None:
        block = b"".join(_HEADER.pack(len(p), crc32(p)) + p for p in payloads)
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path(self._generation), os.O_RDWR | os.O_CREAT, 0o600)
            _sync_folder(self._folder)
        written = 0
        while written < len(block):
            written += os.pwrite(self._file, memoryview(block)[written:], self._length + written)
        os.fdatasync(self._file)
        self._length += len(block)
        self._checksum = crc32(block, self._checksum)

    def _rewrite(self, whole: bytes) -> None:
        if self._file is not None:
            self._retired.append((self._snapshots, self._path(self._generation)))
        self.close()
        self._generation += 1
        self._length = self._checksum = 0
        self._path(self._generation).unlink(missing_ok=True)
        self._append([whole])
        self._live = len(whole)

    def _read(self) -> list[bytes]:
        path = self._path(self._generation)
        try:
            self._file = os.open(path, os.O_RDWR)
        except OSError as error:
            raise RecoveryError(f"{path}: {error.strerror}", remedy=_RESTORE) from error
        payloads = _payloads(self._file, path, self._length, self._checksum)
        os.ftruncate(self._file, self._length)
        return payloads

    def _remove_retired(self) -> None:
        keep = []
        for retired_at, path in self._retired:
            if self._snapshots - retired_at > 2:
                path.unlink(missing_ok=True)
            else:
                keep.append((retired_at, path))
        self._retired = keep

    def _remove_other_generations(self) -> None:
        for path in self._folder.glob(f"{self._name}.*.log"):
            if path != self._path(self._generation) or not self._length:
                path.unlink(missing_ok=True)


_RESTORE = "Restore the whole recovery folder from a backup taken with the store, or start a new store."


def decoded(token: bytes) -> Token:
    """Return where a snapshot says that its group's state is.

    Raises:
        RecoveryError: it cannot be read, or is of another format.
    """
    try:
        told = _token_decoder.decode(token)
    except msgspec.MsgspecError as error:
        raise RecoveryError(f"a state token in the recovery folder cannot be read: {error}", remedy=_RESTORE) from error
    if told.format != FORMAT:
        raise RecoveryError(
            f"state of {told.name} is of format {told.format}, this program knows {FORMAT}",
            remedy="Resume with the version of the program that wrote it.",
        )
    return told


def read(folder: Path, told: Token) -> list[bytes]:
    """Return the deltas that a token refers to, oldest first; changes nothing.

    Raises:
        RecoveryError: the log is missing, shorter than the token says, or damaged.
    """
    if not told.length:
        return list(told.tail)
    path = _path(folder, told.name, told.generation)
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise RecoveryError(f"{path}: {error.strerror}", remedy=_RESTORE) from error
    try:
        return _payloads(handle, path, told.length, told.checksum) + told.tail
    finally:
        os.close(handle)


def _path(folder: Path, name: str, generation: int) -> Path:
    return folder / f"{name}.{generation}.log"


def _payloads(handle: int, path: Path, length: int, checksum: int) -> list[bytes]:
    """Return what stands in the first `length` bytes of a log, which have to be whole."""
    try:
        content = os.pread(handle, length, 0)
        while len(content) < length and (more := os.pread(handle, 1 << 30, len(content))):
            content += more
    except OSError as error:
        raise RecoveryError(f"{path}: {error.strerror}", remedy=_RESTORE) from error
    content = content[:length]
    if len(content) < length:
        raise RecoveryError(f"{path}: {len(content)} bytes, the recovered snapshot refers to {length}", remedy=_RESTORE)
    if crc32(content) != checksum:
        raise RecoveryError(f"{path}: wrong checksum over its first {length} bytes", remedy=_RESTORE)
    payloads, position = [], 0
    while position < length:
        size, _ = _HEADER.unpack_from(content, position)
        position += _HEADER.size
        payloads.append(content[position : position + size])
        position += size
    return payloads


def _sync_folder(folder: Path) -> None:
    """Make a new directory entry durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
