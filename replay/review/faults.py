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
    everything: list[dict[str, str]] = []
    for fault in faults:
        everything.append({"fault": fault.kind, "service": fault.entity})
        hits = [row for row in opened if fault.at < row["at"] <= fault.at + WITHIN]
        if hits and hits[0]["entity"] == fault.entity:
            continue
        later = next((row for row in opened if row["at"] > fault.at + WITHIN and row["entity"] == fault.entity), None)
        late = later if later is not None and later["at"] <= fault.at + AFTER else None
        said = hits[0] if hits else late
        wrongs.append(
            Wrong(
                verdict="found too late" if late is not None and not hits else "missed",
                entity=fault.entity,
                at=fault.at,
                since=fault.at - BEFORE,
                until=fault.at + AFTER,
                finding=said,
                what=f"A fault of kind {fault.kind} was injected into {fault.entity}"
                + (f"; {hits[0]['entity']} was named instead." if hits else "."),
                cost=CUSTOMERS * cost_missed(0.0),
                error=said["confidence"] if hits and said is not None else 1.0,
                kind=fault.kind,
                like="another service was named" if hits else "nothing was found in time",
                traits=everything[-1],
            )
        )
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
            )
        )
    return wrongs, everything
