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
from math import erfc, exp, expm1, isfinite, log, log1p, sqrt
from typing import Any, Literal

from detectors.base import Score, Usual
from detectors.patience import FARTHEST, WARMING_UP, Direction, Patient, PatientParameters, bounded
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
    """See the module; state is [weight, mean, squares, sum, jumps, values].

    A fleet has many series, and each is judged every minute: so judging and learning are written in one piece each.
    """

    def __init__(self, parameters: ShiftParameters) -> None:
        super().__init__(parameters.adapt_after)
        self._parameters = parameters
        self._keeps = 1 - 1 / parameters.memory
        # The weight of so many values is a little less than their number, for older ones fade.
        self._least = parameters.grace - 0.5
        self._weight = self._mean = self._squares = self._sum = self._jumps = self._values = 0.0
        self._seen: tuple[float, float, Score] | None = None
        """The value looked at last, its deviation and score: while nothing was learned since, they hold."""
        self.size_max = 80 + 9 * parameters.adapt_after

    def score_one(self, x: float, *, at: int | None = None) -> Score:
        """Judge `x`: `value` is the sum of deviations with its own. Raises ValueError when it is not finite."""
        return self._look(x)[2]

    def learn_one(self, x: float, *, suspect: bool = False, at: int | None = None) -> bool:
        """Add the deviation of `x` to the sum, and learn `x` unless it is held back.

        A suspect value adds nothing: then the sum runs off, so that it begins low when the trouble is over.
        """
        parameters = self._parameters
        _, off, score = self._look(x)
        self._seen = None
        if suspect or x == parameters.idle:
            self._sum = max(0.0, self._sum - parameters.allowance)
        else:
            # A little above the threshold is enough to stay flagged, and soon run off.
            self._sum = min(score.value, parameters.threshold + parameters.clip)
            if self._weight >= self._least:
                self._values = self._values * self._keeps + 1
                self._jumps = self._jumps * self._keeps + (off > JUMP)
        if x == parameters.idle:
            return False
        if suspect or abs(off) > parameters.hold:
            return super().learn_one(x, suspect=True, at=at)
        if self._count:
            self._count -= 1
            del self._held[: max(0, len(self._held) - self._count)]
        self._learn(x)
        return False

    def deviation(self, x: float) -> float:
        """Return how many deviations `x` is off in the direction that is bad, as the normal distribution counts them.

        0 for what cannot be judged.
        """
        return self._look(x)[1]

    def evidence(self, x: float) -> float:
        """Return the logarithm of how many times likelier `x` is after a shift than without; 0 for no judgement."""
        if self._weight < self._least or x == self._parameters.idle:
            return 0.0
        return evidence_of(self._look(x)[1], (self._jumps + JUMPS_PRIOR) / (self._values + VALUES_PRIOR))

    def usual(self, x: float, *, at: int | None = None) -> Usual:
        """Return the mean, and what is held back on the side of `x`; neither while warming up."""
        parameters = self._parameters
        y = bounded(x)
        if self._weight < self._least:
            return Usual()
        up = parameters.direction == "up" or (parameters.direction == "both" and self._scaled(y) >= self._mean)
        reach = parameters.hold * self._spread()
        limit = self._unscaled(self._mean + (reach if up else -reach))
        return Usual(self._unscaled(self._mean), limit)

    def explain(self, x: float, *, at: int | None = None) -> str:
        """Return how `x` compares with what is usual."""
        return compared(x, self.usual(x, at=at))

    def _look(self, x: float) -> tuple[float, float, Score]:
        seen = self._seen
        if seen is not None and seen[0] == x:
            return seen
        if not isfinite(x):
            raise ValueError(f"{x} is not a finite number")
        parameters = self._parameters
        if self._weight < self._least or x == parameters.idle:
            seen = self._seen = (x, 0.0, WARMING_UP)
            return seen
        off = (self._scaled(x) - self._mean) / self._spread()
        if parameters.direction == "both":
            off = abs(off)
        elif parameters.direction == "down":
            off = -off
        # Of Student's t the deviance, which of a normal distribution is the squared deviation.
        freedom = max(self._weight + parameters.prior - 1, FREEDOM_MIN)
        size = min(sqrt(freedom * log1p(min(off * off, 1e60) / freedom)), DEVIATION_MAX)
        off = size if off > 0 else -size
        allowance = parameters.allowance
        value = max(self._sum + max(-allowance, min(off, parameters.clip)) - allowance, 0.0)
        # What is flagged is off itself: the sum alone would flag the first values after a shift too.
        flagged = value > parameters.threshold and off > allowance
        p_value = (1.0 if parameters.direction == "both" else 0.5) * erfc(off / SQRT_2)
        seen = self._seen = (x, off, Score(value, min(p_value, 1.0), flagged, value / parameters.threshold))
        return seen

    def _judge(self, x: float, at: int | None) -> tuple[Score, bool]:
        _, off, score = self._look(x)
        return score, abs(off) > self._parameters.hold

    def _learn(self, x: float) -> None:
        y = self._scaled(x)
        before = y - self._mean
        self._weight = self._weight * self._keeps + 1
        self._mean += before / self._weight
        self._squares = self._squares * self._keeps + before * (y - self._mean)
        self._seen = None

    def _forget(self) -> None:
        self._weight = self._mean = self._squares = self._sum = 0.0
        self._seen = None

    def _bounded(self, x: float) -> float:
        return bounded(x)

    def _encode(self) -> list[Any]:
        return [self._weight, self._mean, self._squares, self._sum, self._jumps, self._values]

    def _decode(self, state: Sequence[Any]) -> None:
        self._weight, self._mean, self._squares, self._sum, self._jumps, self._values = state
        self._seen = None

    def _spread(self) -> float:
        """Return the deviation of a new value: that of the learned ones with the prior, and of their mean."""
        parameters = self._parameters
        variance = (self._squares + parameters.prior * parameters.floor**2) / (self._weight + parameters.prior)
        return max(sqrt(variance), parameters.floor) * sqrt(1 + 1 / max(self._weight, 1.0))

    def _scaled(self, x: float) -> float:
        parameters, near = self._parameters, max(-FARTHEST, min(FARTHEST, x))
        return near if parameters.scale == "linear" else log1p(max(near, 0.0) / parameters.pivot)

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
