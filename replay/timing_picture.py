"""A picture of how long actions take, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from replay.pictures import BLUE, YELLOW, blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REMEDIES_MAX = 12
"""Panels in a picture: those with the most actions."""
_LEAST_S = 1e-3
"""What is shorter is drawn as so long: the axis is logarithmic."""
_TICKS = {1e-3: "1 ms", 1.0: "1 s", 60.0: "1 min", 3_600.0: "1 h", 86_400.0: "1 d", 864_000.0: "10 d"}
_COLOURS = {"wait": YELLOW, "work": BLUE}


def draw(rows: Sequence[dict[str, Any]]) -> Figure:
    """Return a panel per remedy: each stage from its median to its 95th percentile, on an axis of time.

    Args:
        rows: What `sinks.ledger_timing.timings` returns.
    """
    most = sorted(rows, key=lambda row: -max((stage["actions"] for stage in row["stages"]), default=0))
    shown = [row for row in most if row["stages"]][:REMEDIES_MAX]
    lines = sum(len(row["stages"]) + 2 for row in shown)
    figure = blank(9.0, 1.2 + 0.24 * lines)
    if not shown:
        figure.suptitle("Nothing was carried out.", fontsize=10)
        return figure
    figure.suptitle("From the median to the 95th percentile: waits yellow, work blue", fontsize=10)
    heights = [len(row["stages"]) + 2 for row in shown]
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, row in zip(panels[:, 0], shown, strict=True):
        for position, stage in enumerate(row["stages"]):
            low, high = (max(stage[name], _LEAST_S) for name in ("p50_s", "p95_s"))
            colour = _COLOURS[stage["kind"]]
            axes.plot([low, high], [position, position], color=colour, linewidth=5, solid_capstyle="round")
            axes.plot([low], [position], "o", color=colour, markersize=7)
        axes.set_yticks(range(len(row["stages"])), [stage["stage"] for stage in row["stages"]], fontsize=8)
        axes.set_ylim(len(row["stages"]) - 0.4, -0.6)
        axes.set_title(f"{row['remedy']}, {row['stages'][0]['actions']:,} actions", fontsize=9, loc="left")
        axes.set_xscale("log")
        axes.grid(axis="x", color="#dddddd")
    last = panels[-1, 0]
    last.set_xticks(list(_TICKS), list(_TICKS.values()), fontsize=8)
    last.minorticks_off()
    last.set_xlim(_LEAST_S / 2, max(_TICKS))
    return figure
