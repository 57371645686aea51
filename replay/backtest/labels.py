"""Judges findings by the labels of a simulated world."""

from __future__ import annotations

from config.clock import HOUR
from replay.backtest.run import Row
from replay.score import Score


def judged(result: Score) -> Row:
    """Return how findings compare with labels, in all and by kind of issue."""
    return {
        "all": _judged_kind(result),
        "by_kind": [{"kind": kind} | _judged_kind(of_kind) for kind, of_kind in result.by_kind().items()],
        "missed": [verdict.issue.issue_id for verdict in result.verdicts if verdict.found_at is None],
    }


def _judged_kind(result: Score) -> Row:
    lead = result.median_lead
    return {
        "issues": len(result.verdicts),
        "found_in_time": result.found,
        "found_late": result.late,
        "missed": result.missed,
        "median_lead_hours": None if lead is None else round(lead / HOUR, 1),
        # An entity is one false alarm, however many findings were made on it.
        "false_alarms": len({row["entity"] for row in result.false}),
    }
