"""From decoded telemetry records to measures: exact numbers by key and metric, columnar.

A measure's value is an integer in units of its contract's scale, so that sums do not depend on their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import polars as pl

from config.contracts.build import DTYPES
from config.contracts.model import Contract, Measure
from operators.fields import Fields

SCHEMA: dict[str, pl.DataType] = {
    "key": pl.String(),
    "metric": pl.String(),
    "at": pl.Int64(),
    "value": pl.Int64(),
    "failed": pl.Boolean(),
    "customer": pl.String(),
    "offset": pl.Int64(),
    "contract": pl.String(),
}
"""Columns of a measure frame: entity key, metric, event time (µs), value (units of the scale), whether the record
failed, the customer it touched (null where unknown), offset, contract `type@version`."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The condition under which a record counts as failed, and the fields it reads."""

    condition: pl.Expr
    dtypes: dict[str, pl.DataType]


class Measures:
    """Makes the records of one telemetry contract into measures."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._failed: Failed | None = None
        if contract.failed_when:
            condition = pl.sql_expr(contract.failed_when)
            names = sorted(set(condition.meta.root_names()))
            self._failed = Failed(condition.fill_null(False), {n: DTYPES[contract.fields[n].type] for n in names})

    @property
    def columns(self) -> set[str]:
        """The fields that it reads as columns."""
        contract = self._contract
        named = {contract.key, contract.customer} | {m.field for m in contract.measures if not m.map}
        named |= {m.name_field for m in contract.measures} | set(self._failed.dtypes if self._failed else ())
        return named - {""}

    @property
    def lists(self) -> set[str]:
        """The fields, maps of numbers, that it reads as lists."""
        return {m.map for m in self._contract.measures if m.map}

    def frame(self, fields: Fields, at: pl.Series, offset: pl.Series) -> pl.DataFrame:
        """Return the measures of records whose event times and offsets are `at` and `offset`, as `SCHEMA`."""
        contract = self._contract
        common = [
            fields.column(contract.key, pl.String()).alias("key"),
            at.alias("at"),
            self._failures(fields).alias("failed"),
            self._customers(fields).alias("customer"),
            offset.alias("offset"),
            pl.repeat(contract.ref, len(fields), dtype=pl.String(), eager=True).alias("contract"),
        ]
        frames = [self._of(measure, fields, common) for measure in contract.measures]
        return frames[0] if len(frames) == 1 else pl.concat(frames)

    def _of(self, measure: Measure, fields: Fields, common: list[pl.Series]) -> pl.DataFrame:
        if measure.map:
            return self._of_map(measure, fields, common)
        value = fields.column(measure.field, DTYPES[self._contract.fields[measure.field].type])
        if measure.name_field:
            metric = fields.column(measure.name_field, pl.String())
        else:
            metric = pl.repeat(measure.metric, len(fields), dtype=pl.String(), eager=True)
        frame = pl.DataFrame([*common, metric.alias("metric"), scaled(value, measure.digits)])
        return (frame.drop_nulls("value") if value.null_count() else frame).select(*SCHEMA)

    def _of_map(self, measure: Measure, fields: Fields, common: list[pl.Series]) -> pl.DataFrame:
        maps = [entries or {} for entries in fields.values(measure.map)]
        counts = pl.Series(list(map(len, maps)), dtype=pl.Int64())
        values_field = self._contract.fields[measure.map].values
        assert values_field is not None  # the loader refuses a measure over anything but a map
        value = pl.Series(list(chain.from_iterable(m.values() for m in maps)), dtype=DTYPES[values_field.type])
        metric = pl.Series(list(chain.from_iterable(maps)), dtype=pl.String())
        rows = pl.int_range(len(fields), eager=True).repeat_by(counts).explode(empty_as_null=False)
        repeated = [series.gather(rows) for series in common]
        frame = pl.DataFrame([*repeated, metric.alias("metric"), scaled(value, measure.digits)])
        return (frame.drop_nulls("value") if value.null_count() else frame).select(*SCHEMA)

    def _failures(self, fields: Fields) -> pl.Series:
        if self._failed is None:
            return pl.repeat(False, len(fields), dtype=pl.Boolean(), eager=True)
        columns = [fields.column(name, dtype) for name, dtype in self._failed.dtypes.items()]
        return pl.DataFrame(columns).select(self._failed.condition.alias("failed")).to_series()

    def _customers(self, fields: Fields) -> pl.Series:
        if not self._contract.customer:
            return pl.repeat(None, len(fields), dtype=pl.String(), eager=True)
        return fields.column(self._contract.customer, pl.String())


def scaled(value: pl.Series, digits: int) -> pl.Series:
    """Return numbers as integers in units of 10 ** -digits, rounded half to even.

    The contract's decoder has refused what would not fit; so the multiplication is by a power of ten, which unlike
    a division by 0.001 adds no error of its own below 2 ** 53.
    """
    factor: int = 10**digits
    if value.dtype == pl.Int64:
        value = value * factor
        return value.alias("value")
    exact: pl.Series = (value * float(factor)).round(0, mode="half_to_even").cast(pl.Int64)
    return exact.alias("value")
