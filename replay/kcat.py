"""Makes a recording from dumps of `kcat -C -J`: one JSON envelope a line, plain or gzipped.

Keys and payloads are JSON strings in a dump, so their bytes are UTF-8. kcat writes bytes that are not UTF-8 as they
are, which makes the line no valid JSON text; such a line is read with its strange bytes kept, so that nothing is lost.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import msgspec

from config.errors import RecordingError
from replay.columns import Headers
from replay.manifest import NO_TIMESTAMP, TIMESTAMP_MAX
from replay.writer import RecordingWriter

LINE_BYTES = 256 << 20
"""No record is as long; a file without line breaks is something else than a dump."""

_REPORT_LINES = 4096
_OFFSET_MAX = 2**63 - 2  # the offset after it must be a 64-bit integer too
_DUMP_AGAIN = "dump the topic again with `kcat -C -e -J -t TOPIC`"


class _Envelope(msgspec.Struct, gc=False):
    topic: str
    partition: Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=_OFFSET_MAX)]
    key: str | None
    payload: str | None
    ts: Annotated[int, msgspec.Meta(ge=NO_TIMESTAMP, le=TIMESTAMP_MAX)] = NO_TIMESTAMP
    tstype: str = "unknown"
    headers: list[str | None] = []


_decode = msgspec.json.Decoder(_Envelope).decode


def import_dumps(
    paths: Sequence[Path], writer: RecordingWriter, advance: Callable[[int], None] = lambda _bytes: None
) -> int:
    """Write the records of dumps; each may hold several topics, and a topic may go on from file to file.

    Args:
        paths: The dumps, read in this order.
        writer: Where the records go; the caller finishes it.
        advance: Called now and then with how many more bytes of the files were read.

    Returns:
        How many records there were.

    Raises:
        RecordingError: A line is not an envelope, a partition's offsets do not rise, or a file is cut off; names the
            file and the line.
    """
    records = 0
    headers = _Headers()
    for path in paths:
        for number, line in _lines(path, advance):
            try:
                _write(line, writer, headers)
            except RecordingError as error:
                raise RecordingError(f"{path}:{number}: {error.message}", remedy=error.remedy) from error
            records += 1
    return records


class _Headers:
    """Turns the headers of envelopes into those of records; the same ones, mostly, record for record."""

    def __init__(self) -> None:
        self._flat: list[str | None] = []
        self._made: Headers = []

    def of(self, flat: list[str | None], errors: str) -> Headers:
        """Return `flat`, names and values in turn, as pairs; they are shared, not to be changed."""
        if flat != self._flat:
            if len(flat) % 2 or None in flat[::2]:
                raise RecordingError("headers are not a list of names and values in turn.", remedy=_DUMP_AGAIN)
            names = cast(list[str], flat[::2])
            self._made = [(name, _bytes(value, errors)) for name, value in zip(names, flat[1::2], strict=True)]
            self._flat = flat
        return self._made


def _write(line: bytes, writer: RecordingWriter, headers: _Headers) -> None:
    envelope, errors = _parse(line)
    writer.write(
        envelope.topic,
        envelope.partition,
        envelope.offset,
        NO_TIMESTAMP if envelope.tstype == "unknown" else envelope.ts,
        _bytes(envelope.key, errors),
        _bytes(envelope.payload, errors),
        headers.of(envelope.headers, errors),
        envelope.tstype,
    )


def _bytes(text: str | None, errors: str) -> bytes | None:
    return None if text is None else text.encode("utf-8", errors)


def _parse(line: bytes) -> tuple[_Envelope, str]:
    """Return the envelope, and how its text becomes bytes again."""
    try:
        return _decode(line), "strict"
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        try:
            line.decode()
        except UnicodeDecodeError:
            return _parse_strange(line), "surrogateescape"
        raise RecordingError(f"not an envelope of kcat -J: {error}.", remedy=_remedy(line)) from error


def _parse_strange(line: bytes) -> _Envelope:
    """Read a line that is not UTF-8, keeping each strange byte as a lone surrogate."""
    try:
        return msgspec.convert(json.loads(line.decode("utf-8", "surrogateescape")), _Envelope)
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, msgspec.ValidationError) else "neither UTF-8 nor as kcat writes it"
        raise RecordingError(f"not an envelope of kcat -J: {why}.", remedy=_DUMP_AGAIN) from error


def _remedy(line: bytes) -> str:
    if not line.endswith(b"\n"):
        return f"the dump's last line is cut off: {_DUMP_AGAIN}, or remove the line"
    return f"{_DUMP_AGAIN}; without -s, which decodes payloads"


def _lines(path: Path, advance: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each line that is not blank."""
    number = 0
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(path.open("rb"))
            zipped = raw.peek(2)[:2] == b"\x1f\x8b"
            text: BinaryIO | gzip.GzipFile = stack.enter_context(gzip.GzipFile(fileobj=raw)) if zipped else raw
            told = 0
            while line := text.readline(LINE_BYTES):
                number += 1
                if len(line) == LINE_BYTES:
                    raise RecordingError(f"{path}:{number}: longer than {LINE_BYTES} bytes.", remedy=_DUMP_AGAIN)
                if not line.isspace():
                    yield number, line
                if number % _REPORT_LINES == 0:
                    advance(raw.tell() - told)
                    told = raw.tell()
            advance(raw.tell() - told)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise RecordingError(
                f"{path}: the gzip file is cut off or damaged after line {number}: {error}.",
                remedy="Copy the file again from where it is whole, or dump the topic again.",
            ) from error
        except OSError as error:
            raise RecordingError(
                f"{path} cannot be read: {error.strerror}.", remedy="Check its permissions."
            ) from error
