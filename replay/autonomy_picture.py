"""A picture of how far remedies might go by themselves over time, and by what evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from config.policies.autonomy import LEVELS
from replay.pictures import BLUE, GREEN, RED, YELLOW, blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS_MAX = 12
"""Those in which most happened."""
STRIP = 0.6
"""How thick the colour of a level is."""
_COLOURS: dict[str, str] = dict(zip(LEVELS, (RED, YELLOW, GREEN), strict=True))


def draw(histories: Sequence[dict[str, Any]]) -> Figure:
    """Return a panel for each agent, remedy and segment: its level over time above the share of actions that helped.

    The band is between the bounds of that share, the dashed line the upper bound of the share of false actions, each of
    what counted then. After a change of level only what is heard later counts, so both begin anew.

    Args:
        histories: What `sinks.autonomy.histories` returns.
    """
    shown = sorted(histories, key=lambda one: -len(one["points"]))[:PANELS_MAX]
    figure = blank(10.0, 0.9 + 1.9 * len(shown))
    if not shown:
        figure.suptitle("Nothing was earned or lost.", fontsize=10)
        return figure
    figure.suptitle(
        "Helped, with its bounds (blue), and at most false (red, dashed), of what counts; above, the level", fontsize=10
    )
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)
    for axes, one in zip(panels[:, 0], shown, strict=True):
        axes.set_title(" ".join(one[name] for name in ("agent", "remedy", "segment")), fontsize=9, loc="left")
        _evidence(axes, one["points"])
        _levels(axes, one["points"], max(each["points"][-1]["at"] for each in shown))
        axes.set_ylim(-0.03, 1.22)
        axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"], fontsize=7)
        axes.tick_params(axis="x", labelsize=7)
        axes.grid(axis="y", color="#dddddd")
    for level, colour in _COLOURS.items():
        panels[0, 0].plot([], [], color=colour, alpha=STRIP, linewidth=5, label=level)
    figure.legend(fontsize=7, ncols=len(_COLOURS), loc="outside lower center")
    return figure


def _evidence(axes: Axes, points: Sequence[dict[str, Any]]) -> None:
    """Draw what counted, from each change of level to the next."""
    stretch: list[dict[str, Any]] = []
    for point in [*points, None]:
        if point is not None and "cause" not in point:
            stretch.append(point)
            continue
        if stretch:
            at = [_instant(each) for each in stretch]
            low, high, false = (
                [each[name] for each in stretch] for name in ("success_low", "success_high", "false_high")
            )
            share = [each["verified"] / each["outcomes"] if each["outcomes"] else np.nan for each in stretch]
            axes.fill_between(at, low, high, color=BLUE, alpha=0.15, linewidth=0)
            axes.plot(at, share, color=BLUE, marker=".", markersize=3, linewidth=1)
            axes.plot(at, false, color=RED, linestyle="--", linewidth=0.8)
        stretch = []


def _levels(axes: Axes, points: Sequence[dict[str, Any]], until: int) -> None:
    """Draw the level above all else as a strip, and each change with its cause."""
    begins, level = points[0], points[0].get("before", points[0]["level"])
    for point in points:
        if "cause" in point:
            _strip(axes, begins, point, level)
            axes.plot([_instant(point)] * 2, [-0.03, 1.2], color="#888888", linewidth=0.6)
            axes.annotate(point["cause"], (_instant(point), 1.13), fontsize=6, ha="left", va="center")
            begins, level = point, point["level"]
    _strip(axes, begins, {"at": until}, level)


def _strip(axes: Axes, begins: dict[str, Any], ends: dict[str, Any], level: str) -> None:
    if level and ends["at"] > begins["at"]:
        axes.fill_between(
            [_instant(begins), _instant(ends)], 1.06, 1.2, color=_COLOURS[level], alpha=STRIP, linewidth=0
        )


def _instant(point: dict[str, Any]) -> np.datetime64:
    return np.datetime64(point["at"], "us")
