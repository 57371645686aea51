"""Why a record cannot be processed: a bounded list of reasons, and details that give no values away."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, Final

import orjson

from config.contracts.model import ContractSet
from config.events import Reject
from operators.batch import RawBatch

REASONS: Final = (
    "tombstone",  # no value at all
    "limits",  # too large or too deeply nested
    "unknown-schema",  # framed with the id of a schema that the registry does not know
    "undecodable",  # framed, but not of its schema, or of one that is not read
    "not-json",  # no JSON, or text that is no Unicode
    "unmapped",  # of a mapped topic, but no mapping takes it
    "not-cloudevent",  # without what CloudEvents 1.0 requires
    "unknown-type",  # no contract
    "unknown-version",  # of another major version than the contract
    "time",  # no event time, or one that cannot be
    "contract",  # breaks a must rule of its contract
    "misplaced",  # of a control topic, but no control record; or the reverse
)
"""Every reason `operators/decode.py` gives; lateness and wild clocks add their own."""

VALUE_BYTES_MAX = 64 * 1024
"""Up to this the original bytes travel with the reject, beyond it their hash stands for them."""

_TYPE = re.compile(r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$")
_QUOTED_VALUE = re.compile(r"Invalid (?:enum )?value (?:'.*'|-?\d+)", re.DOTALL)
_UNKNOWN_FIELD = re.compile(r"unknown field `.*?`(?= - at|$)", re.DOTALL)
_ENVELOPE = frozenset({"specversion", "id", "source"})


def reject(batch: RawBatch, position: int, reason: str, detail: str, contract: str = "") -> Reject:
    """Return the reject of the record at `position` of `batch`."""
    value = batch.values[position] or b""
    key = batch.keys[position]
    headers = batch.headers[position] if batch.headers else []
    sizes = (len(value), len(key or b""), sum(len(name) + len(body or b"") for name, body in headers))
    kept = max(sizes) <= VALUE_BYTES_MAX  # all or none: a record redriven with half its key would be another one
    return Reject(
        topic=batch.topic,
        partition=batch.partition,
        offset=batch.offsets[position],
        reason=reason,
        detail=detail,
        contract=contract,
        value=value if kept else b"",
        value_hash=blake2b(value, digest_size=16).hexdigest(),
        value_bytes=len(value),
        key=key if kept else None,
        timestamp=batch.timestamps[position],
        headers=headers if kept else [],
    )


def judge(value: bytes, error: Exception, contracts: ContractSet) -> tuple[str, str, str]:
    """Return (reason, detail, contract) for a record that `error` kept from being decoded.

    The record is read a second time, untyped: rejects are rare, and the decoder stops at the first fault it meets,
    which is not always the one that names the cause.
    """
    if isinstance(error, RecursionError):
        return "limits", "nested too deeply", ""
    try:
        record: Any = orjson.loads(value)
    except orjson.JSONDecodeError as fault:
        return "not-json", f"not JSON: {fault.msg} at byte {fault.pos}", ""
    if not isinstance(record, dict):
        return "not-cloudevent", f"not an object but {_kind(record)}", ""
    name = record.get("type")
    if record.get("specversion") != "1.0" or not isinstance(name, str):
        return "not-cloudevent", "no CloudEvent: `specversion` is not 1.0 or `type` is no string", ""
    if name not in contracts:
        shown = name if _TYPE.match(name) else f"of {len(name)} characters"
        return "unknown-type", f"no contract for type {shown}", ""
    contract = contracts.of(name)
    if version_differs(record.get("dataschema"), contract.major):
        return "unknown-version", f"`dataschema` is not of major version {contract.major}", contract.ref
    missing = [name for name in sorted(_ENVELOPE) if not record.get(name) or not isinstance(record[name], str)]
    if missing:
        return "not-cloudevent", f"no CloudEvent: `{missing[0]}` is no text", contract.ref
    if not isinstance(record.get("time"), str):
        return "time", "no event time: `time` is missing or no text", contract.ref
    return "contract", without_values(str(error)), contract.ref


def without_values(message: str) -> str:
    """Return a decoder's message without the values and field names it quotes from the record."""
    message = _QUOTED_VALUE.sub("Not one of the allowed values", message)
    return _UNKNOWN_FIELD.sub("a field the contract does not name", message)


def version_differs(dataschema: object, major: str) -> bool:
    """Whether a `dataschema` says a version, `…/<version>` or `…:<version>`, of another major version."""
    if not isinstance(dataschema, str):
        return False
    version = re.search(r"[/:]v?(\d+)(?:\.\d+){0,2}$", dataschema)
    return version is not None and version.group(1) != major


def _kind(value: object) -> str:
    kinds: dict[type, str] = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
