"""Draws a back-test of orders: what each threshold buys, and whether probabilities are true."""

from __future__ import annotations

from pathlib import Path

from replay.backtest.run import Row

RULES = (
    ("promised day passed", 0.41, 0.67),
    ("2 days before", 0.44, 0.49),
    ("4 days before", 0.47, 0.41),
    ("1 day before, unshipped", 0.12, 0.77),
    ("ship-by missed", 0.21, 0.31),
    ("passed or ship-by", 0.48, 0.43),
)
"""What single rules reach on such orders, for comparison: name, recall, precision."""


def draw(picture: Path, document: Row) -> None:
    """Draw the sweep and the calibration in `document` as a PNG."""
    # Here, not above: it takes a second to import. A figure of its own needs no display and no state of the process.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    curve, truth = figure.subplots(1, 2)
    points = [row for row in document["sweep"] if row["precision"] is not None]
    curve.plot([row["recall"] for row in points], [row["precision"] for row in points], "o-", label="complaint risk")
    for row in points:
        lead = row["lead_hours"]["p50"]
        curve.annotate(f"{lead:.0f} h" if lead is not None else "", (row["recall"], row["precision"]), fontsize=7)
    curve.plot([document["recall"]], [document["precision"]], "s", label="all agents")
    curve.plot([recall for _, recall, _ in RULES], [precision for *_, precision in RULES], "x", label="single rules")
    for name, recall, precision in RULES:
        curve.annotate(name, (recall, precision), fontsize=6)
    curve.set(xlabel="recall", ylabel="precision", title="Complaints found before they came (median lead in hours)")
    curve.legend(fontsize=7)
    bands = document["calibration"]
    truth.plot([0, 1], [0, 1], color="0.7")
    truth.plot([row["probability"] for row in bands], [row["complaints"] for row in bands], "o-")
    truth.set(xlabel="probability given", ylabel="share that complained", title="Calibration")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
