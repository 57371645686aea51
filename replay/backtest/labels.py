"""Judges findings by the labels of a simulated world: in all, by kind, and by who found them."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from config.agents.load import load_manifests
from config.clock import HOUR
from replay.backtest.run import Row
from replay.claims import summed
from replay.score import Score
from replay.world.kinds import AGENT

QUANTILES = (("p10", 0.1), ("p50", 0.5), ("p90", 0.9))
BUDGET = 0.1
"""The share of false alarms that an agent may have, unless it is said otherwise."""

SHOWN = {
    "kind": "kind",
    "issues": "issues",
    "found in time": "found_in_time",
    "late": "found_late",
    "missed": "missed",
    "recall": "recall",
    "false": "false_alarms",
    "precision": "precision",
    "lead (h)": "median_lead_hours",
}
"""What a table for people shows of each kind: heading, and name in the document."""


def budgets() -> dict[str, float]:
    """Return the share of false alarms that each agent's manifest allows, of those that say so."""
    return {name: manifest.budget.share for name, manifest in load_manifests().items() if manifest.budget is not None}


def judged(result: Score, budget: float | None = None, by_agent: Mapping[str, float] | None = None) -> Row:
    """Return how findings compare with labels, in all, by kind and by agent.

    Args:
        result: The score.
        budget: The share of an agent's alarms that may be false; by default what `by_agent` says, or `BUDGET`.
        by_agent: That share by agent; by default what the manifests say.
    """
    allowed = {} if budget is not None else budgets() if by_agent is None else by_agent
    otherwise = BUDGET if budget is None else budget
    return {
        "all": _judged_kind(result),
        "by_kind": [{"kind": kind} | _judged_kind(of_kind) for kind, of_kind in result.by_kind().items()],
        "by_agent": [
            {"agent": agent} | _discovery(rows, allowed.get(agent, otherwise))
            for agent, rows in _by_agent(result).items()
        ],
        "claims": summed(result.claims),
        "decoyed": result.decoyed,
        "watched": result.watched,
        "missed": [verdict.issue.issue_id for verdict in result.verdicts if verdict.found_at is None],
    }


def _judged_kind(result: Score) -> Row:
    leads = result.leads
    right, false = result.alarms
    return {
        "issues": len(result.verdicts),
        "found_in_time": result.found,
        "found_late": result.late,
        "missed": result.missed,
        "named": result.named,
        "recall": _rounded(result.recall),
        "precision": _rounded(result.precision),
        "right_alarms": right,
        # An entity is one false alarm, however many findings were made on it.
        "false_alarms": false,
        "median_lead_hours": None if not leads else round((result.median_lead or 0) / HOUR, 1),
        "lead_hours": {name: _quantile(leads, share) for name, share in QUANTILES},
    }


def _by_agent(result: Score) -> dict[str, Score]:
    agents = sorted({str(row.get("agent") or AGENT.get(row["kind"], "")) for row in (*result.right, *result.false)})
    return {
        agent: Score(
            [],
            [row for row in result.false if row.get("agent") == agent],
            0,
            [row for row in result.right if row.get("agent") == agent],
        )
        for agent in agents
    }


def _discovery(result: Score, budget: float) -> Row:
    """Return the realised share of false alarms, beside the budget and what the findings' confidence claims."""
    right, false = result.alarms
    doubts = [1 - float(row["confidence"]) for row in (*result.right, *result.false) if "confidence" in row]
    return {
        "right_alarms": right,
        "false_alarms": false,
        "false_discovery_rate": _rounded(false / (right + false) if right + false else None),
        "budget": budget,
        "claimed": _rounded(fmean(doubts) if doubts else None),
    }


def _quantile(ascending: list[int], share: float) -> float | None:
    """Return the nearest-rank quantile of leads, in hours."""
    if not ascending:
        return None
    return round(ascending[min(len(ascending) - 1, int(share * len(ascending)))] / HOUR, 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
