"""What a run got wrong: a false alarm, a miss, a trouble found too late or blamed on another; how much it teaches.

The weight of a wrong is its cost times the square of the error: how far the confidence was from the truth (Brier,
Monthly Weather Review 78, 1950). So who was confident and wrong stands before who was doubtful and wrong, and a costly
miss before a cheap one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Row = dict[str, Any]
Verdict = Literal["false alarm", "missed", "found too late", "wrong service"]
"""The last: it was found, and something else was named."""

COSTS = {"observe": 0.25, "recommend": 1.0, "approve": 2.0, "act": 4.0}
"""What a false alarm costs, by how far the decision about it went: a person's time, then a customer's."""
COST_MISSED = 3.0
"""What a miss costs, before the money that is at stake doubles it."""
MONEY_FULL = 1_000.0


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """One thing that was wrong."""

    verdict: Verdict
    entity: str
    """What it is about: `order:…`, `service:…`."""
    at: int
    """When the false alarm was raised, or the customer hurt; µs."""
    since: int
    """What is known from then on belongs to its story, µs."""
    until: int
    """… and until then."""
    finding: Row | None
    """What the agent said: the alarm, or the finding that came too late."""
    what: str
    """What was true, a sentence."""
    cost: float
    error: float
    """How far the confidence was from the truth, 0 to 1."""
    kind: str
    """Of the finding, or of what was missed."""
    like: str
    """What wrongs of one group have in common beside verdict and kind, in words."""
    traits: dict[str, str] = field(default_factory=dict)
    """What else is known of it, in words, by name: what a group may have in common."""
    notes: tuple[tuple[int, str], ...] = ()
    """What else was true meanwhile, by time."""
    customers: frozenset[str] = frozenset()
    """Whom it concerns; never shown."""

    @property
    def weight(self) -> float:
        """How much there is to learn from it."""
        return self.cost * self.error**2

    @property
    def group(self) -> tuple[str, str, str]:
        """What it is like: wrongs of one group are told once."""
        return (self.verdict, self.kind, self.like)


def cost_missed(money: float) -> float:
    """Return what a miss costs, with so much money at stake."""
    return COST_MISSED * (1.0 + min(max(money, 0.0), MONEY_FULL) / MONEY_FULL)
