"""A budget of false discoveries, per agent and day: which of the day's p-values may become findings.

A fixed threshold for p-values finds one false thing in so many looks, so an agent that looks at twice as many series
bothers people twice as often with nothing. Online control of the false discovery rate bounds instead the expected
share of false ones among the day's findings, whatever the number of looks. A level is put aside for each test
from a purse that is the smaller the longer nothing was found, and each discovery refills it.

Two procedures, in one formula. LORD++ (Ramdas, Yang, Wainwright and Jordan 2017, arXiv:1710.00499): every test costs.
SAFFRON (Ramdas, Zrnic, Wainwright and Jordan 2018, arXiv:1802.09098): only a test whose p-value exceeds `candidate`
costs, so that an agent with many true findings keeps finding. Both hold when each p-value, given the tests before it,
is at most uniform while nothing is wrong; LORD++ stands more dependence. A day on which nothing is wrong sees a
discovery with a chance of at most the budget.
"""

from __future__ import annotations

from math import exp, isfinite, log, sqrt
from typing import Any

import msgspec

SUM_LORD = 0.07720838
"""Makes log(max(j, 2)) / (j e^√log j) add up to 1 over all j (Javanmard and Montanari 2018)."""
SUM_SAFFRON = 0.4374901658
"""Makes j^-1.6 add up to 1: 1 / ζ(1.6)."""


class DiscoveryParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Discovery`; `build` makes it."""

    budget: float = 0.1
    """Expected share of false ones among a day's discoveries, at most."""
    candidate: float = 0.0
    """Tests with a p-value up to this cost nothing: 0 is LORD++, 0.5 is usual for SAFFRON."""
    initial: float = 0.5
    """Share of the budget in the purse when a day begins; the rest comes with the first discovery."""
    keep: int = 64
    """Discoveries that are remembered: what an older one still adds to a level is given up, which errs on the safe
    side and bounds the state."""

    def __post_init__(self) -> None:
        if not 0 < self.budget < 1:
            raise ValueError(f"budget is {self.budget}, must be between 0 and 1")
        if not 0 <= self.candidate < 1:
            raise ValueError(f"candidate is {self.candidate}, must be from 0 to below 1")
        if not 0 < self.initial <= 1:
            raise ValueError(f"initial is {self.initial}, must be above 0 and at most 1")
        if self.keep < 1:
            raise ValueError(f"keep is {self.keep}, must be at least 1")

    def build(self) -> Discovery:
        """Return a budget of which nothing is spent."""
        return Discovery(self)


class Verdict(msgspec.Struct, frozen=True):
    """What became of one test."""

    discovered: bool
    """Whether it may become a finding."""
    level: float
    """What the p-value was held against."""


class Discovery:
    """Tests the p-values of one agent, in the order of event time; ties in an order the caller fixes, such as by id.

    State is [day, number of discoveries of the day, their ages]: an age counts the costly tests since a discovery; the
    first stands for the beginning of the day.
    """

    def __init__(self, parameters: DiscoveryParameters) -> None:
        self._parameters = parameters
        self._day: int | None = None
        self._found = 0
        self._ages = [1]
        self.size_max = 32 + 9 * (parameters.keep + 1)
        """Bytes that `encode()` takes as MessagePack, at most."""

    @property
    def found(self) -> int:
        """Discoveries of the day."""
        return self._found

    def level(self) -> float:
        """Return the p-value up to which the next test of the day would be a discovery."""
        given = self._parameters
        first = given.budget * (1 - given.initial)
        forgotten = self._found - (len(self._ages) - 1)
        level = given.budget * given.initial * self._gamma(self._ages[0])
        for number, age in enumerate(self._ages[1:], forgotten):
            level += (first if number == 0 else given.budget) * self._gamma(age)
        return min(given.candidate, (1 - given.candidate) * level) if given.candidate else level

    def test(self, day: int, p_value: float) -> Verdict:
        """Test one p-value and charge the purse.

        Args:
            day: Number of the day of the value's instant. A later day than the last begins a new budget; an earlier
                one, of a value that came late, is charged to the day at hand.
            p_value: Chance of what was seen while nothing is wrong.

        Raises:
            ValueError: `p_value` is not between 0 and 1.
        """
        if not isfinite(p_value) or not 0 <= p_value <= 1:
            raise ValueError(f"p-value is {p_value}, must be between 0 and 1")
        if self._day is None or day > self._day:
            self._day, self._found, self._ages = day, 0, [1]
        level = self.level()
        discovered = p_value <= level
        if p_value > self._parameters.candidate:
            self._ages = [age + 1 for age in self._ages]
        if discovered:
            self._found += 1
            self._ages.append(1)
            if len(self._ages) > self._parameters.keep + 1:
                del self._ages[1]
        return Verdict(discovered, level)

    def encode(self) -> list[Any]:
        """Return all state as built-in values."""
        return [self._day, self._found, list(self._ages)]

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        self._day, self._found, ages = state
        self._ages = list(ages)

    def _gamma(self, age: int) -> float:
        """Return the share of the purse that is spent on the test of this age; all shares add up to at most 1."""
        if self._parameters.candidate:
            return SUM_SAFFRON / float(age**1.6)
        return SUM_LORD * log(max(age, 2)) / (age * exp(sqrt(log(age))))
