"""Feature views as a table: one row per order and checkpoint, with what was known at that instant and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from config.errors import RecordingError
from config.features.load import FeatureView
from operators.risk import Judgement
from replay.backtest.order_truth import Outcome

INSTANT = pl.Datetime("us", "UTC")


def feature_table(
    judgements: Sequence[Judgement], views: Mapping[str, FeatureView], truth: Mapping[str, Outcome]
) -> pl.DataFrame:
    """Return the views at each checkpoint, in the order in which they were judged.

    Columns: `order`, `at`; the numbers of each view, as `view.number`, null where one does not apply; `probability`, as
    the model gave it then; and what became of the order, which no model may read: `answered_at`, `complained_at`.

    Args:
        judgements: All checkpoints judged.
        views: By name.
        truth: What became of the orders.
    """
    silent = Outcome()
    outcomes = [truth.get(judgement.order, silent) for judgement in judgements]
    columns: dict[str, pl.Series] = {
        "order": pl.Series([judgement.order for judgement in judgements], dtype=pl.String),
        "at": pl.Series([judgement.at for judgement in judgements], dtype=INSTANT),
    }
    for view, rows in (
        ("order_progress", [judgement.progress for judgement in judgements]),
        ("fleet_history", [judgement.history for judgement in judgements]),
    ):
        for name in views[view].names:
            columns[f"{view}.{name}"] = pl.Series([row[name] for row in rows], dtype=pl.Float64)
    columns["probability"] = pl.Series([judgement.probability for judgement in judgements], dtype=pl.Float64)
    columns["answered_at"] = pl.Series([outcome.answered_at for outcome in outcomes], dtype=INSTANT)
    columns["complained_at"] = pl.Series([outcome.complained_at for outcome in outcomes], dtype=INSTANT)
    return pl.DataFrame(columns)


def check(into: Path) -> None:
    """Refuse a file that cannot be made, before anything is computed for it.

    Raises:
        RecordingError: the file is there already, or its folder is not.
    """
    if into.exists():
        raise RecordingError(f"{into} is there already.", remedy="Name a new file.")
    if not into.parent.is_dir():
        raise RecordingError(f"{into}: its folder is not there.", remedy="Name a file in a folder that exists.")


def write(table: pl.DataFrame, into: Path) -> None:
    """Write `table` as a Parquet file.

    Raises:
        RecordingError: the file cannot be written.
    """
    try:
        table.write_parquet(into)
    except OSError as error:
        raise RecordingError(
            f"{into}: {error.strerror or error}.", remedy="Check the disk and its permissions."
        ) from error
