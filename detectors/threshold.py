"""A fixed limit: a rule, for what is wrong whatever is usual."""

from __future__ import annotations

from math import isfinite
from typing import Any, Literal

import msgspec

from detectors.base import Score, Usual


class ThresholdParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Threshold`; `build` makes it."""

    direction: Literal["up", "down"]
    """Where values are bad."""
    limit: float
    """In the metric's unit; the limit itself is still good."""

    def __post_init__(self) -> None:
        if not isfinite(self.limit):
            raise ValueError(f"limit is {self.limit}, must be finite")

    def build(self) -> Threshold:
        """Return the detector."""
        return Threshold(self)


class Threshold:
    """Flags what lies beyond the limit; learns nothing."""

    size_max = 1

    def __init__(self, parameters: ThresholdParameters) -> None:
        self._parameters = parameters

    def encode(self) -> list[Any]:
        """Return the state: there is none."""
        return []

    def decode(self, state: list[Any]) -> None:
        """Do nothing: there is no state."""

    def score_one(self, x: float, *, at: int | None = None) -> Score:
        """Judge `x`: `value` is how far beyond the limit it is. Raises ValueError when `x` is not finite."""
        if not isfinite(x):
            raise ValueError(f"{x} is not a finite number")
        above = x - self._parameters.limit
        value = above if self._parameters.direction == "up" else -above
        beyond = value > 0
        return Score(value, 0.0 if beyond else 1.0, flagged=beyond, strength=float(beyond))

    def learn_one(self, x: float, *, suspect: bool = False, at: int | None = None) -> bool:
        """Do nothing but refuse what is not finite."""
        self.score_one(x)
        return False

    def usual(self, x: float, *, at: int | None = None) -> Usual:
        """Return the limit."""
        return Usual(limit=self._parameters.limit)

    def explain(self, x: float, *, at: int | None = None) -> str:
        """Return how `x` compares with the limit."""
        side = "above" if self._parameters.direction == "up" else "below"
        verdict = f"{side} the limit of" if self.score_one(x).flagged else f"not {side} the limit of"
        return f"{x:.4g}, {verdict} {self._parameters.limit:.4g}"
