"""A Gaussian per series: how many deviations a value is from the mean of what was normal.

River's `GaussianScorer` holds mean and variance (Welford, exact to the last digit). Around it: a scale on which the
metric is roughly symmetric, a direction, a floor under the deviation, fading memory, and patience with anomalies.
"""

from __future__ import annotations

from math import copysign, erfc, expm1, inf, log1p, sqrt
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from detectors.base import Score, Usual
from detectors.patience import bounded
from detectors.words import compared

if TYPE_CHECKING:
    from river.proba import Gaussian as Normal

SQRT_2 = sqrt(2)


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
    adapt_after: int = 360
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
        # Here, not above: importing River brings SciPy, a second, and only the workers that judge need it.
        from river.anomaly import GaussianScorer

        self._parameters = parameters
        self._scorer = GaussianScorer(grace_period=parameters.grace)  # type: ignore[no-untyped-call]
        self._variance = cast("Normal", self._scorer.gaussian)._var
        self._held: list[float] = []
        self._last: tuple[float, float, Score] | None = None
        """The last value judged, on the scale too, and its score: while nothing was learned since, `learn_one` need not
        judge again."""
        self.size_max = 32 + 9 * (parameters.adapt_after + 3)

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        # By its fields, not `_from_state`, which divides and multiplies and so may lose the last digit.
        variance = self._variance
        variance.mean.n, variance.mean._mean, variance._S, held = state
        self._held = list(held)
        self._last = None

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        variance = self._variance
        return [variance.mean.n, variance.mean._mean, variance._S, list(self._held)]

    def score_one(self, x: float, *, at: int | None = None) -> Score:
        """Judge `x`: `value` is in deviations. Raises ValueError when `x` is not finite."""
        if self._last is not None and self._last[0] == x:
            return self._last[2]
        parameters = self._parameters
        y = self._scaled(x)
        if self._variance.mean.n < parameters.grace:
            score = Score(0.0, 1.0, flagged=False, strength=0.0)
        else:
            off = (y - self._variance.mean._mean) / self._deviation()
            value = self._side(off) * off
            p_value = erfc(value / SQRT_2) * (1.0 if parameters.direction == "both" else 0.5)
            flagged = value > parameters.threshold and abs(x - self._expected()) >= parameters.change_min
            score = Score(value, p_value, flagged=flagged, strength=max(0.0, value / parameters.threshold))
        self._last = (x, y, score)
        return score

    def learn_one(self, x: float, *, suspect: bool = False, at: int | None = None) -> bool:
        """Learn a normal value; hold back a flagged or suspect one until so many show that it is the new normal."""
        flagged = self.score_one(x).flagged
        assert self._last is not None  # it has just been judged
        y, self._last = self._last[1], None
        if not (suspect or flagged):
            if self._held:
                del self._held[0]
            self._update(y)
            return False
        self._held.append(y)
        if len(self._held) < self._parameters.adapt_after:
            return False
        held = self._held
        self.decode([0.0, 0.0, 0.0, []])
        for y in held:
            self._update(y)
        return True

    def usual(self, x: float, *, at: int | None = None) -> Usual:
        """Return the mean, and the limit on the side of `x`; neither while warming up."""
        parameters, mean = self._parameters, self._variance.mean
        if mean.n < parameters.grace:
            return Usual()
        expected, sign = self._expected(), self._side(self._scaled(x) - mean._mean)
        limit = self._unscaled(mean._mean + sign * parameters.threshold * self._deviation())
        if sign > 0:
            return Usual(expected, max(limit, expected + parameters.change_min))
        return Usual(expected, min(limit, expected - parameters.change_min))

    def explain(self, x: float, *, at: int | None = None) -> str:
        """Return how `x` compares with what is usual."""
        return compared(x, self.usual(x))

    def _update(self, y: float) -> None:
        memory, variance = self._parameters.memory, self._variance
        self._scorer.learn_one(None, y)  # type: ignore[no-untyped-call]
        if variance.mean.n > memory:
            variance._S *= memory / variance.mean.n
            variance.mean.n = float(memory)

    def _expected(self) -> float:
        return self._unscaled(self._variance.mean._mean)

    def _deviation(self) -> float:
        """Return the deviation of a new value: that of the learned ones and of their mean, not below the floor."""
        mean = self._variance.mean
        learned = sqrt(self._variance.get() * (1 + 1 / mean.n))
        # Where a metric never moved and there is no floor, any change is unusual, except one that is mere rounding.
        return max(learned, self._parameters.floor, 1e-9 * abs(mean._mean), 1e-12)

    def _side(self, off: float) -> float:
        direction = self._parameters.direction
        return copysign(1.0, off) if direction == "both" else 1.0 if direction == "up" else -1.0

    def _scaled(self, x: float) -> float:
        x = bounded(x)
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
