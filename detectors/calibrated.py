"""A detector whose p-values are made to hold: ranked among its own past scores (`detectors.tail`).

The p-values of most detectors count on a law, mostly the normal one, and on values that do not follow each other. Real
series keep neither, so that a p-value of 0.001 turns up one time in thirty. What the detector inside makes of a value
is a score like any other here; how rare it is, the series itself says.
"""

from __future__ import annotations

from math import inf
from typing import Any

import msgspec

from detectors.base import Score, Usual
from detectors.part import Part
from detectors.patience import WARMING_UP, bounded
from detectors.tail import Tail, TailParameters


class CalibratedParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Calibrated`; `build` makes it."""

    of: Part
    """The detector inside."""
    tail: TailParameters = TailParameters()
    """What is remembered of its scores."""
    p_max: float = 1e-3
    """A value is flagged when its p-value is below this, whatever the detector inside says."""

    def __post_init__(self) -> None:
        if not 0 < self.p_max < 0.5:
            raise ValueError(f"p_max is {self.p_max}, must be between 0 and 0.5")
        self.of.described()

    def build(self) -> Calibrated:
        """Return a detector that knows nothing yet."""
        return Calibrated(self)


class Calibrated:
    """See the module; state is [state of the detector inside, tail, whether the last value was flagged]."""

    def __init__(self, parameters: CalibratedParameters) -> None:
        self._parameters = parameters
        self._inner = parameters.of.build()
        self._tail = Tail(parameters.tail)
        self._flagged = False
        self.size_max = 6 + self._inner.size_max + self._tail.size_max

    def score_one(self, x: float, *, at: int | None = None) -> Score:
        """Judge `x`: `value` is that of the detector inside. Raises ValueError when `x` is not finite."""
        inner = self._inner.score_one(bounded(x), at=at)
        if not self._tail.ready or inner == WARMING_UP:
            return WARMING_UP
        limit = max(0.0, self._tail.limit(self._parameters.p_max))
        strength = max(0.0, inner.value / limit) if 0 < limit < inf else 0.0
        flagged, p_value = inner.value > limit, self._tail.p_value(inner.value)
        return Score(inner.value, p_value, flagged=flagged, strength=max(strength, float(flagged)))

    def learn_one(self, x: float, *, suspect: bool = False, at: int | None = None) -> bool:
        """Learn a normal value and its score; return whether a lasting change became normal."""
        x = bounded(x)
        score, inner = self.score_one(x, at=at), self._inner.score_one(x, at=at)
        if not suspect and inner != WARMING_UP and not (score.flagged and self._flagged):
            # The first of a row of flagged values counts, as one just at the limit, however far off it is: were all
            # left out, the tail would be cut off there, and grow shorter with each. An incident counts once.
            limit = self._tail.limit(self._parameters.p_max)
            self._tail.learn(min(inner.value, limit) if score.flagged else inner.value)
        self._flagged = score.flagged
        return self._inner.learn_one(x, suspect=suspect or score.flagged, at=at)

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        return [self._inner.encode(), self._tail.encode(), self._flagged]

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        inner, tail, self._flagged = state
        self._inner.decode(inner)
        self._tail.decode(tail)

    def usual(self, x: float, *, at: int | None = None) -> Usual:
        """Return what is normal to the detector inside, with its limit moved to where p-values are low enough."""
        usual, score = self._inner.usual(x, at=at), self._inner.score_one(x, at=at)
        limit = self._tail.limit(self._parameters.p_max)
        if usual.expected is None or usual.limit is None or not (0 < limit < inf) or score.strength <= 0:
            return usual
        # A score grows in proportion to the distance, and is value / strength at the limit of the detector inside.
        ratio = limit * score.strength / score.value
        return Usual(usual.expected, usual.expected + (usual.limit - usual.expected) * ratio)

    def explain(self, x: float, *, at: int | None = None) -> str:
        """Return what the detector inside says, and how rare that is."""
        p_value = self.score_one(x, at=at).p_value
        rare = f", which happens {_times(p_value)}" if p_value < 0.5 else ""
        return f"{self._inner.explain(x, at=at)}{rare}"


def _times(p_value: float) -> str:
    return f"once in {1 / p_value:,.0f} values" if p_value > 1e-9 else "next to never"
