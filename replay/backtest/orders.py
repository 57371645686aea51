"""Judges findings on orders by what their customers said later: a complaint is a review of two stars or less.

A *detection* is the first finding on an order, provided that no complaint came before it: at most one per order,
whoever made it. *Precision* is the share of complaints among the detections on orders whose customers have answered; of
the others nobody knows. *Recall* is the share of all complaints that were detected, *lead* the time from detection to
complaint. An agent by itself is judged by its own first finding.

Beside it stands what findings *claim*: their mean confidence, and the share of those of which it is known by now that
were as they say (`replay/claims.py`). Whoever was silent for a month after the delivery did not complain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from config.clock import DAY, HOUR
from replay.backtest.order_truth import Outcome
from replay.backtest.run import Row
from replay.claims import COMES_LATE, COMPLAINT_LIKELY, Claim, summed

ENTITY = "order:"
SILENT = 30 * DAY
"""So long after the delivery a customer who has said nothing counts as content, where claims are judged."""


def judged(truth: Mapping[str, Outcome], findings: Iterable[Mapping[str, Any]], since: int | None = None) -> Row:
    """Return how findings compare with complaints.

    Args:
        truth: What became of the orders, by order id.
        findings: Rows with `entity`, `agent`, `kind`, `confidence`, `at` in µs, `resolves`.
        since: Only orders placed from then on are judged, µs.
    """
    kept = {
        order: outcome
        for order, outcome in truth.items()
        if since is None or (outcome.placed_at is not None and outcome.placed_at >= since)
    }
    first: dict[str, int] = {}
    by_agent: dict[str, dict[str, int]] = {}
    claims: list[Claim] = []
    for row in findings:
        order = row["entity"].removeprefix(ENTITY)
        if row.get("resolves") or order == row["entity"] or order not in kept:
            continue
        for table in (first, by_agent.setdefault(row["agent"], {})):
            table[order] = min(row["at"], table.get(order, row["at"]))
        so = _so(row["kind"], row["at"], kept[order])
        if so is not None:
            claims.append(Claim(row["agent"], row["kind"], row["confidence"], so))
    answered = [outcome for outcome in kept.values() if outcome.answered_at is not None]
    return {
        "orders": len(kept),
        "reviewed": len(answered),
        "complaints": sum(outcome.complained_at is not None for outcome in answered),
        **point(kept, first),
        "by_agent": {agent: point(kept, found) for agent, found in sorted(by_agent.items())},
        "claims": summed(claims),
    }


def _so(kind: str, at: int, outcome: Outcome) -> bool | None:
    """Return whether it was as a finding of `kind` made `at` says; None where it is not known, or not of orders."""
    if kind in COMES_LATE:
        return outcome.late
    if kind != COMPLAINT_LIKELY:
        return None
    if outcome.complained_at is not None:
        # Who had complained before needs no prophet.
        return True if at < outcome.complained_at else None
    return False if outcome.answered_at is not None or outcome.silent_for(SILENT) else None


def point(truth: Mapping[str, Outcome], first: Mapping[str, int]) -> Row:
    """Return precision, recall and lead of a set of first findings.

    Args:
        truth: Of the orders that are judged.
        first: When the first finding on an order was made, µs, by order id; all of them in `truth`.
    """
    leads: list[int] = []
    false = unanswered = 0
    for order, at in first.items():
        outcome = truth[order]
        if outcome.complained_at is not None:
            if at < outcome.complained_at:
                leads.append(outcome.complained_at - at)
        elif outcome.answered_at is not None:
            false += 1
        else:
            unanswered += 1
    complaints = sum(outcome.complained_at is not None for outcome in truth.values())
    detections = len(leads) + false + unanswered
    return {
        "detections": detections,
        "unanswered": unanswered,
        "precision": share(len(leads), len(leads) + false),
        "precision_if_silence_is_content": share(len(leads), detections),
        "recall": share(len(leads), complaints),
        "lead_hours": {f"p{level}": percentile(leads, level) for level in (10, 50, 90)},
        "detections_per_1000_orders": None if not truth else round(1000 * detections / len(truth), 1),
    }


def share(part: int, whole: int) -> float | None:
    """Return `part / whole`, None where there is nothing to divide by."""
    return round(part / whole, 4) if whole else None


def percentile(leads: Sequence[int], level: int) -> float | None:
    """Return the `level` % point of spans in µs, in hours, between neighbours by proportion."""
    if not leads:
        return None
    ranked = sorted(leads)
    place = (len(ranked) - 1) * level / 100
    low = int(place)
    high = min(low + 1, len(ranked) - 1)
    return round((ranked[low] + (ranked[high] - ranked[low]) * (place - low)) / HOUR, 1)
