"""Measures as a source decodes them, and what a stage makes of their partials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import polars as pl

from operators.pane import Pane, Partial

SCHEMA = pl.Schema(
    {
        "key": pl.String(),
        "metric": pl.String(),
        "at": pl.Int64(),
        "value": pl.Int64(),
        "failed": pl.Boolean(),
        "customer": pl.String(),
        "offset": pl.Int64(),
        "contract": pl.String(),
    }
)


class Measure(NamedTuple):
    """One row, without its offset."""

    key: str = "checkout"
    metric: str = "duration_ms"
    at: int = 0
    value: int = 1
    failed: bool = False
    customer: str | None = None
    contract: str = "request.completed@1"


def table(rows: Sequence[Measure], first_offset: int = 0) -> pl.DataFrame:
    """Return `rows` as a decoded batch whose offsets count from `first_offset`."""
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row in rows]
        if name != "offset"
        else range(first_offset, first_offset + len(rows))
        for name in SCHEMA
    }
    return pl.DataFrame(columns, schema=SCHEMA)


def merged(partials: Iterable[Partial]) -> dict[tuple[str, str, int], Pane]:
    """Merge partials by key, metric and start."""
    panes: dict[tuple[str, str, int], Pane] = {}
    for partial in partials:
        panes.setdefault((partial.key, partial.metric, partial.start), Pane()).add(partial)
    return panes
