"""From contract to decoder: one `msgspec` struct for each type, all of them in one tagged union.

One decoder for the union reads the type and the record in one pass in C; a decoder for each type would need the
type first, and so the JSON twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from config.contracts.model import ABSENT, Bounds, Contract, ContractSet, Field

INTEGER_MIN, INTEGER_MAX = -(2**63) + 1, 2**63 - 1
MEASURE_MAX = 9 * 10**18
"""Values of measures stay within ± this, in units of their scale, so that they fit 64 bits."""
KEY_LENGTH_MAX = 256
METRIC_LENGTH_MAX = 128
ID_LENGTH_MAX = 512

Data = Any
"""An instance of a struct made at run time from a contract: its attributes are the contract's fields."""


class Envelope(msgspec.Struct, gc=False, kw_only=True):
    """The CloudEvents 1.0 attributes that decoding reads; a struct for each type adds `data`."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1, max_length=ID_LENGTH_MAX)]
    source: Annotated[str, Meta(min_length=1, max_length=ID_LENGTH_MAX)]
    time: str
    dataschema: str | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """The decoder of a contract set."""

    decoder: msgspec.json.Decoder[Envelope]
    contracts: dict[type[Envelope], Contract]
    """By the struct that the decoder returns."""


def compile_contracts(contracts: ContractSet) -> Compiled:
    """Return the decoder of all types in `contracts`, which must hold at least one."""
    structs = {_envelope(contract): contract for contract in contracts}
    return Compiled(msgspec.json.Decoder(reduce(or_, structs), strict=True), structs)


def _envelope(contract: Contract) -> type[Envelope]:
    name = _identifier(contract.type)
    struct: Any = msgspec.defstruct(  # a class made at run time: its type cannot be named
        f"{name}_event",
        [("data", _object(contract.body, _measured(contract), name))],
        bases=(Envelope,),
        tag_field="type",
        tag=contract.type,
        gc=False,
        kw_only=True,
    )
    return cast("type[Envelope]", struct)


def _measured(contract: Contract) -> dict[str, Bounds]:
    """Bounds that the role of a top-level field adds: measures must fit 64 bits, keys must not be empty."""
    extra = {contract.key: Bounds(length_min=1, length_max=KEY_LENGTH_MAX)}
    for measure in contract.measures:
        limit = MEASURE_MAX // 10**measure.digits
        extra[measure.map or measure.field] = Bounds(minimum=-limit, maximum=limit)
        if measure.name_field:
            extra[measure.name_field] = Bounds(length_min=1, length_max=METRIC_LENGTH_MAX)
    return extra


def _object(field: Field, extra: dict[str, Bounds], name: str) -> type[msgspec.Struct]:
    members: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for member in field.fields:
        if member.dropped:
            continue
        kind = annotation(member, extra.get(member.name, Bounds()), f"{name}_{member.name}")
        if not member.required:
            kind = kind | None
        if member.default is not ABSENT:
            members.append((member.name, kind, member.default))
        elif member.required:
            members.append((member.name, kind))
        else:
            members.append((member.name, kind, None))
    return msgspec.defstruct(name, members, gc=False, kw_only=True, forbid_unknown_fields=field.closed)


def annotation(field: Field, extra: Bounds, name: str) -> Any:
    """Return the type annotation that decodes a field's values; nullability is the caller's."""
    bounds = field.bounds
    match field.type:
        case "string":
            if field.allowed:
                return Literal[field.allowed]
            meta = {
                "min_length": _tighter(max, bounds.length_min, extra.length_min),
                "max_length": _tighter(min, bounds.length_max, extra.length_max),
                "pattern": bounds.pattern,
            }
            return _annotated(str, meta)
        case "integer":
            if field.allowed:
                return Literal[field.allowed]
            low = INTEGER_MIN if extra.minimum is None else extra.minimum
            high = INTEGER_MAX if extra.maximum is None else extra.maximum
            return _annotated(int, _range(bounds, low, high))
        case "number":
            return _annotated(float, _range(bounds, extra.minimum, extra.maximum))
        case "boolean":
            return bool
        case "timestamp":
            return Annotated[datetime, Meta(tz=True)]
        case "date":
            return date
        case "array":
            assert field.items is not None  # the loader refuses an array without items
            item = annotation(field.items, Bounds(), f"{name}_item")
            items: Any = list.__class_getitem__(item if field.items.required else item | None)
            return _annotated(items, {"min_length": bounds.length_min, "max_length": bounds.length_max})
        case "object":
            if field.values is not None:
                value = annotation(field.values, extra, f"{name}_value")
                entry = value if field.values.required else value | None
                key = Annotated[str, Meta(min_length=1, max_length=METRIC_LENGTH_MAX)]
                return _annotated(dict[key, entry], {"max_length": bounds.length_max})  # type: ignore[valid-type]
            if not field.fields and not field.closed:
                return dict[str, Any]
            return _object(field, {}, name)


def _range(bounds: Bounds, low: float | None, high: float | None) -> dict[str, Any]:
    """The bounds of a number: the contract's own, and the limits of what the runtime can carry."""
    meta: dict[str, Any] = {}
    if bounds.exclusive_minimum is not None and (low is None or bounds.exclusive_minimum >= low):
        meta["gt"] = bounds.exclusive_minimum
    else:
        meta["ge"] = _tighter(max, bounds.minimum, low)
    if bounds.exclusive_maximum is not None and (high is None or bounds.exclusive_maximum <= high):
        meta["lt"] = bounds.exclusive_maximum
    else:
        meta["le"] = _tighter(min, bounds.maximum, high)
    return meta


def _tighter(choose: Any, first: float | None, second: float | None) -> float | None:
    given = [bound for bound in (first, second) if bound is not None]
    return choose(given) if given else None


def _annotated(kind: Any, meta: dict[str, Any]) -> Any:
    given = {name: bound for name, bound in meta.items() if bound is not None}
    return Annotated[kind, Meta(**given)] if given else kind


def _identifier(type_name: str) -> str:
    return re.sub(r"\W", "_", type_name)
