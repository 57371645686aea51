"""Instants inside the data of events: which are possible, and from `datetime`, as decoded, to microseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from config.clock import to_micros
from config.contracts.model import Field

Convert = Callable[[Any], Any]
Find = Callable[[Any], str | None]

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Exclusive. Years 1 and 9999 say "unknown" and "never", and a deadline after them is beyond every calendar."""


def to_integers(field: Field) -> Convert | None:
    """Return what replaces the `datetime`s in a value of `field`, or None where it can hold none.

    Objects are changed in place; the value returned stands for the one given.
    """
    if field.type == "timestamp":
        return _instant
    if field.items is not None and (of_item := to_integers(field.items)):
        return lambda items: items and [of_item(item) for item in items]
    if field.values is not None and (of_value := to_integers(field.values)):
        return lambda entries: entries and {name: of_value(value) for name, value in entries.items()}
    parts = [(f.name, convert) for f in field.fields if not f.dropped and (convert := to_integers(f))]
    return _of_object(parts) if parts else None


def _of_object(parts: list[tuple[str, Convert]]) -> Convert:
    def convert(value: Any) -> Any:
        if value is not None:
            for name, of_part in parts:
                value[name] = of_part(value[name])
        return value

    return convert


def impossible(field: Field) -> Find | None:
    """Return what finds an instant outside 1900 … 2200 in a decoded value of `field`, or None where it can hold none.

    What is returned gives the path of the first such instant below the value, or None.
    """
    if field.type == "timestamp":
        return lambda value: None if value is None or EARLIEST <= value < LATEST else ""
    if field.items is not None and (in_item := impossible(field.items)):
        return lambda items: _first("[...]", in_item, items or ())
    if field.values is not None and (in_value := impossible(field.values)):
        return lambda entries: _first("[...]", in_value, (entries or {}).values())
    parts = [(f.name, attrgetter(f.name), find) for f in field.fields if not f.dropped and (find := impossible(f))]
    return _in_object(parts) if parts else None


def _first(step: str, find: Find, values: Iterable[Any]) -> str | None:
    return next((step + found for value in values if (found := find(value)) is not None), None)


def _in_object(parts: Sequence[tuple[str, Callable[[Any], Any], Find]]) -> Find:
    def find(value: Any) -> str | None:
        if value is not None:
            for name, read, in_part in parts:
                if (found := in_part(read(value))) is not None:
                    return f".{name}{found}"
        return None

    return find


def _instant(value: Any) -> int | None:
    return None if value is None else to_micros(value)
