"""A shift of level within a few values: deviations from the recent normal add up until they cannot be chance.

Normal is a Gaussian on the metric's scale whose mean and deviation are learned with fading memory; a prior of a few
values' weight stands in for what is not learned yet, so that it judges after two values, and says so by heavier tails
(Student's t). Deviations, each clipped so that no single value decides, add up less an allowance (Page's cumulative
sum, Biometrika 1954); past the threshold the value is flagged.

`evidence` says how much a single value speaks for a shift: the logarithm of a likelihood ratio between a shifted and a
normal value. A metric that often jumps has a heavier tail of normal values, so that its jumps say less.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, exp, expm1, log, log1p, sqrt
from typing import Any, Literal

from detectors.base import Score, Usual
from detectors.patience import Direction, Patient, PatientParameters, bounded
from detectors.words import compared

SQRT_2 = sqrt(2)
SQRT_TAU = sqrt(2 * 3.141592653589793)
FREEDOM_MIN = 3.0
"""Degrees of freedom, at least: with fewer not even the variance of Student's t is finite."""
DEVIATION_MAX = 40.0
JUMP = 2.5
"""Deviations from which a value counts as a jump, for the tail of normal values."""
JUMPS_PRIOR, VALUES_PRIOR = 1.0, 25.0
"""One value in 25 jumps, as long as little is known."""
WIDTH = 1.2
"""Deviation of normal values that `evidence` reckons with: a little wider than what was learned."""
TAIL = 8.0
"""Jumps lie anywhere within so many deviations."""
SHIFT = 2.2
"""Where shifted values lie, in deviations, half of them …"""
UNMOVED = 0.2
"""… while so many look as ever, and the rest lies anywhere."""


