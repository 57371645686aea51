"""Records framed by serializers of a schema registry: which schema they name, and what they hold, as JSON text.

The frame is Confluent's: a magic byte and the schema's id before the value, or, newer, both in the header
`__value_schema_id`. What is in the frame takes the one decoding path of all records: JSON as it is, Avro as the JSON
text of its fields. Schemas are fetched elsewhere; here they are looked up, so that equal batches give equal results.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import fastavro
import msgspec
import orjson

from operators.avro import schema_fault
from operators.limits import RECORD_BYTES_MAX

SCHEMA_HEADER: Final = "__value_schema_id"
"""Carries the frame's head where the value is not framed."""
ID_BYTES, GUID_BYTES = 4, 16
_ID, _GUID = 0, 1
"""Magic bytes: a number of one registry follows, or an id that is the same in all registries."""
_UNFRAMED = b"\x02"
"""No JSON text sorts before it, every framed value does."""

Headers = Sequence[tuple[str, bytes | None]]
Fault = tuple[str, str]
"""Reason and detail of a record that cannot be unframed."""


class Schema(msgspec.Struct, frozen=True):
    """A schema as a registry gave it, or its answer that there is none."""

    id: str
    """The number in frames, or the GUID."""
    type: str = ""
    """`AVRO`, `JSON` or another type of the registry; "" if it knows no such schema."""
    text: str = ""
    references: tuple[str, ...] = ()
    """Texts of the schemas it refers to, each after those that it refers to itself."""


class Frame(NamedTuple):
    """A framed value, taken apart."""

    schema: str
    body: bytes


def frame_of(value: bytes, headers: Headers = ()) -> Frame | None:
    """Return the frame of a value, None if it has none.

    Raises:
        ValueError: It has the beginning of one only.
    """
    for name, head in headers:
        if name == SCHEMA_HEADER and head is not None:
            schema, length = _head(head)
            if length != len(head):
                raise ValueError(f"the header {SCHEMA_HEADER} is {len(head)} bytes long, not {length}")
            return Frame(schema, value)
    if value[:1] >= _UNFRAMED or not value:
        return None
    schema, length = _head(value)
    return Frame(schema, value[length:])


def _head(value: bytes) -> tuple[str, int]:
    """Return the schema's id and where the head ends."""
    length = {_ID: 1 + ID_BYTES, _GUID: 1 + GUID_BYTES}.get(value[0]) if value else None
    if length is None or len(value) < length:
        raise ValueError("the head of the frame is cut off, or begins with an unknown magic byte")
    if value[0] == _ID:
        return str(int.from_bytes(value[1:length], "big")), length
    return str(UUID(bytes=value[1:length])), length


def headers_matter(headers: Iterable[Headers]) -> bool:
    """Return whether some header says how a record is to be decoded: as binary mode, or of which schema."""
    return any(name == SCHEMA_HEADER or name.startswith("ce_") for one in headers for name, _ in one)


def any_framed(joined: bytes) -> bool:
    """Return whether some of the values that were joined may be framed: no JSON text holds a magic byte."""
    return b"\0" in joined or b"\1" in joined


class Schemas:
    """The schemas at hand: what is in them was fetched once and never changes."""

    def __init__(self, schemas: Iterable[Schema] = ()) -> None:
        self._known: dict[str, Schema] = {}
        self._readers: dict[str, Callable[[bytes], bytes | Fault]] = {}
        for schema in schemas:
            self.add(schema)

    def add(self, schema: Schema) -> None:
        """Take in a schema; the first of an id counts."""
        self._known.setdefault(schema.id, schema)

    def __contains__(self, schema: str) -> bool:
        return schema in self._known

    def unframed(self, value: bytes, headers: Headers = ()) -> bytes | Fault:
        """Return what is in a value's frame as JSON text, the value itself if it has no frame, or the fault."""
        try:
            frame = frame_of(value, headers)
        except ValueError as error:
            return "undecodable", str(error)
        if frame is None:
            return value
        if len(value) > RECORD_BYTES_MAX:
            return "limits", f"{len(value)} bytes, more than {RECORD_BYTES_MAX}"
        reader = self._readers.get(frame.schema)
        if reader is None:
            schema = self._known.get(frame.schema)
            if schema is None:
                return "unknown-schema", f"schema {frame.schema} was not fetched: no registry is set"
            reader = self._readers[frame.schema] = _reader(schema)
        return reader(frame.body)

    def missing(self, values: Iterable[bytes | None], headers: Sequence[Headers]) -> set[str]:
        """Return the ids that values name and that are not at hand.

        Args:
            values: Of a batch.
            headers: Of the same records, or none.
        """
        if not headers_matter(headers):
            present = [value for value in values if value]
            if not any_framed(b"".join(present)):
                return set()
            values, headers = present, [()] * len(present)
        named: set[str] = set()
        for value, head in zip(values, headers, strict=True):
            if value is not None:
                with suppress(ValueError):
                    frame = frame_of(value, head)
                    named.update([frame.schema] if frame else [])
        return named - self._known.keys()


def _reader(schema: Schema) -> Callable[[bytes], bytes | Fault]:
    identity = schema.id
    if not schema.type:
        return _refuse("unknown-schema", f"the registry knows no schema {identity}")
    if schema.type == "JSON":
        return lambda body: body
    if schema.type != "AVRO":
        return _refuse("undecodable", f"schema {identity} is of type {schema.type}: only AVRO and JSON are read")
    fault = schema_fault(schema.text, schema.references)
    if fault is not None:
        return _refuse("undecodable", f"schema {identity}: {fault}")
    return _avro_reader(schema)


def _refuse(reason: str, detail: str) -> Callable[[bytes], bytes | Fault]:
    return lambda _body: (reason, detail)


def _avro_reader(schema: Schema) -> Callable[[bytes], bytes | Fault]:
    identity = schema.id
    named: dict[str, Any] = {}
    for text in schema.references:
        fastavro.parse_schema(orjson.loads(text), named)
    parsed: Any = fastavro.parse_schema(orjson.loads(schema.text), named)

    def read(body: bytes) -> bytes | Fault:
        stream = io.BytesIO(body)
        try:
            record = fastavro.schemaless_reader(stream, parsed, None)
            if stream.tell() != len(body):
                return "undecodable", f"not of schema {identity}: {len(body) - stream.tell()} bytes follow the record"
            return orjson.dumps(record, default=_plain, option=orjson.OPT_UTC_Z)
        except (EOFError, LookupError, ValueError, TypeError, ArithmeticError) as error:
            # Without the words of the error: they may quote the record.
            return "undecodable", f"not of schema {identity}: {type(error).__name__} at byte {stream.tell()}"

    return read


def _plain(value: Any) -> Any:
    """Return what JSON has no word for: bytes in base64, decimals with all their digits."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(f"no JSON for {type(value).__name__}")
