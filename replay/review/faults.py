"""Judges what was found on services by injected faults, with the back-test's definitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from config.clock import HOUR, MINUTE
from replay.backtest.faults import WITHIN, Fault, alerts_of
from replay.review.wrong import COSTS, Row, Wrong, cost_missed

BEFORE = 30 * MINUTE
AFTER = HOUR
CUSTOMERS = 3.0
"""A failing service costs so many times what one customer's trouble does."""


def judged(faults: Sequence[Fault], findings: Iterable[Row]) -> tuple[list[Wrong], list[dict[str, str]]]:
    """Return what was wrong, and the traits of all that was judged.

    Args:
        faults: What was injected.
        findings: Bodies of findings, in any order.
    """
    alerts = alerts_of(findings)
    opened = [finding for alert in alerts for finding in alert.findings]
    wrongs: list[Wrong] = []
    everything = [{"fault": fault.kind, "service": fault.entity} for fault in faults]
    for fault, traits in zip(faults, everything, strict=True):
        wrong = _wrong(fault, faults, opened, traits)
        if wrong is not None:
            wrongs.append(wrong)
    for alert in alerts:
        if any(fault.at < alert.opened_at <= fault.at + WITHIN for fault in faults):
            continue
        first = alert.findings[0]
        near = any(0 < alert.opened_at - fault.at <= AFTER for fault in faults)
        wrongs.append(
            Wrong(
                verdict="false alarm",
                entity=first["entity"],
                at=alert.opened_at,
                since=alert.opened_at - BEFORE,
                until=alert.opened_at + AFTER,
                finding=first,
                what="No fault had been injected within five minutes before.",
                cost=CUSTOMERS * COSTS["recommend"],
                error=first["confidence"],
                kind=first["kind"],
                like="in the hour after a fault" if near else "far from any fault",
                traits={"service": first["entity"]},
                notes=_notes(faults, alert.opened_at - BEFORE, alert.opened_at + AFTER),
            )
        )
    return wrongs, everything


def _wrong(fault: Fault, faults: Sequence[Fault], opened: Sequence[Row], traits: dict[str, str]) -> Wrong | None:
    """Return what was wrong about one fault, None when its service was named in time."""
    hits = [row for row in opened if fault.at < row["at"] <= fault.at + WITHIN]
    if hits and hits[0]["entity"] == fault.entity:
        return None
    late = [
        row
        for row in opened
        if row["entity"] == fault.entity
        and fault.at + WITHIN < row["at"] <= fault.at + AFTER
        # What comes soon after another fault is about that one.
        and not any(fault.at < other.at < row["at"] <= other.at + WITHIN for other in faults)
    ]
    said = hits[0] if hits else late[0] if late else None
    named = f"; {hits[0]['entity']} was named instead" if hits else ""
    return Wrong(
        verdict="wrong service" if hits else "found too late" if late else "missed",
        entity=fault.entity,
        at=fault.at,
        since=fault.at - BEFORE,
        until=fault.at + AFTER,
        finding=said,
        what=f"A fault of kind {fault.kind} was injected into {fault.entity}{named}.",
        cost=CUSTOMERS * cost_missed(0.0),
        error=said["confidence"] if hits and said is not None else 1.0,
        kind=fault.kind,
        like="another service was named" if hits else "nothing was found in time",
        traits=traits,
        notes=_notes([other for other in faults if other is not fault], fault.at - BEFORE, fault.at + AFTER),
    )


def _notes(faults: Iterable[Fault], since: int, until: int) -> tuple[tuple[int, str], ...]:
    return tuple(
        (fault.at, f"A fault of kind {fault.kind} was injected into {fault.entity}.")
        for fault in faults
        if since <= fault.at <= until
    )
