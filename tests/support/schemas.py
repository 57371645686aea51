"""Contracts as schemas of a registry: the same fields in JSON Schema and in Avro, as far as each has words for them."""

from __future__ import annotations

from typing import Any

import orjson

from config.contracts import Contract
from config.contracts.model import ABSENT, Field

_JSON_TYPES = {"timestamp": "string", "date": "string"}
_AVRO_TYPES: dict[str, Any] = {
    "integer": "long",
    "number": "double",
    "timestamp": {"type": "long", "logicalType": "timestamp-micros"},
    "date": {"type": "int", "logicalType": "date"},
}


def json_schema(contract: Contract) -> str:
    """Return the body of a contract as JSON Schema."""
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "t", **_json_of(contract.body)}
    return orjson.dumps(schema).decode()


def avro_schema(contract: Contract) -> str:
    """Return the body of a contract as an Avro record; it has no bounds, and ignores what it does not name."""
    return orjson.dumps(_avro_of(contract.body, "t")).decode()


def _json_of(field: Field) -> dict[str, Any]:
    kind = _JSON_TYPES.get(field.type, field.type)
    made: dict[str, Any] = {"type": kind if field.required else [kind, "null"]}
    bounds = field.bounds
    size = {"string": "Length", "array": "Items", "object": "Properties"}.get(field.type, "")
    limits = {
        "minimum": bounds.minimum,
        "maximum": bounds.maximum,
        "exclusiveMinimum": bounds.exclusive_minimum,
        "exclusiveMaximum": bounds.exclusive_maximum,
        f"min{size}": bounds.length_min,
        f"max{size}": bounds.length_max,
        "pattern": bounds.pattern,
    }
    made |= {name: limit for name, limit in limits.items() if limit is not None}
    if field.allowed:
        made["enum"] = list(field.allowed)
    if field.default is not ABSENT:
        made["default"] = field.default
    if field.items is not None:
        made["items"] = _json_of(field.items)
    if field.type == "object":
        made["properties"] = {each.name: _json_of(each) for each in field.fields}
        made["required"] = [each.name for each in field.fields if each.required and each.default is ABSENT]
        made["additionalProperties"] = not field.closed
    return made


def _avro_of(field: Field, name: str) -> Any:
    if field.type == "object":
        return {"type": "record", "name": name, "fields": [_avro_field(each, name) for each in field.fields]}
    if field.type == "array" and field.items is not None:
        return {"type": "array", "items": _avro_of(field.items, f"{name}_item")}
    if field.allowed and field.type == "string":
        return {"type": "enum", "name": f"{name}_enum", "symbols": list(field.allowed)}
    return _AVRO_TYPES.get(field.type, field.type)


def _avro_field(field: Field, within: str) -> dict[str, Any]:
    kind = _avro_of(field, f"{within}_{field.name}")
    if not field.required:
        return {"name": field.name, "type": ["null", kind], "default": None}
    default = {} if field.default is ABSENT else {"default": field.default}
    return {"name": field.name, "type": kind, **default}
