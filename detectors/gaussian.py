"""A Gaussian per series: how many deviations a value is from the mean of what was normal.

River's `GaussianScorer` holds mean and variance (Welford, exact to the last digit). Around it: a scale on which the
metric is roughly symmetric, a direction, a floor under the deviation, fading memory, and patience with anomalies.
"""

from __future__ import annotations

from math import copysign, erfc, expm1, inf, isfinite, log1p, sqrt
from typing import Any, Literal, cast

import msgspec
from river.anomaly import GaussianScorer
from river.proba import Gaussian as NormalDistribution

from detectors.base import Score


class GaussianParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Gaussian`; `build` makes it."""

    direction: Literal["up", "down", "both"]
    """Where values are bad: latency up, success down."""
    scale: Literal["linear", "log"] = "linear"
    """`log` for positive, heavy-tailed metrics: then spread is relative."""
    pivot: float = 1.0
    """On the log scale, log(1 + |x| / pivot): below about the pivot, in the metric's unit, it is linear."""
    threshold: float = 6.0
    """Deviations from the mean beyond which a value is flagged."""
    floor: float = 0.0
    """Least deviation, on the scale (log: 0.1 is about 10 %), so that the noise of a steady metric stays noise."""
    change_min: float = 0.0
    """Least distance from the mean, in the metric's unit, that can be flagged."""
    grace: int = 30
    """Values to learn before anything is flagged."""
    memory: int = 1440
    """Effective number of values remembered: older ones fade."""
    adapt_after: int = 60
    """Flagged or suspect values after which they are the new normal; each normal value between takes one off."""

    def __post_init__(self) -> None:
        for name in ("pivot", "threshold"):
            if not 0 < getattr(self, name) < inf:
                raise ValueError(f"{name} is {getattr(self, name)}, must be above 0")
        for name in ("floor", "change_min"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"{name} is {getattr(self, name)}, must not be below 0")
        if not 2 <= self.grace <= self.adapt_after <= self.memory:
            # Fewer new values than the grace period would leave the detector blind after it adapted.
            raise ValueError(
                f"2 ≤ grace {self.grace} ≤ adapt_after {self.adapt_after} ≤ memory {self.memory} must hold"
            )

    def build(self) -> Gaussian:
        """Return a detector that knows nothing yet."""
        return Gaussian(self)


class Gaussian:
    """See the module; state is [weight, mean, sum of squared deviations, held-back values]."""

    def __init__(self, parameters: GaussianParameters) -> None:
        self._parameters = parameters
        self._scorer = GaussianScorer(grace_period=parameters.grace)  # type: ignore[no-untyped-call]
        self._normal = cast(NormalDistribution, self._scorer.gaussian)
        self._held: list[float] = []
        self.size_max = 32 + 9 * (parameters.adapt_after + 3)

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        # By its fields, not `_from_state`, which divides and multiplies and so may lose the last digit.
        variance = self._normal._var
        variance.mean.n, variance.mean._mean, variance._S, held = state
        self._held = list(held)

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        variance = self._normal._var
        return [variance.mean.n, variance.mean._mean, variance._S, list(self._held)]

    def score_one(self, x: float) -> Score:
        """Judge `x`: `value` is in deviations. Raises ValueError when `x` is not finite."""
        parameters, gaussian = self._parameters, self._normal
        y = self._scaled(x)
        if gaussian.n_samples < parameters.grace:
            return Score(0.0, 1.0, flagged=False, strength=0.0, expected=None, limit=None)
        expected, deviation = self._unscaled(gaussian.mu), self._deviation()
        off = (y - gaussian.mu) / deviation
        sign = self._side(off)
        value = sign * off
        p_value = erfc(value / sqrt(2)) * (1.0 if parameters.direction == "both" else 0.5)
        limit = self._unscaled(gaussian.mu + sign * parameters.threshold * deviation)
        limit = (
            max(limit, expected + parameters.change_min) if sign > 0 else min(limit, expected - parameters.change_min)
        )
        flagged = value > parameters.threshold and abs(x - expected) >= parameters.change_min
        strength = max(0.0, value / parameters.threshold)
        return Score(value, p_value, flagged=flagged, strength=strength, expected=expected, limit=limit)

    def learn_one(self, x: float, *, suspect: bool = False) -> None:
        """Learn a normal value; hold back a flagged or suspect one until so many show that it is the new normal."""
        y = self._scaled(x)
        if not (suspect or self.score_one(x).flagged):
            if self._held:
                del self._held[0]
            self._update(y)
            return
        self._held.append(y)
        if len(self._held) >= self._parameters.adapt_after:
            held = self._held
            self.decode([0.0, 0.0, 0.0, []])
            for y in held:
                self._update(y)

    def explain(self, x: float) -> str:
        """Return how `x` compares with what is usual."""
        score = self.score_one(x)
        if score.expected is None or score.limit is None:
            return f"{x:.4g}, too new to know what is usual"
        bound = "up to" if score.limit >= score.expected else "down to"
        return f"{x:.4g}, usually about {score.expected:.4g} and {bound} {score.limit:.4g}"

    def _update(self, y: float) -> None:
        memory = self._parameters.memory
        self._scorer.learn_one(None, y)  # type: ignore[no-untyped-call]
        if self._normal.n_samples > memory:
            variance = self._normal._var
            variance._S *= memory / variance.mean.n
            variance.mean.n = float(memory)

    def _deviation(self) -> float:
        """Return the deviation of a new value: that of the learned ones and of their mean, not below the floor."""
        mean, learned = self._normal.mu, self._normal.sigma * sqrt(1 + 1 / self._normal.n_samples)
        # Where a metric never moved and there is no floor, any change is unusual, except one that is mere rounding.
        return float(max(learned, self._parameters.floor, 1e-9 * abs(mean), 1e-12))

    def _side(self, off: float) -> float:
        match self._parameters.direction:
            case "up":
                return 1.0
            case "down":
                return -1.0
            case "both":
                return copysign(1.0, off)

    def _scaled(self, x: float) -> float:
        if not isfinite(x):
            raise ValueError(f"{x} is not a finite number")
        if self._parameters.scale == "linear":
            return x
        return copysign(log1p(abs(x) / self._parameters.pivot), x)

    def _unscaled(self, y: float) -> float:
        if self._parameters.scale == "linear":
            return y
        try:
            return copysign(expm1(abs(y)) * self._parameters.pivot, y)
        except OverflowError:
            return copysign(inf, y)
