"""Judges findings by the labels of a simulated world: what of each issue was missed, and what was about none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from config.clock import DAY, HOUR
from replay.review.histories import History
from replay.review.orders import traits_of
from replay.review.wrong import COSTS, Row, Wrong, cost_missed
from replay.score import Score, score
from replay.world.labels import Decoy, Issue, Labels

AROUND = DAY
"""So long before and after a false alarm its story goes …"""
LIVED = 60 * DAY
"""… and on an order."""


def judged(
    labels: Labels, findings: Iterable[Row], outcomes: Mapping[str, str], orders: Mapping[str, History]
) -> tuple[list[Wrong], list[dict[str, str]]]:
    """Return what was wrong, and the traits of all that was judged.

    Args:
        labels: What was true.
        findings: Bodies of findings, in any order.
        outcomes: How far the decisions about an entity went, at most.
        orders: Histories of orders, by entity.
    """
    rows = sorted(findings, key=lambda row: (row["at"], row["finding_id"]))
    result = score(labels, rows)
    alarms: dict[str, Row] = {}
    for row in result.false:
        alarms.setdefault(
            row["entity"], dict(row)
        )  # An entity is one false alarm, however many findings were made on it.
    lived = {entity: traits_of(each.facts) for entity, each in orders.items() if "placed_at" in each.facts}
    wrongs = [
        _false(row, labels.decoys, outcomes.get(entity, "observe"), lived.get(entity, {}))
        for entity, row in alarms.items()
    ]
    wrongs += _missed(result, rows)
    everything = [_traits_of_issue(verdict.issue) for verdict in result.verdicts]
    return wrongs, everything + list(lived.values())


def _false(row: Row, decoys: Iterable[Decoy], outcome: str, lived: dict[str, str]) -> Wrong:
    at = row["at"]
    fell_for = sorted(d.what for d in decoys if d.entity == row["entity"] and d.since <= at < d.until)
    like = f"fell for {fell_for[0].replace('_', ' ')}" if fell_for else lived.get("end", "nothing was the matter")
    return Wrong(
        verdict="false alarm",
        entity=row["entity"],
        at=at,
        since=at - (LIVED if lived else AROUND),
        until=at + (LIVED if lived else AROUND),
        finding=row,
        what=f"No issue was there: it {like}." if fell_for else f"No issue was there: {like}.",
        cost=COSTS.get(outcome, 1.0),
        error=row["confidence"],
        kind=row["kind"],
        like=like,
        traits=lived or {"hour of day": _hour(at)},
        customers=frozenset({row.get("customer") or ""} - {""}),
    )


def _missed(result: Score, rows: list[Row]) -> Iterable[Wrong]:
    first: dict[tuple[str, int], Row] = {}
    for row in rows:
        first.setdefault((row["entity"], row["at"]), row)
    for verdict in result.verdicts:
        issue = verdict.issue
        if verdict.found:
            continue
        late = verdict.found_at is not None
        harm_at = issue.ends_at if issue.harm_at is None else issue.harm_at
        finding = first.get((issue.entity, verdict.found_at or 0))
        harm = f": {issue.harm}" if issue.harm else ""
        yield Wrong(
            verdict="found too late" if late else "missed",
            entity=issue.entity,
            at=harm_at,
            since=issue.onset - HOUR,
            until=max(harm_at, verdict.found_at or 0) + HOUR,
            finding=finding,
            what=f"{issue.kind}{harm}; {len(issue.customers)} customers hurt, {issue.complaints} complained.",
            cost=cost_missed(0.0) * (1 + len(issue.customers)) ** 0.5,
            error=1.0,
            kind=issue.kind,
            like=f"through {issue.cause.partition(':')[0]}" if issue.cause else "by itself",
            traits=_traits_of_issue(issue),
            notes=((issue.onset, "The trouble begins."),),
            customers=frozenset(issue.customers),
        )


def _traits_of_issue(issue: Issue) -> dict[str, str]:
    lead = None if issue.harm_at is None else (issue.harm_at - issue.onset) / HOUR
    return {
        "time from onset to harm": "no harm" if lead is None else _span(lead),
        "hour of day": _hour(issue.onset),
    }


def _span(hours: float) -> str:
    for step in (1, 24, 72):
        if hours < step:
            return f"under {step} h"
    return "72 h or more"


def _hour(at: int) -> str:
    start = at % DAY // (6 * HOUR) * 6
    return f"{start:02} to {start + 6:02}"
