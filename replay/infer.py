"""What a contract might say of records nobody described: types, presence and keys, inferred from samples."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from typing import Any

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PERSONAL = re.compile(
    r"name|mail|phone|address|street|city|zip|birth|gender|comment|text|message|note|ip\b|user|customer|buyer|client|account|card"
    r"|iban|device|lat\b|lon",
    re.IGNORECASE,
)
_CUSTOMER = re.compile(r"customer|user|buyer|client|account|member", re.IGNORECASE)
MAP_NAMES_MIN = 30
"""An object with more different names than this, all of numbers, is taken for a map."""
DEPTH_MAX = 5

Json = dict[str, Any]


def infer_properties(samples: Sequence[Json], depth: int = 0) -> list[Json]:
    """Return ODCS properties for the fields of `samples`, in the order they were first seen.

    Fields whose name is no identifier, or whose values are of several kinds, are left out: a contract cannot
    describe them, and an open one ignores them.
    """
    names = dict.fromkeys(name for sample in samples for name in sample)
    found = []
    for name in names:
        if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name.startswith("__"):
            continue
        values = [sample.get(name) for sample in samples]
        described = _describe([value for value in values if value is not None], name, depth)
        if described is None:
            continue
        required = None not in values
        found.append({"name": name, **described, **({"required": True} if required else {})})
    return found


def _describe(values: Sequence[Any], name: str, depth: int) -> Json | None:
    """Return type and class of a field with these values, none of them null; None where they cannot be described."""
    if not values or depth > DEPTH_MAX:
        return None
    kinds = set(map(type, values))
    personal: Json = {"classification": "personal"} if _PERSONAL.search(name) else {}
    if kinds == {str}:
        if all(_INSTANT.fullmatch(value) for value in values):
            return {"logicalType": "timestamp"}
        return {"logicalType": "string", **personal}
    if kinds == {bool}:
        return {"logicalType": "boolean"}
    if kinds == {int}:
        return {"logicalType": "integer", **personal}
    if kinds <= {int, float}:
        return {"logicalType": "number", **personal}
    if kinds == {dict}:
        return _describe_object(values, depth)
    if kinds == {list}:
        items = [item for value in values for item in value]
        inner = _describe([item for item in items if item is not None], name, depth + 1)
        if inner is None:
            return None
        return {"logicalType": "array", "items": inner | ({"required": True} if None not in items else {})}
    return None


def _describe_object(values: Sequence[Json], depth: int) -> Json | None:
    names = {name for value in values for name in value}
    parts = [part for value in values for part in value.values() if part is not None]
    if (
        parts
        and {type(part) for part in parts} <= {int, float}
        and (len(names) > MAP_NAMES_MIN or not all(map(_NAME.fullmatch, names)))
    ):
        return {
            "logicalType": "object",
            "customProperties": [{"property": "values", "value": {"logicalType": "number"}}],
        }
    properties = infer_properties(values, depth + 1)
    return {"logicalType": "object", "properties": properties} if properties else None


def choose_key(properties: Sequence[Json], samples: Sequence[Json], keys: Sequence[str | None]) -> str | None:
    """Return the field that is likely the entity key: the one that equals the records' own keys, a customer's id,
    or the first text that every record has; None where there is no such field.

    Args:
        properties: As inferred from `samples`.
        samples: The data of some records.
        keys: Their `subject`, or their Kafka key; None where there is none.
    """
    texts = [p["name"] for p in properties if p["logicalType"] == "string" and p.get("required")]
    texts = [name for name in texts if all(sample[name] for sample in samples)]
    for name in texts:
        if all(sample[name] == key for sample, key in zip(samples, keys, strict=True)):
            return str(name)
    for name in texts:
        if _CUSTOMER.search(name) and name.endswith("id"):
            return str(name)
    return str(texts[0]) if texts else None


def infer_document(type_name: str, samples: Sequence[Json], keys: Sequence[str | None], lateness: str) -> Json | None:
    """Return an ODCS document of status `draft`, or None where no field can be the entity key.

    Args:
        type_name: The record type.
        samples: The data of some of its records, at least one.
        keys: See `choose_key`.
        lateness: The `latenessMax` to propose.
    """
    properties = infer_properties(samples)
    key = choose_key(properties, samples, keys)
    if key is None:
        return None
    for item in properties:
        if item["name"] == key and "classification" in item:
            # Without a purpose the key would be dropped; with this one it is plain that nobody has looked yet.
            item["customProperties"] = [{"property": "purposes", "value": ["unreviewed"]}]
    measures = [] if _CUSTOMER.search(key) else _measures(properties)
    extras: Json = {
        "entityKey": key,
        "flow": "telemetry" if measures else "business",
        "latenessMax": lateness,
        **({"measures": measures} if measures else {}),
    }
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"urn:draft:{type_name}",
        "name": type_name,
        "version": "0.1.0",
        "status": "draft",
        "team": {"name": "(owner to be named)"},
        "support": [{"channel": "(escalation to be named)"}],
        "schema": [{"name": type_name, "properties": properties}],
        "customProperties": [{"property": name, "value": value} for name, value in extras.items()],
    }


def _measures(properties: Sequence[Json]) -> list[Json]:
    found: list[Json] = []
    for item in properties:
        if item.get("classification") == "personal":
            continue
        if item["logicalType"] == "number":
            found.append({"field": item["name"]})
        elif any(extra["property"] == "values" for extra in item.get("customProperties", [])):
            found.append({"map": item["name"]})
        elif item["logicalType"] == "object" and _all_numbers(item):
            item["customProperties"] = [{"property": "values", "value": {"logicalType": "number"}}]
            del item["properties"]
            found.append({"map": item["name"]})
    return found


def _all_numbers(item: Json) -> bool:
    return all(inner["logicalType"] in ("number", "integer") for inner in item["properties"])
