"""Guardrails of a bundle: how much may be done, after what and when, whatever its rules say.

`config/policies/guardrails_load.py` makes them of what is written; `operators/guardrails.py` and `operators/guard.py`
keep them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Literal

import msgspec

from config.clock import DAY, TIME_MAX, TIME_MIN

Then = Literal["recommend", "approve"]
"""What becomes of an action that a guardrail holds back. `recommend`: it is shown to a person, and nobody's consent
overrules it. `approve`: the owner of the guardrail is asked, whose consent overrules it."""
Per = Literal["customer", "cause", "all"]
Counts = Literal["actions", "money", "customers"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

MOST_MAX = 1_000_000_000
"""Actions, customers or currency units: no limit is larger."""
WEEK = 7 * DAY
MONDAY = 4 * DAY
"""1970-01-05, the first Monday."""


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
    share: float = 0.0
    """Of the customers that are active, as many as it comes to may be touched, where that is more than `most`."""
    of: SelectionDocument = SelectionDocument()
    then: Then = "recommend"
    owner: str = ""
    """Who may change it; "" for the owner of the bundle."""


class SequenceDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may not follow on something else that was done for the customer."""

    description: str
    after: SelectionDocument
    forbids: SelectionDocument
    within: str
    then: Then = "recommend"
    owner: str = ""


class FreezeDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When nothing, or little, is done: from an instant until another, at hours of the week (UTC), or both."""

    description: str
    of: SelectionDocument = SelectionDocument()
    allows: SelectionDocument | None = None
    """What of it may be done all the same."""
    begins: datetime | None = None
    ends: datetime | None = None
    days: list[Weekday] = []
    """On which it begins; none for every day, if there are hours."""
    hours: str = ""
    """`22:00-06:00`, also past midnight; "" for whole days, if there are days."""
    then: Then = "recommend"
    owner: str = ""


class TurnDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done for a customer one after the other: while one is under way, no other is begun."""

    description: str
    of: SelectionDocument = SelectionDocument()
    then: Then = "recommend"
    owner: str = ""


class GuardrailsDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `guardrails` of a bundle, each by name."""

    limits: dict[str, LimitDocument] = {}
    sequences: dict[str, SequenceDocument] = {}
    freezes: dict[str, FreezeDocument] = {}
    turns: dict[str, TurnDocument] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """What all kinds of guardrails have."""

    name: str
    owner: str
    then: Then
    remedies: frozenset[str]
    """Those that it speaks of, and holds back."""

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
    """Actions or customers, or money in parts of a currency unit."""
    within: int
    """Microseconds."""
    share: float = 0.0

    def asks(self, money: int) -> int:
        """Return how much one more action takes of it, that of a customer who was not touched yet."""
        return money if self.counts == "money" else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence(Guardrail):
    """What may not follow on something else that was done for the customer."""

    after: frozenset[str]
    within: int
    """Microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze(Guardrail):
    """When something is not done."""

    begins: int = TIME_MIN
    ends: int = TIME_MAX
    weekly: tuple[tuple[int, int], ...] = ()
    """(begin, end) in microseconds from Monday, 00:00 UTC, where an end may be past the week's; none for all of it."""

    def until(self, now: int) -> int | None:
        """Return until when it holds, if it does now; `TIME_MAX` for one without end."""
        if not self.begins <= now < self.ends:
            return None
        if not self.weekly:
            return self.ends
        at = now
        while (end := self._end_of(at)) is not None:
            at = end
            if at >= self.ends or at - now >= WEEK:
                return self.ends
        return None if at == now else at

    def _end_of(self, at: int) -> int | None:
        """Return when the last of the week's spans that `at` is in ends."""
        week = at - (at - MONDAY) % WEEK
        return max(
            (
                start + end
                for start in (week - WEEK, week)
                for begin, end in self.weekly
                if start + begin <= at < start + end
            ),
            default=None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(Guardrail):
    """What is done for a customer one after the other."""


@dataclass(frozen=True, slots=True)
class Guardrails:
    """All guardrails of a bundle."""

    limits: tuple[Limit, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    turns: tuple[Turn, ...] = ()

    def __iter__(self) -> Iterator[Guardrail]:
        return chain(self.limits, self.sequences, self.freezes, self.turns)

    def of_fleet(self, remedy: str, causes: Iterable[str]) -> Iterator[tuple[Limit, str]]:
        """Yield the limits over all customers, and those of each of `causes`, that speak of a remedy.

        Each comes with the cause that it is of, "" for all.
        """
        for limit in self.limits:
            if limit.per != "customer" and remedy in limit.remedies:
                yield from ((limit, of) for of in (causes if limit.per == "cause" else ("",)))

    def of_causes(self, remedy: str) -> Iterator[Limit]:
        """Yield the limits of causes that speak of a remedy."""
        return (limit for limit in self.limits if limit.per == "cause" and remedy in limit.remedies)

    @property
    def counts_active(self) -> bool:
        """Whether any limit is a share of the customers that are active."""
        return any(limit.share for limit in self.limits)

    @property
    def memory(self) -> int:
        """How long what was done for a customer counts, microseconds."""
        limits = (limit.within for limit in self.limits if limit.per == "customer")
        return max(chain(limits, (sequence.within for sequence in self.sequences), (1 for _ in self.turns), (0,)))
