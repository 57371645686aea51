"""Records that are no structured CloudEvents, made into ones: by a contract's mapping, or from binary mode headers.

The result is JSON text in canonical form that takes the one decoding path of all records. What a mapping cannot
convert it passes on as it is, so that the contract finds the fault and names the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

import orjson

from config.clock import to_text
from config.contracts.model import ContractSet, ForeignMapping, Path
from operators.batch import RawBatch

Fault = tuple[str, str]
"""Reason and detail of a record that no mapping takes."""

_PER_MICROSECOND: Final = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
_NUMBER = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?")
_INTEGER = re.compile(r"-?\d{1,19}")
_ATTRIBUTES = ("id", "source", "type", "subject", "time", "dataschema")
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Target:
    """A mapping and the type it makes."""

    type: str
    mapping: ForeignMapping


class Mapper:
    """Makes records of foreign shape into structured CloudEvents."""

    def __init__(self, contracts: ContractSet) -> None:
        self._targets = [Target(contract.type, mapping) for contract in contracts for mapping in contract.mappings]
        self._of_topic: dict[str, list[Target]] = {}

    def targets(self, topic: str) -> list[Target]:
        """Return the mappings that name `topic`, in the order they are tried; none for a topic of CloudEvents."""
        if topic not in self._of_topic:
            self._of_topic[topic] = [
                target for target in self._targets if any(fnmatchcase(topic, glob) for glob in target.mapping.topics)
            ]
        return self._of_topic[topic]

    def canonical(self, batch: RawBatch, position: int, value: bytes) -> bytes | Fault:
        """Return the record at `position` as a structured CloudEvent, or why it is none; `value` is its JSON text.

        A record of a mapped topic that is a CloudEvent already, and one without binary mode headers on any other
        topic, is returned as it is.
        """
        headers = dict(batch.headers[position]) if batch.headers else {}
        binary = headers.get("ce_specversion") is not None and not _structured(headers.get("content-type"))
        targets = self.targets(batch.topic)
        if not binary and not targets:
            return value
        try:
            record = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            return "not-json", f"not JSON: {error.msg} at byte {error.pos}"
        if not binary and isinstance(record, dict) and "specversion" in record:
            return value
        try:
            return _from_headers(headers, record) if binary else _mapped(targets, batch, position, record)
        except orjson.JSONEncodeError as error:
            return "limits", f"cannot be made a CloudEvent: {error}"


def _structured(media_type: bytes | None) -> bool:
    """Whether a `content-type` says that the value is a whole CloudEvent: that decides, as the Kafka binding says."""
    return media_type is not None and media_type[:23].lower().startswith(b"application/cloudevents")


def _from_headers(headers: Mapping[str, bytes | None], record: Any) -> bytes | Fault:
    """CloudEvents binary mode: the attributes stand in headers `ce_*`, the data are the value."""
    envelope: dict[str, Any] = {"data": record}
    for name in ("specversion", *_ATTRIBUTES):
        text = headers.get(f"ce_{name}")
        if text is not None:
            try:
                envelope[name] = text.decode()
            except UnicodeDecodeError:
                return "not-cloudevent", f"the header ce_{name} is not UTF-8"
    return orjson.dumps(envelope)


def _mapped(targets: list[Target], batch: RawBatch, position: int, record: Any) -> bytes | Fault:
    for target in targets:
        mapping = target.mapping
        root = _change_event(record) if mapping.debezium else record
        source = _Source(batch, position, root)
        if source.matches(mapping.when) and not (mapping.unless and source.matches(mapping.unless)):
            return orjson.dumps(_envelope(target, source))
    return "unmapped", "none of the topic's mappings takes the record"


def _change_event(record: Any) -> Any:
    """Debezium's change event: `before`, `after`, `op`, …, with or without the envelope that carries its schema."""
    if isinstance(record, dict) and "schema" in record and isinstance(record.get("payload"), dict):
        return record["payload"]
    return record


def _envelope(target: Target, source: _Source) -> dict[str, Any]:
    mapping = target.mapping
    batch = source.batch
    parts = [source.read(path) for path in mapping.id]
    if any(part is _ABSENT or part is None for part in parts):
        identity: Any = None
    else:
        identity = "/".join(map(str, parts)) or f"{batch.topic}/{batch.partition}/{source.offset}"
    data = {name: source.read(path) for name, path in mapping.data.items()}
    time = source.read(mapping.time)
    return {
        "specversion": "1.0",
        "id": identity,
        "source": mapping.source or batch.topic,
        "type": target.type,
        "time": None if time is _ABSENT else time,
        "data": {name: value for name, value in data.items() if value is not _ABSENT},
    }


@dataclass(frozen=True, slots=True)
class _Source:
    """One foreign record, with what Kafka knows of it."""

    batch: RawBatch
    position: int
    root: Any

    @property
    def offset(self) -> int:
        return self.batch.offsets[self.position]

    def matches(self, conditions: Mapping[str, tuple[Any, ...]]) -> bool:
        """Whether each path has one of its values; null stands for a missing one."""
        for path, allowed in conditions.items():
            found = self._look_up(path)
            found = None if found is _ABSENT else found
            if not any(type(found) is type(value) and found == value for value in allowed):
                return False
        return True

    def read(self, path: Path) -> Any:
        """Return the value at `path`, converted; `_ABSENT` where there is none."""
        if not path.path:
            return path.constant
        value = self._look_up(path.path)
        if path.unit not in ("", "text"):
            return _instant(value, path.unit)
        return _converted(value, path.to)

    def _look_up(self, path: str) -> Any:
        if path.startswith("@"):
            return self._of_kafka(path[1:])
        value = self.root
        for step in path.split("."):
            if isinstance(value, dict):
                value = value.get(step, _ABSENT)
            elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
                value = value[int(step)]
            else:
                return _ABSENT
        return value

    def _of_kafka(self, name: str) -> Any:
        batch, position = self.batch, self.position
        match name:
            case "topic":
                return batch.topic
            case "partition":
                return batch.partition
            case "offset":
                return batch.offsets[position]
            case "timestamp":
                return batch.timestamps[position] if batch.timestamps[position] >= 0 else _ABSENT
            case "key":
                key = batch.keys[position]
                # A key need not be text; escaping the bytes that are none keeps different keys different.
                return _ABSENT if key is None else key.decode(errors="backslashreplace")
        return _ABSENT


def _instant(value: Any, unit: str) -> Any:
    """Return a count of units since 1970 as RFC 3339 text; what is no count, or out of range, as it is."""
    if type(value) is not int:
        return value
    multiply, divide = _PER_MICROSECOND[unit]
    try:
        return to_text(value * multiply // divide)
    except OverflowError:
        return value


def _converted(value: Any, to: str) -> Any:
    """Return a scalar as another type, where it can be read as such without loss; else as it is."""
    if to == "string" and type(value) in (int, float):
        return str(value)
    if to == "number" and isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if to == "integer" and isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return value
