"""Whether an Avro schema may be read with: some would let a few bytes of a record end the process or the day.

The reader recurses in C, where nothing stops it: a record of a type that holds itself, nested a few thousand deep,
ends the process (tried). And a list of items of no width holds as many as its first bytes say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import fastavro
import orjson

DEPTH_MAX = 64
"""Levels of types within types."""
READS_MAX = 100_000
"""Values within one value, items of lists not counted: types that hold others twice, and so on, add up."""
READS_PER_BYTE_MAX = 64
"""Values within one item of a list, for each byte that it takes at least."""
_COMPLEX = ("record", "error", "array", "map", "enum", "fixed")
_WIDTHS = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}


class _Unfit(Exception):
    """A schema that is not read with; says why."""


class _Cost(NamedTuple):
    """What it takes to read one value of a type."""

    width: int
    """Bytes of it, at least."""
    reads: int
    """Values within it, itself included, at most; items of lists not counted."""


Named = dict[str, _Cost | None]
"""Costs by full name; None for types that are being looked at."""


def schema_fault(text: str, references: Sequence[str] = ()) -> str | None:
    """Return why records of a schema are not read, None if they are.

    Args:
        text: The schema, JSON.
        references: The schemas it refers to, each after those that it refers to itself.
    """
    named: Named = {}
    parsed: dict[str, Any] = {}
    try:
        for each in (*references, text):
            schema = orjson.loads(each)
            _cost(schema, "", named, 0)
            fastavro.parse_schema(schema, parsed)
    except _Unfit as unfit:
        return str(unfit)
    except Exception as error:  # what is wrong with a schema comes in many ways, and none is ours
        return f"no Avro schema ({type(error).__name__})"
    return None


def _cost(schema: Any, space: str, named: Named, depth: int) -> _Cost:
    """Return what it takes to read a value.

    Args:
        schema: The type.
        space: The namespace that names in it belong to.
        named: The named types so far.
        depth: Of the type.
    """
    if depth > DEPTH_MAX:
        raise _Unfit(f"nested more than {DEPTH_MAX} levels deep")
    if isinstance(schema, list):
        branches = [_cost(branch, space, named, depth + 1) for branch in schema]
        return _Cost(1 + min(b.width for b in branches), 1 + max(b.reads for b in branches))
    if isinstance(schema, str):
        return _cost_of_name(schema, space, named)
    kind = schema["type"]
    if kind not in _COMPLEX:
        return _cost(kind, space, named, depth + 1)
    if kind in ("array", "map"):
        item = _cost(schema["items" if kind == "array" else "values"], space, named, depth + 1)
        if item.reads > READS_PER_BYTE_MAX * (item.width + (kind == "map")):
            raise _Unfit("a list of items with next to no bytes, whose number nothing bounds")
        return _Cost(1, 1)
    name, space = _full_name(schema, space)
    if kind in ("enum", "fixed"):
        cost = _Cost(1 if kind == "enum" else int(schema["size"]), 1)
    else:
        named[name] = None
        fields = [_cost(field["type"], space, named, depth + 1) for field in schema["fields"]]
        cost = _Cost(sum(f.width for f in fields), 1 + sum(f.reads for f in fields))
    if cost.reads > READS_MAX:
        raise _Unfit(f"more than {READS_MAX} values in each")
    named[name] = cost
    return cost


def _cost_of_name(name: str, space: str, named: Named) -> _Cost:
    if name in _WIDTHS:
        return _Cost(_WIDTHS[name], 1)
    full = name if "." in name or f"{space}.{name}" not in named else f"{space}.{name}"
    cost = named[full]
    if cost is None:
        raise _Unfit("a record that holds itself, to any depth")
    return cost


def _full_name(schema: Any, space: str) -> tuple[str, str]:
    name: str = schema["name"]
    space = name.rpartition(".")[0] if "." in name else schema.get("namespace", space)
    short = name.rpartition(".")[2]
    return (f"{space}.{short}" if space else short), space
