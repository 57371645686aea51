"""How the cause stage and those who watch a fleet entity by itself work together.

A watch is to a product, seller, device or lane what an agent is to a customer: it takes note of what happens to the
entity, and looks at it a moment later, when all records of that instant are in. It is asked in the order of event time
and keeps nothing but the state it is given.
"""

from __future__ import annotations

from typing import Protocol

from config.clock import SECOND
from config.events import Event
from config.findings import Evidence, Finding, Severity, finding_id
from operators.cause_state import CauseState

SETTLE = SECOND
"""A watch looks so long after what it takes note of."""


class Watch(Protocol):
    """Knowledge about single fleet entities."""

    name: str
    """Stable: a timer's name is made of it."""
    types: frozenset[str]
    """Types of the events it takes note of."""

    def note(self, state: CauseState, event: Event) -> int | None:
        """Take note of `event`; return when to look, or None to leave that as it is."""

    def look(self, key: str, state: CauseState, now: int) -> tuple[list[Finding], int | None]:
        """Return what is found now or has ended, and when to look again though nothing more happens."""


def fleet_finding(
    agent: str,
    kind: str,
    entity: str,
    occurrence: str,
    at: int,
    *,
    severity: Severity,
    confidence: float,
    reason: str,
    evidence: Evidence,
    money: float = 0.0,
    resolves: bool = False,
) -> Finding:
    """Return a finding about a fleet entity."""
    return Finding(
        finding_id=finding_id(agent, kind, entity, occurrence),
        agent=agent,
        kind=kind,
        entity=entity,
        occurrence=occurrence,
        at=at,
        severity=severity,
        confidence=round(confidence, 4),
        money_at_risk=round(money, 2),
        resolves=resolves,
        evidence=evidence,
        reason=reason,
    )
