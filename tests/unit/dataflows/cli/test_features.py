from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from config.clock import DAY, HOUR, SECOND, to_datetime
from config.features.load import load_views
from tests.support.commands import forestall
from tests.support.market import START, market, placed_at


def test_the_views_are_listed_with_what_each_number_means() -> None:
    document = forestall("features", "list", "--json").document
    assert [view["view"] for view in document["views"]] == ["fleet_history", "order_progress"]
    left = {feature["name"]: feature for feature in document["views"][1]["features"]}["left_days"]
    assert left["unit"] == "days"
    assert document["views"][1]["hash"] == load_views()["order_progress"].hash
    shown = forestall("features", "list").out
    assert all(word in shown for word in ("order_progress version 1", "left_days", "customer-experience"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = tmp_path_factory.mktemp("market")
    market(folder / "market", 12)
    document = forestall("features", "export", folder / "market", "--into", folder / "f.parquet", "--json").document
    made = pl.read_parquet(folder / "f.parquet")
    assert (document["rows"], document["orders"], document["columns"]) == (len(made), 12, made.columns)
    return made


def test_a_table_has_a_column_for_each_number_of_each_view(table: pl.DataFrame) -> None:
    numbers = [f"{view}.{name}" for view in ("order_progress", "fleet_history") for name in load_views()[view].names]
    assert table.columns == ["order", "at", *numbers, "probability", "answered_at", "complained_at"]


def test_a_row_tells_what_was_known_of_an_order_at_its_checkpoint(table: pl.DataFrame) -> None:
    first, *_, last = table.filter(pl.col("order") == "m4").to_dicts()
    assert first["at"] == to_datetime(placed_at(4) + HOUR + SECOND)
    assert (first["order_progress.stage"], first["order_progress.left_days"]) == (0.0, 9.9583)
    assert first["order_progress.transit_days"] is None
    assert (last["order_progress.stage"], last["order_progress.delivered_late_days"]) == (2.0, 4.0)
    assert first["fleet_history.late"] == 0.08
    assert last["fleet_history.late"] > 0.08
    assert 0 < last["probability"] < 1


def test_rows_come_in_the_order_in_which_they_were_judged(table: pl.DataFrame) -> None:
    assert table["at"].is_sorted()
    assert max(Counter(table["order"]).values()) > 5


def test_what_became_of_an_order_stands_beside_it(table: pl.DataFrame) -> None:
    by_order = {row["order"]: row for row in table.to_dicts()}
    answered_at = to_datetime(START + 15 * DAY)
    assert (by_order["m0"]["answered_at"], by_order["m0"]["complained_at"]) == (answered_at, answered_at)
    assert by_order["m1"]["answered_at"] is not None
    assert by_order["m1"]["complained_at"] is None
    assert by_order["m11"]["answered_at"] is None
    assert (table["at"] < table["answered_at"].fill_null(table["at"] + timedelta(1))).all()


def test_a_file_that_is_there_or_cannot_be_made_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "f.parquet").write_text("mine")
    export = ("features", "export", tmp_path / "market", "--into")
    forestall(*export, tmp_path / "f.parquet").says(3, "f.parquet is there already")
    forestall(*export, tmp_path / "none" / "f.parquet").says(3, "none/f.parquet: its folder is not there")
    assert (tmp_path / "f.parquet").read_text() == "mine"


def test_people_are_told_what_was_written(tmp_path: Path) -> None:
    market(tmp_path / "market", 2)
    done = forestall("features", "export", tmp_path / "market", "--into", tmp_path / "f.parquet")
    assert (done.code, "checkpoints of 2 orders, 28 columns" in " ".join(done.out.split())) == (0, True)
