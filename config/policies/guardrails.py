"""Guardrails of a bundle: how much may be done in a span of time, whatever its rules say.

`config/policies/guardrails_load.py` makes them of what is written; `operators/guardrails.py` and `operators/guard.py`
keep them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import msgspec

Then = Literal["recommend", "approve"]
"""What becomes of an action that a guardrail holds back. `recommend`: it is shown to a person, and nobody's consent
overrules it. `approve`: the owner of the guardrail is asked, whose consent overrules it."""
Per = Literal["customer", "cause", "all"]
Counts = Literal["actions", "money"]


class SelectionDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which actions are meant: those that any of it speaks of; all, where it says nothing."""

    remedies: list[str] = []
    side_effects: list[str] = []
    contacts_customer: bool = False
    moves_money: bool = False


class LimitDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much may be done within a span of time."""

    description: str
    per: Per
    most: float
    within: str
    """`7d`: what was done so long ago does not count any more."""
    counts: Counts = "actions"
    of: SelectionDocument = SelectionDocument()
    then: Then = "recommend"
    owner: str = ""
    """Who may change it; "" for the owner of the bundle."""


class GuardrailsDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `guardrails` of a bundle, each by name."""

    limits: dict[str, LimitDocument] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """What all kinds of guardrails have."""

    name: str
    owner: str
    then: Then
    remedies: frozenset[str]
    """Those that it speaks of."""

    @property
    def may_change(self) -> str:
        """Who may change it, as the end of a sentence."""
        return f"{self.owner} may change that (guardrail {self.name} of the policy)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Guardrail):
    """How much may be done within a span of time."""

    per: Per
    counts: Counts
    most: int
    """Actions, or money in parts of a currency unit."""
    within: int
    """Microseconds."""

    def asks(self, money: int) -> int:
        """Return how much one more action takes of it."""
        return money if self.counts == "money" else 1


@dataclass(frozen=True, slots=True)
class Guardrails:
    """All guardrails of a bundle."""

    limits: tuple[Limit, ...] = ()

    def of_customer(self, remedy: str) -> Iterator[Limit]:
        """Yield the limits per customer that speak of a remedy."""
        return (limit for limit in self.limits if limit.per == "customer" and remedy in limit.remedies)

    def of_fleet(self, remedy: str, causes: Sequence[str]) -> Iterator[tuple[Limit, str]]:
        """Yield the limits over all customers, and those of each of `causes`, that speak of a remedy.

        Each comes with the cause that it is of, "" for all.
        """
        for limit in self.limits:
            if limit.per != "customer" and remedy in limit.remedies:
                yield from ((limit, of) for of in (causes if limit.per == "cause" else ("",)))

    @property
    def memory(self) -> int:
        """How long what was done for a customer counts, microseconds."""
        return max(chain((limit.within for limit in self.limits if limit.per == "customer"), (0,)))
