"""Draws a back-test of orders: what each threshold buys, and whether probabilities are true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replay.backtest.run import Row
from replay.pictures import blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(document: Row) -> Figure:
    """Return a picture of the sweep and the calibration in `document`."""
    figure = blank(11, 5)
    curve, truth = figure.subplots(1, 2)
    points = [row for row in document["sweep"] if row["precision"] is not None]
    curve.plot([row["recall"] for row in points], [row["precision"] for row in points], "o-", label="complaint risk")
    for row in points:
        lead = row["lead_hours"]["p50"]
        curve.annotate(f"{lead:.0f} h" if lead is not None else "", (row["recall"], row["precision"]), fontsize=7)
    if document["precision"] is not None:
        curve.plot([document["recall"]], [document["precision"]], "s", label="all agents")
    curve.set(xlabel="recall", ylabel="precision", title="Complaints found before they came (median lead in hours)")
    curve.legend(fontsize=7)
    bands = document["calibration"]
    truth.plot([0, 1], [0, 1], color="0.7")
    truth.plot([row["probability"] for row in bands], [row["complaints"] for row in bands], "o-")
    truth.set(xlabel="probability given", ylabel="share that complained", title="Calibration")
    return figure
