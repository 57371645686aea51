"""The fields of decoded records as columns: each is made once per batch, when it is first asked for.

Reading one field of all records costs more than anything Polars then does with the column, so rules and measures
share the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from keyword import iskeyword
from operator import attrgetter
from typing import Any, Protocol

import polars as pl

from config.contracts.compile import Data


class Fields(Protocol):
    """Records of one type, field by field."""

    def __len__(self) -> int:
        """How many records there are."""

    def values(self, name: str) -> list[Any]:
        """Return one field of each record."""

    def column(self, name: str, dtype: pl.DataType) -> pl.Series:
        """Return one field of each record as a column named like it."""


@cache
def _reader(struct: type, name: str) -> Callable[[list[Data]], list[Any]]:
    """Return what reads a field of records of one type.

    A loop of its own, which names the field, takes half the time of `attrgetter`: the interpreter remembers where in
    records of this type the field is.
    """
    if not name.isidentifier() or iskeyword(name):
        return lambda records: list(map(attrgetter(name), records))
    read: Callable[[list[Data]], list[Any]] = eval(f"lambda records: [record.{name} for record in records]")
    return read


class RecordFields:
    """The fields of all records of one type in a batch."""

    def __init__(self, data: list[Data]) -> None:
        self._data = data
        self._columns: dict[str, pl.Series] = {}

    def __len__(self) -> int:
        return len(self._data)

    def values(self, name: str) -> list[Any]:
        """Return one field of each record."""
        if not self._data:
            return []
        struct: type = type(self._data[0])
        return _reader(struct, name)(self._data)

    def column(self, name: str, dtype: pl.DataType) -> pl.Series:
        """Return one field of each record as a column named like it."""
        made = self._columns.get(name)
        if made is None:
            made = self._columns[name] = pl.Series(name, self.values(name), dtype=dtype)
        return made


class MadeFields:
    """Fields that were made before: only those that are asked for later.

    Args:
        count: How many records.
        columns: By name.
        lists: Values of fields that are no columns, by name.
    """

    def __init__(self, count: int, columns: Mapping[str, pl.Series], lists: Mapping[str, list[Any]]) -> None:
        self._count, self._columns, self._lists = count, columns, lists

    def __len__(self) -> int:
        return self._count

    def values(self, name: str) -> list[Any]:
        """Return one field of each record."""
        return self._lists[name]

    def column(self, name: str, dtype: pl.DataType) -> pl.Series:
        """Return one field of each record as a column named like it."""
        return self._columns[name].cast(dtype)


class ChosenFields:
    """The fields of some records: `rows` of `fields`, in that order."""

    def __init__(self, fields: Fields, rows: pl.Series) -> None:
        self._fields, self._rows = fields, rows

    def __len__(self) -> int:
        return len(self._rows)

    def values(self, name: str) -> list[Any]:
        """Return one field of each record."""
        values = self._fields.values(name)
        return [values[row] for row in self._rows.to_list()]

    def column(self, name: str, dtype: pl.DataType) -> pl.Series:
        """Return one field of each record as a column named like it."""
        return self._fields.column(name, dtype).gather(self._rows)
