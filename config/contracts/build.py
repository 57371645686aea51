"""From document to contract: what the document says must also make sense."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import polars as pl

from config.contracts.document import (
    Document,
    Extras,
    MappingItem,
    MeasureItem,
    ObjectExtras,
    PathItem,
    Quality,
)
from config.contracts.fields import SCALARS, build_fields, refuse_closed_and_dropped
from config.contracts.model import ABSENT, Contract, Field, ForeignMapping, Measure, Path, Rule
from config.contracts.reader import Reader
from config.duration import parse_duration


def build_contract(document: Document, reader: Reader, digest: str) -> Contract:
    """Return the contract a document describes.

    Raises:
        ContractError: the document contradicts itself or names what is not there.
    """
    shape = document.schema[0]
    extras = reader.extras(document.custom_properties, Extras, "$")
    rules: list[Rule] = []
    fields = build_fields(shape.properties, reader, "$.schema[0]", rules)
    closed = not reader.extras(shape.custom_properties, ObjectExtras, "$.schema[0]").additional_properties
    body = Field(name=shape.name, type="object", required=True, fields=fields, closed=closed)
    refuse_closed_and_dropped(body, reader, "$.schema[0]")
    for position, quality in enumerate(shape.quality):
        rules.append(_record_rule(quality, body, reader, f"$.schema[0].quality[{position}]"))
    if len({rule.name for rule in rules}) < len(rules):
        raise reader.error("two quality rules have one name - at `$.schema[0]`", "Give each rule a `name` of its own.")
    contract = Contract(
        type=shape.name,
        version=document.version,
        status=document.status,
        owner=document.team.name,
        escalation=tuple(item.channel for item in document.support),
        description=shape.description or document.description.purpose,
        key=extras.entity_key,
        flow=extras.flow,
        body=body,
        rules=tuple(rules),
        measures=tuple(_measure(item, body, reader) for item in extras.measures),
        failed_when=extras.failed_when,
        customer=extras.customer_field,
        mappings=tuple(_mapping(item, body, reader, i) for i, item in enumerate(extras.mapping)),
        freshness=None if extras.freshness is None else _span(extras.freshness, reader, "freshness"),
        lateness_max=_span(extras.lateness_max, reader, "latenessMax"),
        compatibility=extras.compatibility,
        sampled_max=_sampled_max(extras, reader),
        digest=digest,
        file=reader.file,
    )
    _check_roles(contract, reader)
    return contract


def _check_roles(contract: Contract, reader: Reader) -> None:
    """The fields the runtime uses by role exist and are of the right type."""
    where = "$.customProperties"
    _expect(contract.body, contract.key, ("string",), reader, f"{where}.entityKey", required=True)
    if contract.flow == "telemetry" and not contract.measures:
        raise reader.error(f"a telemetry contract measures nothing - at `{where}`", "Add the property `measures`.")
    if contract.flow != "telemetry" and (contract.measures or contract.failed_when or contract.customer):
        raise reader.error(
            f"measures, failedWhen and customerField are for telemetry - at `{where}`", "Set `flow` to telemetry."
        )
    if contract.customer:
        _expect(contract.body, contract.customer, ("string",), reader, f"{where}.customerField")
    if contract.failed_when:
        _expression(contract.failed_when, contract.body, reader, f"{where}.failedWhen")


def _sampled_max(extras: Extras, reader: Reader) -> int:
    """Return of how many records one must be looked at, whatever the overload."""
    shedding, where = extras.shedding, "$.customProperties.shedding"
    if shedding is None:
        return 1
    if extras.flow != "telemetry":
        raise reader.error(
            f"only telemetry may be sampled under overload: each {extras.flow} record counts - at `{where}`",
            "Leave the property out.",
        )
    if (shedding.class_ == "sampled") != isinstance(shedding.floor, float):
        raise reader.error(
            f"class sampled has a floor, class never has none - at `{where}`",
            "Write {class: sampled, floor: 0.1} to have a tenth of the records looked at whatever comes.",
        )
    # A share such as 0.1 is no binary fraction: 1 / 0.1 must not come out as 9.
    return math.floor(1 / shedding.floor + 1e-9) if isinstance(shedding.floor, float) else 1


def _span(text: str, reader: Reader, name: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise reader.error(f"{error} - at `$.customProperties.{name}`", "Write a span such as 5m or 1d.") from error


def _record_rule(quality: Quality, body: Field, reader: Reader, where: str) -> Rule:
    if quality.type != "custom" or quality.engine != "polars-sql" or not quality.name:
        raise reader.error(
            f"a rule over a record has a name, type custom and engine polars-sql - at `{where}`", "State them."
        )
    _expression(quality.implementation, body, reader, f"{where}.implementation")
    return Rule(quality.name, quality.implementation, quality.severity == "error")


def _expression(text: str, body: Field, reader: Reader, where: str) -> None:
    """Check a Polars SQL condition against the fields it names, by running it on no rows."""
    try:
        expression = pl.sql_expr(text)
        names = expression.meta.root_names()
    except pl.exceptions.PolarsError as error:
        raise reader.error(f"not an expression: {error} - at `{where}`", "Mend the expression.") from error
    for name in names:
        _expect(body, name, (*SCALARS, "timestamp"), reader, where)
    fields = {f.name: f for f in body.fields}
    rows = pl.DataFrame(schema={name: DTYPES[fields[name].type] for name in names})
    try:
        result = rows.select(expression.alias("result")).schema["result"]
    except pl.exceptions.PolarsError as error:
        raise reader.error(f"the expression cannot run: {error} - at `{where}`", "Mend the expression.") from error
    if result != pl.Boolean or not names:
        raise reader.error(f"the expression is no condition on fields - at `{where}`", "Compare a field.")


DTYPES: dict[str, pl.DataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "timestamp": pl.Datetime("us", "UTC"),
}
"""The Polars type of a field's column, by logical type."""