class ShiftParameters(PatientParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Shift`; `build` makes it."""

    direction: Direction
    """Where values are bad."""
    scale: Literal["linear", "log"] = "linear"
    """`log` for metrics whose changes are relative: log(1 + x / pivot) of values not below 0."""
    pivot: float = 1.0
    """On the log scale: below about the pivot, in the metric's unit, a change means little."""
    floor: float = 0.25
    """Least deviation, on the scale, and the deviation of the prior."""
    prior: float = 6.0
    """Weight of the prior, in values."""
    allowance: float = 1.5
    """What is taken off each deviation before they add up: shifts below twice that are not looked for."""
    clip: float = 4.0
    """A single deviation counts no more than this."""
    threshold: float = 7.0
    """Sum past which a value is flagged."""
    hold: float = 3.0
    """Values so many deviations off, on either side, are held back from learning."""
    memory: int = 120
    """Effective number of values remembered: older ones fade."""
    idle: float | None = None
    """A value that stands for "there was nothing to measure": neither judged nor learned."""
    grace: int = 2
    adapt_after: int = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_above(0, "pivot", "floor", "prior", "allowance", "threshold", "hold")
        self._check_above(self.allowance, "clip")
        self._check_above(1, "memory")

    def build(self) -> Shift:
        """Return a detector that knows nothing yet."""
        return Shift(self)


class Shift(Patient[float]):
    """See the module; state is [weight, mean, squares, sum, jumps, values]."""

    def __init__(self, parameters: ShiftParameters) -> None:
        super().__init__(parameters.adapt_after)
        self._parameters = parameters
        self._keeps = 1 - 1 / parameters.memory
        self._weight = self._mean = self._squares = self._sum = self._jumps = self._values = 0.0
        self._off: tuple[float, float] | None = None
        """The value looked at last, and its deviation: while nothing was learned since, it holds."""
        self.size_max = 80 + 9 * parameters.adapt_after

    def learn_one(self, x: float, *, suspect: bool = False, at: int | None = None) -> bool:
        """Add the deviation of `x` to the sum, and learn `x` unless it is held back.

        A suspect value adds nothing: then the sum runs off, so that it begins low when the trouble is over.
        """
        if bounded(x) == self._parameters.idle:
            self._run_off()
            self._last = None
            return False
        score = self.score_one(x, at=at)
        if suspect:
            self._run_off()
        else:
            # A little above the threshold is enough to stay flagged, and soon run off.
            self._sum = min(score.value, self._parameters.threshold + self._parameters.clip) if score.value > 0 else 0.0
            if not self._is_new:
                self._values = self._values * self._keeps + 1
                self._jumps = self._jumps * self._keeps + (self.deviation(x) > JUMP)
        return super().learn_one(x, suspect=suspect, at=at)

    def deviation(self, x: float) -> float:
        """Return how many deviations `x` is off in the direction that is bad, as the normal distribution counts them.

        0 for what cannot be judged.
        """
        # It is asked for three times per value: to judge, for the evidence, and to learn.
        if self._off is None or self._off[0] != x:
            self._off = (x, self._deviation(bounded(x)))
        return self._off[1]

    def _deviation(self, x: float) -> float:
        parameters = self._parameters
        if self._is_new or x == parameters.idle:
            return 0.0
        freedom = max(self._weight + parameters.prior - 1, FREEDOM_MIN)
        off = (self._scaled(x) - self._mean) / self._spread()
        if parameters.direction == "both":
            off = abs(off)
        elif parameters.direction == "down":
            off = -off
        # Of Student's t the deviance, which of a normal distribution is the squared deviation.
        size = min(sqrt(freedom * log1p(min(off * off, 1e60) / freedom)), DEVIATION_MAX)
        return size if off > 0 else -size

    def evidence(self, x: float) -> float:
        """Return the logarithm of how many times likelier `x` is after a shift than without; 0 for no judgement."""
        if self._is_new or x == self._parameters.idle:
            return 0.0
        return evidence_of(self.deviation(x), (self._jumps + JUMPS_PRIOR) / (self._values + VALUES_PRIOR))

    def usual(self, x: float, *, at: int | None = None) -> Usual:
        """Return the mean, and what is held back on the side of `x`; neither while warming up."""
        parameters = self._parameters
        y = bounded(x)
        if self._is_new:
            return Usual()
        up = parameters.direction == "up" or (parameters.direction == "both" and self._scaled(y) >= self._mean)
        reach = parameters.hold * self._spread()
        limit = self._unscaled(self._mean + (reach if up else -reach))
        return Usual(self._unscaled(self._mean), limit)

    def explain(self, x: float, *, at: int | None = None) -> str:
        """Return how `x` compares with what is usual."""
        return compared(x, self.usual(x, at=at))

    def _judge(self, x: float, at: int | None) -> tuple[Score, bool]:
        parameters = self._parameters
        if self._is_new or x == parameters.idle:
            return Score(0.0, 1.0, flagged=False, strength=0.0), False
        off = self.deviation(x)
        total = self._sum + max(-parameters.allowance, min(off, parameters.clip)) - parameters.allowance
        value = max(total, 0.0)
        # What is flagged is off itself: the sum alone would flag the first values after a shift too.
        flagged = value > parameters.threshold and off > parameters.allowance
        p_value = 0.5 * erfc(off / SQRT_2)
        if parameters.direction == "both":
            p_value *= 2
        return Score(value, min(p_value, 1.0), flagged=flagged, strength=value / parameters.threshold), abs(
            off
        ) > parameters.hold

    def _learn(self, x: float) -> None:
        self._off = None
        y = self._scaled(x)
        before = y - self._mean
        self._weight = self._weight * self._keeps + 1
        self._mean += before / self._weight
        self._squares = self._squares * self._keeps + before * (y - self._mean)

    def _forget(self) -> None:
        self._weight = self._mean = self._squares = self._sum = 0.0
        self._off = None

    def _bounded(self, x: float) -> float:
        return bounded(x)

    def _encode(self) -> list[Any]:
        return [self._weight, self._mean, self._squares, self._sum, self._jumps, self._values]

    def _decode(self, state: Sequence[Any]) -> None:
        self._weight, self._mean, self._squares, self._sum, self._jumps, self._values = state
        self._off = None

    @property
    def _is_new(self) -> bool:
        # The weight of so many values is a little less than their number, for older ones fade.
        return self._weight < self._parameters.grace - 0.5

    def _run_off(self) -> None:
        self._sum = max(0.0, self._sum - self._parameters.allowance)

    def _spread(self) -> float:
        """Return the deviation of a new value: that of the learned ones with the prior, and of their mean."""
        parameters = self._parameters
        variance = (self._squares + parameters.prior * parameters.floor**2) / (self._weight + parameters.prior)
        return max(sqrt(variance), parameters.floor) * sqrt(1 + 1 / max(self._weight, 1.0))

    def _scaled(self, x: float) -> float:
        return x if self._parameters.scale == "linear" else log1p(max(x, 0.0) / self._parameters.pivot)

    def _unscaled(self, y: float) -> float:
        return y if self._parameters.scale == "linear" else expm1(max(y, 0.0)) * self._parameters.pivot


def evidence_of(deviation: float, jumps: float) -> float:
    """Return the logarithm of the likelihood ratio of a deviation between a shifted value and a normal one.

    Args:
        deviation: In the direction that is bad.
        jumps: Share of normal values that jump.
    """
    off = max(-3.0, min(deviation, TAIL))
    near = exp(-0.5 * (off / WIDTH) ** 2) / (WIDTH * SQRT_TAU)
    usual = (1 - jumps) * near + (jumps / TAIL if off > 0 else 0.0) + 1e-4
    about = exp(-0.5 * ((off - SHIFT) / WIDTH) ** 2) / (WIDTH * SQRT_TAU)
    shifted = 0.5 * about + ((0.5 - UNMOVED) * 2 / TAIL if off > 1 else 0.0) + UNMOVED * near
    return log(shifted / usual)
