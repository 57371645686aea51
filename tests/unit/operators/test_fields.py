from __future__ import annotations

from types import SimpleNamespace

import polars as pl

from operators.fields import ChosenFields, RecordFields

RECORDS = [SimpleNamespace(name="a", size=1), SimpleNamespace(name=None, size=2), SimpleNamespace(name="c", size=3)]


def test_column_has_the_name_type_and_order_of_the_field() -> None:
    fields = RecordFields(RECORDS)
    column = fields.column("name", pl.String())
    assert (column.name, column.dtype, column.to_list(), len(fields)) == ("name", pl.String(), ["a", None, "c"], 3)


def test_column_is_made_once() -> None:
    fields = RecordFields(RECORDS)
    assert fields.column("size", pl.Int64()) is fields.column("size", pl.Int64())


def test_chosen_fields_are_those_of_the_rows_in_their_order() -> None:
    chosen = ChosenFields(RecordFields(RECORDS), pl.Series([2, 0]))
    assert len(chosen) == 2
    assert chosen.column("size", pl.Int64()).to_list() == [3, 1]
    assert chosen.values("name") == ["c", "a"]
