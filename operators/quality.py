"""What is counted of records that are accepted all the same: broken `should` rules, and fields nobody declared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import polars as pl

from config.contracts.build import DTYPES
from config.contracts.model import Contract, Field, Rule
from operators.fields import Fields

DRIFT_PATHS_MAX = 100
"""Distinct paths counted for each batch: a producer with random field names must not fill the counters."""

_ITEMS_LOOKED_AT = 20
_OTHER = "(more)"


@dataclass(slots=True)
class Quality:
    """Counts over one batch; all by bounded names."""

    should: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Broken `should` rules, by (type, rule)."""
    sampled: Counter[str] = field(default_factory=Counter)
    """Records looked at for schema drift, by type."""
    unknown_fields: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Fields in the sample that the contract does not name, by (type, path in data)."""


class Rules:
    """The quality rules of one contract, evaluated over the columns they name."""

    def __init__(self, contract: Contract) -> None:
        self.rules: tuple[Rule, ...] = contract.rules
        expressions = [pl.sql_expr(rule.expression) for rule in self.rules]
        names = sorted({name for e in expressions for name in e.meta.root_names()})
        self.columns = {name: DTYPES[contract.fields[name].type] for name in names}
        """The fields that it reads, and their types."""
        self._broken = [(~e).fill_null(False).alias(str(i)) for i, e in enumerate(expressions)]

    def broken(self, fields: Fields) -> list[tuple[Rule, pl.Series]]:
        """Return the rules that some records break, each with a Boolean column that says which."""
        columns = [fields.column(name, dtype) for name, dtype in self.columns.items()]
        results = pl.DataFrame(columns).select(self._broken).get_columns()
        return [(rule, result) for rule, result in zip(self.rules, results, strict=True) if result.any()]


def look_for_drift(value: bytes, contract: Contract, quality: Quality) -> None:
    """Count the fields of one accepted record's data that its contract does not name."""
    try:
        data: Any = orjson.loads(value)["data"]
    except orjson.JSONDecodeError:
        return  # the decoder skips what it does not know without looking: a number too large, text that is no UTF-8
    quality.sampled[contract.type] += 1
    for path in _unknown(contract.body, data, ""):
        key = (contract.type, path)
        if key not in quality.unknown_fields and len(quality.unknown_fields) >= DRIFT_PATHS_MAX:
            key = (contract.type, _OTHER)
        quality.unknown_fields[key] += 1


def _unknown(declared: Field, value: Any, path: str) -> Iterator[str]:
    if declared.items is not None and isinstance(value, list):
        for item in value[:_ITEMS_LOOKED_AT]:
            yield from _unknown(declared.items, item, f"{path}[]")
    elif declared.fields and isinstance(value, dict):
        fields = {f.name: f for f in declared.fields}
        for name, part in value.items():
            # Field names come from outside: only those that look like names are shown, others may be values.
            shown = name if name.isidentifier() and len(name) <= 64 else "(no name)"
            inner = f"{path}.{shown}" if path else shown
            if name in fields:
                yield from _unknown(fields[name], part, inner)
            else:
                yield inner
