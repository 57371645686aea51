"""Judges orders by what their customers said: complaints not foreseen are misses, detections without one false alarms.

The definitions are the back-test's: a complaint is a review of two stars or less, a detection an order's first finding.
An order whose customer has not answered says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from config.clock import DAY, HOUR
from replay.review.histories import Data, History
from replay.review.wrong import COSTS, Row, Wrong, cost_missed

AFTER = 7 * DAY
"""So long after the answer a story goes on."""
SCORE_WORST = 1


def judged(
    orders: Mapping[str, History], findings: Iterable[Row], outcomes: Mapping[str, str], since: int | None = None
) -> tuple[list[Wrong], list[dict[str, str]]]:
    """Return what was wrong about orders, and the traits of all orders judged.

    Args:
        orders: By entity.
        findings: Bodies of findings, in any order.
        outcomes: How far the decisions about an entity went, at most.
        since: Only orders placed from then on are judged, µs.
    """
    first: dict[str, Row] = {}
    for row in findings:
        entity = row["entity"]
        if row.get("resolves") or entity not in orders:
            continue
        if entity not in first or (row["at"], row["finding_id"]) < (first[entity]["at"], first[entity]["finding_id"]):
            first[entity] = row
    wrongs: list[Wrong] = []
    everything: list[dict[str, str]] = []
    for entity, history in sorted(orders.items()):
        facts = history.facts
        if "answered_at" not in facts or "placed_at" not in facts or (since or 0) > facts["placed_at"]:
            continue
        traits = traits_of(facts)
        everything.append(traits)
        wrong = _wrong(entity, history, first.get(entity), outcomes.get(entity, "observe"), traits)
        if wrong is not None:
            wrongs.append(wrong)
    return wrongs, everything


def _wrong(entity: str, history: History, finding: Row | None, outcome: str, traits: dict[str, str]) -> Wrong | None:
    facts = history.facts
    complained_at: int | None = facts.get("complained_at")
    told: dict[str, Any] = {
        "entity": entity,
        "since": facts["placed_at"],
        "finding": finding,
        "traits": traits,
        "customers": frozenset({history.customer} - {""}),
    }
    if complained_at is None:
        if finding is None:
            return None
        return Wrong(
            verdict="false alarm",
            at=finding["at"],
            until=max(facts["answered_at"], finding["at"]) + AFTER,
            what=f"{_ended(facts)}; the customer was content: {facts['score']} of 5 stars.",
            cost=COSTS.get(outcome, 1.0),
            error=finding["confidence"],
            kind=finding["kind"],
            like=traits["end"],
            **told,
        )
    if finding is not None and finding["at"] < complained_at:
        return None
    return Wrong(
        verdict="missed" if finding is None else "found too late",
        at=complained_at,
        until=max(complained_at, finding["at"] if finding else 0) + AFTER,
        what=f"{_ended(facts, complained_at)}; the customer complained: {facts['score']} of 5 stars.",
        cost=cost_missed(facts.get("worth", 0.0)) * (1.0 if facts["score"] <= SCORE_WORST else 0.5),
        error=1.0,
        kind="complaint" if finding is None else finding["kind"],
        like=f"{_end(facts, complained_at)}, {traits['sellers']}",
        **told,
    )


def traits_of(facts: Data) -> dict[str, str]:
    """Return what an order has in common with others, in words."""
    states = facts.get("seller_states") or ["?"]
    traits = {
        "end": _end(facts),
        "sellers": "one seller" if facts.get("sellers", 1) == 1 else "several sellers",
        "from": states[0] if len(states) == 1 else "several states",
        "lane": f"{states[0]}-{facts.get('state', '?')}" if len(states) == 1 else "several lanes",
        "category": facts.get("category") or "unknown",
        "worth": _step(facts.get("worth", 0.0), (50, 100, 200, 500)),
        "freight": _share(facts.get("freight", 0.0), facts.get("worth", 0.0)),
        "hand-over": _handed_over(facts),
    }
    promised_at = facts.get("promised_at")
    if promised_at is not None:
        traits["promised within"] = _step((promised_at - facts["placed_at"]) / DAY, (7, 14, 21, 28)) + " days"
    return traits


def _end(facts: Data, at: int | None = None) -> str:
    delivered_at, promised_at = facts.get("delivered_at"), facts.get("promised_at")
    if at is not None and (delivered_at is None or delivered_at > at):
        return "undelivered, promise broken" if promised_at is not None and promised_at < at else "undelivered"
    if delivered_at is None:
        return "never delivered"
    if promised_at is None:
        return "delivered"
    # The day of the promise counts to its end.
    return "delivered late" if delivered_at >= promised_at + DAY else "delivered on time"


def _ended(facts: Data, at: int | None = None) -> str:
    end, delivered_at, promised_at = _end(facts, at), facts.get("delivered_at"), facts.get("promised_at")
    if end.startswith("delivered") and delivered_at is not None and promised_at is not None:
        days = abs(delivered_at - promised_at) / DAY
        return f"Delivered {days:.0f} days {'after' if delivered_at > promised_at else 'before'} the promise"
    return end.capitalize()


def _handed_over(facts: Data) -> str:
    handed_over_at, ship_by = facts.get("handed_over_at"), facts.get("ship_by")
    if handed_over_at is None:
        return "never"
    if ship_by is None:
        return "unknown"
    hours = (handed_over_at - ship_by) / HOUR
    return "in time" if hours <= 0 else "up to two days late" if hours <= 48 else "over two days late"


def _step(value: float, steps: tuple[int, ...]) -> str:
    for step in steps:
        if value < step:
            return f"under {step}"
    return f"{steps[-1]} or more"


def _share(part: float, whole: float) -> str:
    if whole <= 0:
        return "unknown"
    share = part / whole
    return "under a tenth" if share < 0.1 else "a tenth to a third" if share < 1 / 3 else "over a third"
