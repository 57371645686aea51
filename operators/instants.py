"""Instants inside the data of business events: from `datetime`, as decoded, to microseconds, as computed with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from config.clock import to_micros
from config.contracts.model import Field

Convert = Callable[[Any], Any]


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


def _instant(value: Any) -> int | None:
    return None if value is None else to_micros(value)
