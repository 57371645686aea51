"""An ensemble: several detectors of one number, whose p-values make one.

Each sees what the others do not: a limit, a spike, a slow drift. None learns what the ensemble flags, and each has its
own patience. A detector that warms up has no say.
"""

from __future__ import annotations

from math import log
from typing import Any

import msgspec

from detectors.base import Detector, Score, Usual
from detectors.combine import LEAST, Rule, combined, surprise
from detectors.part import Part
from detectors.patience import WARMING_UP, bounded


class EnsembleParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of an `Ensemble`; `build` makes it."""

    of: tuple[Part, ...]
    """Its members."""
    rule: Rule = "bonferroni"
    """How their p-values become one."""
    p_max: float = 1e-4
    """A value is flagged when its p-value is below this."""

    def __post_init__(self) -> None:
        if not self.of or len({part.called() for part in self.of}) != len(self.of):
            raise ValueError("of must hold members, each of another name")
        if not 0 < self.p_max < 0.5:
            raise ValueError(f"p_max is {self.p_max}, must be between 0 and 0.5")
        for part in self.of:
            part.described()

    def build(self) -> Ensemble:
        """Return a detector that knows nothing yet."""
        return Ensemble(self)


class Ensemble:
    """See the module; state is that of each member."""

    def __init__(self, parameters: EnsembleParameters) -> None:
        self._parameters = parameters
        self._members = [(part.called(), part.build()) for part in parameters.of]
        self.size_max = 5 + sum(member.size_max for _, member in self._members)

    def score_one(self, x: float, *, at: int | None = None) -> Score:
        """Judge `x`: `value` is in orders of magnitude of the p-value. Raises ValueError when `x` is not finite."""
        p_values = [score.p_value for _, score in self._scores(x, at)]
        if not p_values:
            return WARMING_UP
        p_value = combined(p_values, self._parameters.rule)
        strength = max(0.0, log(2 * max(p_value, LEAST)) / log(2 * self._parameters.p_max))
        return Score(surprise(p_value), p_value, flagged=p_value < self._parameters.p_max, strength=strength)

    def learn_one(self, x: float, *, suspect: bool = False, at: int | None = None) -> bool:
        """Let each member learn, unless `x` is flagged; return whether a lasting change became normal for one."""
        x = bounded(x)
        suspect = suspect or self.score_one(x, at=at).flagged
        adapted = [member.learn_one(x, suspect=suspect, at=at) for _, member in self._members]
        return any(adapted)

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        return [member.encode() for _, member in self._members]

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        for (_, member), each in zip(self._members, state, strict=True):
            member.decode(each)

    def contributions(self, x: float, *, at: int | None = None) -> list[tuple[str, float]]:
        """Return the orders of magnitude that each member's p-value is below 1 in 2, the largest first."""
        shares = {name: 0.0 for name, _ in self._members}
        shares |= {name: max(0.0, surprise(score.p_value)) for name, score in self._scores(x, at)}
        return sorted(shares.items(), key=lambda share: (-share[1], share[0]))

    def usual(self, x: float, *, at: int | None = None) -> Usual:
        """Return what is normal to the member that is most surprised."""
        return self._first(x, at)[1].usual(x, at=at)

    def explain(self, x: float, *, at: int | None = None) -> str:
        """Return what the member says that is most surprised, and which others are surprised."""
        name, member = self._first(x, at)
        shares = self.contributions(x, at=at)[1:]
        others = [f"{other} ({share:.1f})" for other, share in shares if share >= 1]
        return f"{name}: {member.explain(x, at=at)}{'; also ' if others else ''}{', '.join(others)}"

    def _first(self, x: float, at: int | None) -> tuple[str, Detector]:
        name = self.contributions(x, at=at)[0][0]
        return name, dict(self._members)[name]

    def _scores(self, x: float, at: int | None) -> list[tuple[str, Score]]:
        y = bounded(x)
        scores = [(name, member.score_one(y, at=at)) for name, member in self._members]
        return [(name, score) for name, score in scores if score != WARMING_UP]