def _expect(
    body: Field, name: str, types: tuple[str, ...], reader: Reader, where: str, *, required: bool = False
) -> Field:
    """Return the field `name`, which must be one of `types` and survive decoding."""
    for field in body.fields:
        if field.name == name:
            if field.type not in types or (required and not field.required) or field.dropped:
                needs = ("required " if required else "") + " or ".join(types)
                raise reader.error(
                    f"{name} must be a {needs}, and not dropped for want of a purpose - at `{where}`",
                    "Name another field, or change it.",
                )
            return field
    raise reader.error(f"there is no field {name} - at `{where}`", "Name one of the schema's properties.")


def _measure(item: MeasureItem, body: Field, reader: Reader) -> Measure:
    where = "$.customProperties.measures"
    digits = round(-math.log10(item.scale))
    if not 0 <= digits <= 9 or not math.isclose(item.scale, 10.0**-digits):
        raise reader.error(f"scale {item.scale} is no power of ten down to 1e-9 - at `{where}`", "Use 1, 0.1, … 1e-9.")
    if bool(item.map) == bool(item.field) or (item.metric and item.name_field) or (item.map and item.name_field):
        raise reader.error(f"a measure has `map`, or `field` with `metric` or `nameField` - at `{where}`", "Pick one.")
    if item.map:
        field = _expect(body, item.map, ("object",), reader, where)
        if field.values is None or field.values.type not in ("number", "integer"):
            raise reader.error(f"{item.map} is no map of numbers - at `{where}`", "Give it `values` of type number.")
    else:
        _expect(body, item.field, ("number", "integer"), reader, where)
    if item.name_field:
        _expect(body, item.name_field, ("string",), reader, where, required=True)
    metric = "" if item.map or item.name_field else item.metric or item.field
    return Measure(field=item.field, metric=metric, name_field=item.name_field, map=item.map, digits=digits)


def _mapping(item: MappingItem, body: Field, reader: Reader, position: int) -> ForeignMapping:
    where = f"$.customProperties.mapping[{position}].data"
    for name in item.data:
        _known(body, name, reader, where)
    missing = [f.name for f in body.fields if f.required and f.default is ABSENT and f.name not in item.data]
    if missing:
        raise reader.error(f"required field {missing[0]} is not mapped - at `{where}`", "Add a path for it.")
    return ForeignMapping(
        topics=tuple(item.topics),
        debezium=item.format == "debezium",
        when=_values(item.when),
        unless=_values(item.unless),
        source=item.source,
        id=tuple(map(_path, item.id)),
        time=_path(item.time),
        data={name: _path(path) for name, path in item.data.items()},
    )


def _values(condition: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {path: tuple(v) if isinstance(v, list) else (v,) for path, v in condition.items()}


def _known(body: Field, name: str, reader: Reader, where: str) -> None:
    if name not in {f.name for f in body.fields}:
        raise reader.error(f"there is no field {name} - at `{where}`", "Name one of the schema's properties.")


def _path(item: str | PathItem) -> Path:
    if isinstance(item, str):
        return Path(path=item)
    return Path(path=item.path, constant=item.constant, unit=item.unit, to=item.to)
