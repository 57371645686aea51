"""What findings claim of themselves, and what of it was so.

A confidence is a claim: of ten findings of 0.9 nine are so. What has to be so depends on what the finding says.
`order.complaint_likely` says that the customer will complain, not that the order is in trouble; a promise at risk is an
order that comes late, whether its customer minds or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean
from typing import Any, NamedTuple

COMPLAINT_LIKELY = "order.complaint_likely"
"""Claims a complaint."""
COMES_LATE = frozenset({"order.promise_at_risk", "order.promise_passed", "order.ship_by_missed", "order.stuck"})
"""Claim that the order will come after the promised day, if at all, or has not come by then."""


class Claim(NamedTuple):
    """One finding that can be checked."""

    agent: str
    kind: str
    confidence: float
    so: bool
    """Whether it was as it says."""


def summed(claims: Iterable[Claim], *, by_kind: bool = True) -> list[dict[str, Any]]:
    """Return, of each agent and kind, how many findings there are, what they claim and what was so.

    Args:
        claims: Of all findings.
        by_kind: Whether kinds are told apart, not only agents.
    """
    groups: dict[tuple[str, str], list[Claim]] = {}
    for claim in claims:
        groups.setdefault((claim.agent, claim.kind if by_kind else ""), []).append(claim)
    return [
        {"agent": agent}
        | ({"kind": kind} if by_kind else {})
        | {
            "findings": len(group),
            "claimed": round(fmean(claim.confidence for claim in group), 4),
            "so": round(fmean(claim.so for claim in group), 4),
        }
        for (agent, kind), group in sorted(groups.items())
    ]
