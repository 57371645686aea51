"""Pictures of what was labelled and what was detected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from replay.benchmarks.nab import Outcome as NabOutcome
from replay.benchmarks.segments import GAP, runs
from replay.benchmarks.smd import Outcome as SmdOutcome
from replay.pictures import BLUE, RED, YELLOW, blank, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SERIES_MAX = 8
"""Panels in a picture."""


def draw_nab(outcome: NabOutcome, picture: Path) -> None:
    """Draw series with their windows and detections, one of each category before a second of any."""
    triples = list(zip(outcome.series, outcome.worths, outcome.runs, strict=True))
    ranks: dict[str, int] = {}
    order = []
    for triple in triples:
        category = triple[0].category
        ranks[category] = ranks.get(category, 0) + 1
        order.append((ranks[category], category, triple))
    chosen = [triple for _, _, triple in sorted(order, key=lambda each: each[:2])[:SERIES_MAX]]

    def panel(axes: Axes, triple: Any) -> None:
        series, worth, run = triple
        axes.plot(series.values, color=BLUE, linewidth=0.6)
        axes.axvspan(0, worth.first, color="#dddddd")
        _mark(
            axes,
            [(first, last + 1) for first, last in series.windows],
            np.flatnonzero(run.detected[worth.first :]) + worth.first,
        )
        axes.set_title(f"{series.name}, labelled windows: {len(series.windows)}", fontsize=8, loc="left")

    title = f"{outcome.detector}: labelled windows, detections; the grey part is not judged"
    _draw(picture, title, chosen, panel)


def draw_smd(outcome: SmdOutcome, picture: Path) -> None:
    """Draw the mean of the scaled metrics of machines, with labelled segments and detections."""
    pairs = list(zip(outcome.machines, outcome.detected, strict=True))[:SERIES_MAX]

    def panel(axes: Axes, pair: Any) -> None:
        machine, detected = pair
        axes.plot(machine.test.mean(axis=1), color=BLUE, linewidth=0.5)
        _mark(axes, runs(machine.labels), [first for first, _ in runs(detected, GAP)])
        axes.set_title(
            f"{machine.family} {machine.name}, mean of {machine.test.shape[1]} metrics", fontsize=8, loc="left"
        )

    _draw(picture, f"{outcome.detector}: labelled segments, beginnings of alarms", pairs, panel)


def _mark(axes: Axes, labelled: Iterable[tuple[int, int]], detected: Iterable[int]) -> None:
    for first, end in labelled:
        axes.axvspan(first, end, color=YELLOW, alpha=0.6)
    for row in detected:
        axes.axvline(row, color=RED, linewidth=0.8)


def _draw(picture: Path, title: str, items: Sequence[Any], panel: Callable[[Axes, Any], None]) -> None:
    figure = blank(11, 1.7 * len(items) + 0.6)
    figure.suptitle(title, fontsize=10)
    for axes, item in zip(np.ravel(figure.subplots(len(items), 1, squeeze=False)), items, strict=True):
        panel(axes, item)
        axes.tick_params(labelsize=6)
        axes.margins(x=0)
    save(figure, picture)
