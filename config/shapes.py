"""What a document of a type may hold: the nearest name, and all there are, for whoever wrote another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from msgspec import inspect

PATH = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`")
"""Where in a document msgspec found a fault."""
STEP = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]|(?P<any>\[\.\.\.\])")
"""A field, an element, or a value of a mapping, whose key msgspec does not tell."""
_FIELD = re.compile(r"unknown field `(?P<name>[^`]*)`")
_CHOICE = re.compile(r"Invalid enum value (?P<mark>['\"])(?P<name>.*?)(?P=mark)(?: - at|$)")


def nearest(name: str, among: Iterable[str]) -> str:
    """Return which of the names that there are, at least one, is the nearest to another, and which there are."""
    among = list(among)
    (near,) = get_close_matches(name, among, n=1, cutoff=0.0)
    return f"Did you mean {near!r}? Known: {', '.join(among)}."


def hint(fault: str, shape: Any) -> str:
    """Return what could stand in the place of an unknown field or value.

    Args:
        fault: The message of msgspec's `ValidationError`.
        shape: The type that the document was to be.

    Returns:
        A remedy; "" where the fault is of another kind.
    """
    found = _FIELD.search(fault) or _CHOICE.search(fault)
    if found is None:
        return ""
    path = PATH.search(fault)
    kinds = [inspect.type_info(shape)]
    for step in STEP.finditer(path["path"] if path else ""):
        kinds = [below for kind in kinds for below in _below(kind, step["name"] or "")]
    among = dict.fromkeys(name for kind in kinds for name in _names(kind))
    return nearest(found["name"], among) if among else ""


def _below(kind: inspect.Type, field: str) -> Sequence[inspect.Type]:
    """Return what may stand in a field of a type, or, where it has no fields, in any of its places."""
    match kind:
        case inspect.StructType(fields=fields):
            found = [each.type for each in fields if each.encode_name == field]
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            found = [item]
        case inspect.DictType(value_type=value):
            found = [value]
        case _:
            found = []
    return [single for each in found for single in (each.types if isinstance(each, inspect.UnionType) else [each])]


def _names(kind: inspect.Type) -> list[str]:
    match kind:
        case inspect.StructType(fields=fields):
            return [each.encode_name for each in fields]
        case inspect.LiteralType(values=values):
            return [str(each) for each in values]
        case _:
            return []
