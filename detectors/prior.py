"""A detector that starts with what is known of its peers: other series of the same kind.

A new service, lane or product has no history, but its peers have: how far apart their levels lie, and how much each
scatters. That is a prior of nearly normal-inverse-gamma form, and the next value follows Student's t law (Murphy 2007,
"Conjugate Bayesian analysis of the Gaussian distribution"). It judges from the first value on; each value counts
more against the peers, and after a few dozen they hardly matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, exp, expm1, log, log1p, sqrt
from statistics import fmean, median, variance
from typing import Any

import msgspec

from detectors.base import Usual
from detectors.patience import SQRT_2, Deviating, Normal, SeriesParameters
from detectors.scales import Kind, Scale

LEVEL_WEIGHT_MAX, SPREAD_WEIGHT_MAX = 10.0, 50.0
"""Values that the peers count for at most: more alike than that, they look by chance."""


class Known(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one series, on the scale of its detector."""

    values: float
    mean: float
    variance: float


class Belief(msgspec.Struct, frozen=True, array_like=True):
    """What peers let expect of a new series."""

    mean: float
    mean_weight: float
    """Values that this counts for."""
    variance: float
    variance_weight: float
    """Values that this counts for."""


def belief(peers: Sequence[Known]) -> Belief | None:
    """Return what `peers` let expect, or None when fewer than three of them say anything.

    The level counts the less the further apart theirs are; the spread counts the less the more theirs differ beyond
    what so few values each make it differ.
    """
    told = [peer for peer in peers if peer.values >= 5 and peer.variance > 0]
    if len(told) < 3:
        return None
    within, between = median(peer.variance for peer in told), variance([peer.mean for peer in told])
    mean_weight = min(LEVEL_WEIGHT_MAX, within / between) if between > 0 else LEVEL_WEIGHT_MAX
    # The logarithm of a variance of n + 1 values has itself a variance of about 2 / n.
    excess = variance([log(peer.variance) for peer in told]) - fmean(2 / (peer.values - 1) for peer in told)
    variance_weight = min(SPREAD_WEIGHT_MAX, 2 / excess) if excess > 0 else SPREAD_WEIGHT_MAX
    return Belief(fmean(peer.mean for peer in told), mean_weight, within, max(1.0, variance_weight))


class PriorParameters(SeriesParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Prior`; `build` makes it."""

    scale: Kind = "linear"
    """`log` for positive, heavy-tailed metrics: then levels and spreads of peers compare as factors."""
    pivot: float = 1.0
    """Of the log scale: log(1 + |x| / pivot)."""
    memory: int = 1440
    """Effective number of values remembered: older ones fade."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_above(0, "pivot")
        if not self.adapt_after <= self.memory:
            raise ValueError(f"adapt_after {self.adapt_after} ≤ memory {self.memory} must hold")

    def build(self) -> Prior:
        """Return a detector that knows nothing yet."""
        return Prior(self)


class Prior(Deviating):
    """See the module; state is [belief, values, mean, sum of squared deviations]. Without a belief it warms up."""

    def __init__(self, parameters: PriorParameters) -> None:
        super().__init__(parameters)
        self._given = parameters
        self._scale = Scale(parameters.scale, parameters.pivot)
        self._belief: Belief | None = None
        self.size_max = 96 + 9 * parameters.adapt_after
        self._forget()

    def begin(self, known: Belief | None) -> None:
        """Begin anew with what peers let expect, which is part of the state from now on."""
        self.decode([[], 0, None if known is None else list(msgspec.structs.astuple(known)), 0.0, 0.0, 0.0])

    def known(self) -> Known:
        """Return what this series can tell its peers."""
        return Known(self._values, self._mean, self._squares / max(1.0, self._values - 1))

    def usual(self, x: float, *, at: int | None = None) -> Usual:
        """Return the expected value, and the limit on the side of `x`; neither while warming up."""
        usual = super().usual(x, at=at)
        if usual.expected is None or usual.limit is None:
            return usual
        return Usual(self._scale.back(usual.expected), self._scale.back(usual.limit))

    def _forget(self) -> None:
        self._values, self._mean, self._squares = 0.0, 0.0, 0.0

    def _learn(self, x: float) -> None:
        self._values += 1
        before = x - self._mean
        self._mean += before / self._values
        self._squares += before * (x - self._mean)
        memory = float(self._given.memory)
        if self._values > memory:
            self._squares *= memory / self._values
            self._values = memory

    def _normal(self) -> Normal | None:
        if self._belief is None:
            if self._values < self._given.grace:
                return None
            mean, degrees = self._mean, self._values - 1
            deviation = sqrt(self._squares / degrees * (1 + 1 / self._values))
        else:
            mean, degrees, deviation = self._posterior(self._belief)
        return Normal(mean, deviation, _student(self._given.threshold, degrees))

    def _posterior(self, known: Belief) -> tuple[float, float, float]:
        """Return the mean, the degrees of freedom and the scale of Student's law of the next value."""
        weight, degrees = known.mean_weight + self._values, known.variance_weight + self._values
        mean = (known.mean_weight * known.mean + self._values * self._mean) / weight
        # Level and spread are taken as independent: a level unlike that of its peers says nothing of the spread.
        squares = known.variance_weight * known.variance + self._squares
        return mean, degrees, sqrt(squares / degrees * (1 + 1 / weight))

    def _p_value(self, off: float) -> float:
        if self._belief is None:
            degrees = max(1.0, self._values - 1)
        else:
            degrees = self._belief.variance_weight + self._values
        return 0.5 * erfc(_normal_of(off, degrees) / SQRT_2)

    def _encode(self) -> list[Any]:
        known = None if self._belief is None else list(msgspec.structs.astuple(self._belief))
        return [known, self._values, self._mean, self._squares]

    def _decode(self, state: Sequence[Any]) -> None:
        known, self._values, self._mean, self._squares = state
        self._belief = None if known is None else Belief(*known)

    def _bounded(self, x: float) -> float:
        return self._scale.to(super()._bounded(x))


def _factor(degrees: float) -> float:
    return (8 * degrees + 1) / (8 * degrees + 3)


def _normal_of(t: float, degrees: float) -> float:
    """Return the normal deviate that is as rare as `t` under Student's law (Wallace 1959); `t` is 0 or more."""
    return _factor(degrees) * sqrt(degrees * log1p(t * t / degrees))


def _student(z: float, degrees: float) -> float:
    """Return what `_normal_of` makes `z` of: with few degrees of freedom it is far more."""
    exponent = (z / _factor(degrees)) ** 2 / degrees
    return sqrt(degrees * expm1(exponent)) if exponent < 600 else sqrt(degrees) * exp(300)
