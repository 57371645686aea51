"""Draws a back-test of faults as a timeline: what was injected where, when it was told, and who was named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from config.clock import MINUTE, from_text
from replay.backtest.faults import SERVICE, WITHIN
from replay.backtest.run import Row
from replay.pictures import BLUE, GREEN, RED, YELLOW, blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED, OTHER, MISSED, BESIDE = "found and named", "found, another named", "missed", "false alert"
MARKS = {NAMED: ("o", GREEN), OTHER: ("s", BLUE), MISSED: ("x", RED), BESIDE: ("v", RED)}


class Mark(NamedTuple):
    """One mark of the picture."""

    kind: str
    at: np.datetime64
    named: str
    injected_at: np.datetime64 | None = None
    """Of a fault,"""
    entity: str = ""
    """and its service."""


def timeline(document: Row) -> Figure:
    """Return a picture of what `faults.judged` returned: a row for each service, event time from left to right.

    A bar is the five minutes after an injection. A mark stands where and when a service was named, or in the bar of the
    fault that nobody told of; where another service was named, a line leads to it from the one with the fault.
    """
    marks = [*_of_faults(document), *_of_false_alerts(document)]
    entities = sorted({mark.named for mark in marks} | {mark.entity for mark in marks if mark.entity})
    rows = {entity: row for row, entity in enumerate(entities)}
    figure = blank(12, 1.6 + 0.25 * len(rows))
    axes = figure.subplots()
    for mark in marks:
        if mark.injected_at is not None:
            begun, row = mark.injected_at, rows[mark.entity]
            over = begun + np.timedelta64(WITHIN, "us")
            axes.fill_betweenx([row - 0.4, row + 0.4], [begun] * 2, [over] * 2, color=YELLOW)
            axes.plot([mark.at] * 2, [row, rows[mark.named]], color=BLUE, linewidth=0.6)
    for kind, (marker, color) in MARKS.items():
        own = [mark for mark in marks if mark.kind == kind]
        label, heights = f"{kind} ({len(own)})", [rows[mark.named] for mark in own]
        axes.plot([mark.at for mark in own], heights, marker, color=color, markersize=5, label=label)
    axes.set_yticks(
        list(rows.values()), [entity.removeprefix(SERVICE) for entity in rows], fontsize=7, parse_math=False
    )
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="y", color="0.93")
    axes.set_axisbelow(True)
    axes.invert_yaxis()
    axes.set_title(
        f"{document['found']} of {document['faults']} faults found within five minutes, "
        f"{document['service_named']} named; {document['false_alerts']} false alerts in {document['hours']} hours",
        fontsize=9,
        loc="left",
    )
    figure.legend(fontsize=7, ncols=len(MARKS), loc="outside lower center")
    return figure


def _of_faults(document: Row) -> Iterator[Mark]:
    for verdict in document["verdicts"]:
        entity, begun = verdict["entity"], verdict["injected_at"]
        if verdict["found"]:
            kind = NAMED if verdict["service_named"] else OTHER
            told = _instant(begun, round(verdict["delay_minutes"] * MINUTE))
            yield Mark(kind, told, verdict["named"], _instant(begun), entity)
        else:
            yield Mark(MISSED, _instant(begun, WITHIN // 2), entity, _instant(begun), entity)


def _of_false_alerts(document: Row) -> Iterator[Mark]:
    for alert in document["false"]:
        yield Mark(BESIDE, _instant(alert["opened_at"]), alert["entities"][0])


def _instant(at: str, later: int = 0) -> np.datetime64:
    """Return an instant, so many microseconds later, as pictures understand it."""
    return np.datetime64(from_text(at) + later, "us")
