"""From ODCS properties to fields: types, bounds, enumerations, and the rules on single fields."""

from __future__ import annotations

import keyword
import re
from typing import Any

import msgspec

from config.contracts.document import Property, PropertyExtras
from config.contracts.model import ABSENT, Bounds, Field, LogicalType, Rule
from config.contracts.reader import Reader

_OPTIONS: dict[LogicalType, frozenset[str]] = {
    "string": frozenset({"min_length", "max_length", "pattern"}),
    "integer": frozenset({"minimum", "maximum", "exclusive_minimum", "exclusive_maximum"}),
    "number": frozenset({"minimum", "maximum", "exclusive_minimum", "exclusive_maximum"}),
    "array": frozenset({"min_items", "max_items"}),
    "object": frozenset({"max_properties"}),
}
SCALARS = ("string", "integer", "number", "boolean")
"""The types whose values are one plain value."""
_DEFAULTS: dict[str, type | tuple[type, ...]] = {"string": str, "integer": int, "number": (int, float), "boolean": bool}


def build_fields(properties: list[Property], reader: Reader, where: str, rules: list[Rule]) -> tuple[Field, ...]:
    """Return the fields of an object; the rules on them go to `rules`."""
    fields = []
    for position, item in enumerate(properties):
        place = f"{where}.properties[{position}]"
        if isinstance(item.name, msgspec.UnsetType):
            raise reader.error(f"a property has no name - at `{place}`", "Add its `name`.")
        if keyword.iskeyword(item.name) or item.name.startswith("__"):
            raise reader.error(f"{item.name} is a reserved word - at `{place}.name`", "Rename it by a `mapping`.")
        fields.append(_field(item, item.name, reader, place, rules))
    if len({f.name for f in fields}) < len(fields):
        raise reader.error(f"two properties have one name - at `{where}.properties`", "Keep one of them.")
    return tuple(fields)


def _field(item: Property, name: str, reader: Reader, where: str, rules: list[Rule] | None) -> Field:
    """Return a field; `rules` takes its rules, None where rules cannot be checked (inside objects and arrays)."""
    extras = reader.extras(item.custom_properties, PropertyExtras, where)
    if (item.items is not None) != (item.logical_type == "array"):
        raise reader.error(f"`items` belongs to arrays, and to each - at `{where}`", "State the type of the items.")
    if item.properties and (item.logical_type != "object" or extras.values):
        raise reader.error(f"`properties` belongs to objects that are no maps - at `{where}`", "Use one of the two.")
    nested: list[Rule] = []
    default: Any = ABSENT if extras.default is msgspec.UNSET else extras.default
    field = Field(
        name=name,
        type=item.logical_type,
        required=item.required,
        default=default,
        bounds=_bounds(item, reader, where),
        allowed=_allowed(item, reader, where),
        classification=item.classification,
        purposes=tuple(extras.purposes),
        fields=build_fields(item.properties, reader, where, nested),
        items=_field(item.items, "items", reader, f"{where}.items", None) if item.items else None,
        values=_field(extras.values, "values", reader, f"{where}.values", None) if extras.values else None,
        closed=not extras.additional_properties,
    )
    own = [*_field_rules(item, field, reader, where)]
    if nested or (own and rules is None):
        raise reader.error(
            f"only top-level fields can have rules of severity warning, or nullValues - at `{where}`",
            "Use validValues or a pattern of severity error, or drop the rule.",
        )
    if rules is not None:
        rules.extend(own)
    refuse_closed_and_dropped(field, reader, where)
    _check_default(field, reader, where)
    return field


def _check_default(field: Field, reader: Reader, where: str) -> None:
    if field.default is ABSENT:
        return
    expected = _DEFAULTS.get(field.type)
    wrong = (
        expected is None
        or not isinstance(field.default, expected)
        or (field.type != "boolean" and isinstance(field.default, bool))
        or (field.allowed and field.default not in field.allowed)
    )
    if wrong:
        raise reader.error(f"the default is no value of the field - at `{where}`", "Use a scalar of its type.")


def refuse_closed_and_dropped(field: Field, reader: Reader, where: str) -> None:
    """A closed object refuses what it does not decode, so that it cannot hold what is dropped."""
    dropped = [f.name for f in field.fields if f.dropped]
    if field.closed and dropped:
        raise reader.error(
            f"{dropped[0]} is dropped for want of a purpose, but the object is closed - at `{where}`",
            "Name a purpose, or allow additionalProperties.",
        )


def _bounds(item: Property, reader: Reader, where: str) -> Bounds:
    options = item.logical_type_options
    given = {n for n in options.__struct_fields__ if n != "format" and getattr(options, n) is not None}
    if extra := given - _OPTIONS.get(item.logical_type, frozenset()):
        raise reader.error(
            f"{item.logical_type} has no option {sorted(extra)[0]} - at `{where}.logicalTypeOptions`", "Remove it."
        )
    if options.pattern is not None:
        try:
            re.compile(options.pattern)
        except re.error as error:
            raise reader.error(f"bad pattern: {error} - at `{where}.logicalTypeOptions`", "Mend it.") from error
    return Bounds(
        minimum=options.minimum,
        maximum=options.maximum,
        exclusive_minimum=options.exclusive_minimum,
        exclusive_maximum=options.exclusive_maximum,
        length_min=options.min_length if options.min_items is None else options.min_items,
        length_max=next((n for n in (options.max_length, options.max_items, options.max_properties) if n), None),
        pattern=options.pattern,
    )


def _allowed(item: Property, reader: Reader, where: str) -> tuple[str | int, ...]:
    """The enumeration of a field: its `invalidValues` rules of severity error with `validValues`."""
    for rule in item.quality:
        values = rule.arguments.valid_values
        if rule.metric == "invalidValues" and rule.severity == "error" and not isinstance(values, msgspec.UnsetType):
            expected = {"string": str, "integer": int}.get(item.logical_type)
            if expected is None or not values or any(type(value) is not expected for value in values):
                raise reader.error(f"validValues do not fit the type - at `{where}.quality`", "List its values.")
            return tuple(values)
    return ()


def _field_rules(item: Property, field: Field, reader: Reader, where: str) -> list[Rule]:
    """The rules of a field that its decoded type does not keep already."""
    rules = []
    for position, quality in enumerate(item.quality):
        place = f"{where}.quality[{position}]"
        arguments = quality.arguments
        if quality.type == "custom" or quality.must_be != 0:
            raise reader.error(
                f"a field's rule is invalidValues or nullValues, mustBe 0 - at `{place}`",
                "Write it as a polars-sql rule of the schema object.",
            )
        if field.type not in SCALARS and quality.metric == "invalidValues":
            raise reader.error(f"invalidValues is for scalars - at `{place}`", "Drop the rule.")
        if quality.metric == "nullValues":
            condition = f"{field.name} IS NOT NULL"
        elif not isinstance(arguments.valid_values, msgspec.UnsetType):
            if quality.severity == "error":
                continue
            condition = f"{field.name} IN ({', '.join(map(_literal, arguments.valid_values))})"
        elif not isinstance(arguments.pattern, msgspec.UnsetType) and field.type == "string":
            condition = f"REGEXP_LIKE({field.name}, {_literal(arguments.pattern)})"
        else:
            raise reader.error(f"the rule says nothing that can be checked - at `{place}`", "Give it `arguments`.")
        name = quality.name or f"{field.name}.{quality.metric}"
        rules.append(Rule(name, condition, quality.severity == "error"))
    return rules


def _literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
