"""A bank: one detector for each of several numbers, whose p-values make one.

Where half-space trees and LODA look for combinations, a bank looks at each number alone, and so sees one that is off
among many that are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

import msgspec

from detectors.base import Detector, Score, Usual
from detectors.combine import LEAST, Rule, combined, surprise
from detectors.part import Part
from detectors.patience import WARMING_UP, bounded
from detectors.words import largest


class BankParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Bank`; `build` makes it."""

    features: tuple[str, ...]
    """Names of the numbers, in the order in which they are given."""
    of: Part
    """The detector of each."""
    rule: Rule = "cauchy"
    """How their p-values become one."""
    p_max: float = 1e-4
    """A value is flagged when its p-value is below this."""

    def __post_init__(self) -> None:
        if not self.features or len(set(self.features)) != len(self.features):
            raise ValueError("features must be named, each once")
        if not 0 < self.p_max < 0.5:
            raise ValueError(f"p_max is {self.p_max}, must be between 0 and 0.5")
        self.of.described()

    def build(self) -> Bank:
        """Return a detector that knows nothing yet."""
        return Bank(self)


class Bank:
    """See the module; state is that of each detector."""

    def __init__(self, parameters: BankParameters) -> None:
        self._parameters = parameters
        self._members: dict[str, Detector] = {name: parameters.of.build() for name in parameters.features}
        self.size_max = 5 + sum(member.size_max for member in self._members.values())

    def score_one(self, x: Sequence[float], *, at: int | None = None) -> Score:
        """Judge `x`: `value` is in orders of magnitude of the p-value. Raises ValueError when one is not finite."""
        p_values = [score.p_value for score in self._scores(x, at).values() if score != WARMING_UP]
        if not p_values:
            return WARMING_UP
        p_value = combined(p_values, self._parameters.rule)
        strength = max(0.0, log(2 * max(p_value, LEAST)) / log(2 * self._parameters.p_max))
        return Score(surprise(p_value), p_value, flagged=p_value < self._parameters.p_max, strength=strength)

    def learn_one(self, x: Sequence[float], *, suspect: bool = False, at: int | None = None) -> bool:
        """Let each detector learn its number, unless `x` is flagged; return whether a change became normal for one."""
        suspect = suspect or self.score_one(x, at=at).flagged
        pairs = zip(self._members.values(), map(bounded, x), strict=True)
        adapted = [member.learn_one(y, suspect=suspect, at=at) for member, y in pairs]
        return any(adapted)

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        return [member.encode() for member in self._members.values()]

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        for member, each in zip(self._members.values(), state, strict=True):
            member.decode(each)

    def contributions(self, x: Sequence[float], *, at: int | None = None) -> list[tuple[str, float]]:
        """Return the orders of magnitude that each feature's p-value is below 1 in 2, the largest first."""
        shares = [(name, max(0.0, surprise(score.p_value))) for name, score in self._scores(x, at).items()]
        return sorted(shares, key=lambda share: (-share[1], share[0]))

    def usual(self, x: Sequence[float], *, at: int | None = None) -> Usual:
        """Return what is normal for the feature that contributes most."""
        name = self.contributions(x, at=at)[0][0]
        return self._members[name].usual(self._of(x, name), at=at)

    def explain(self, x: Sequence[float], *, at: int | None = None) -> str:
        """Return which features make `x` unusual, and what the detector of the first says."""
        shares = self.contributions(x, at=at)
        first = shares[0][0]
        return f"{largest(shares)}; {first} is {self._members[first].explain(self._of(x, first), at=at)}"

    def _of(self, x: Sequence[float], name: str) -> float:
        return x[self._parameters.features.index(name)]

    def _scores(self, x: Sequence[float], at: int | None) -> dict[str, Score]:
        if len(x) != len(self._members):
            raise ValueError(f"{len(x)} numbers given, {len(self._members)} features are named")
        pairs = zip(self._members.items(), map(bounded, x), strict=True)
        return {name: member.score_one(y, at=at) for (name, member), y in pairs}
