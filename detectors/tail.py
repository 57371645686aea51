"""Scores to p-values that hold: the empirical tail of past scores, corrected for their autocorrelation.

A score is ranked among the latest `window` scores of normal values, which gives a conformal p-value (Vovk, Gammerman
and Shafer 2005). Two things are added. Scores that follow each other resemble each other, so that n of them say no more
than n / τ independent ones; τ is the integrated autocorrelation time of their ranks (initial positive sequence, Geyer
1992), and the p-value is that of so many scores. And where the ranks end, beyond the highest tenth, a generalised
Pareto tail goes on (Pickands 1975), its shape by probability-weighted moments (Hosking and Wallis 1987), never lighter
than exponential, and heavier by what an estimate from so few exceedances may err.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from math import inf
from typing import Any

import msgspec

TAIL = 0.1
"""Share of the scores that counts as their tail."""
CARE = 0.25
"""Standard errors by which a shape is taken heavier than estimated: half of all estimates are too light, and a tail
that is too light finds what is not there. With 0.25 no law of the table in docs/detectors.md exceeds 0.001 by twice."""
SHAPE_MAX = 1.0
"""Shapes above have no mean; estimates from few exceedances may go there by chance."""


class TailParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Tail`."""

    window: int = 300
    """Scores remembered."""
    least: int = 60
    """Scores without which nothing is said: p-values are 1."""
    refresh: int = 32
    """The fit of the tail is renewed after so many scores: each time costs about 0.1 ms."""

    def __post_init__(self) -> None:
        if not 20 <= self.least <= self.window:
            raise ValueError(f"20 ≤ least {self.least} ≤ window {self.window} must hold")
        if self.refresh < 1:
            raise ValueError(f"refresh is {self.refresh}, must be at least 1")


class Tail:
    """The latest scores; state is [scores by age, scores since the fit, τ, threshold, its p-value, scale, shape]."""

    def __init__(self, parameters: TailParameters) -> None:
        self._parameters = parameters
        self.size_max = 64 + 9 * parameters.window
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._scores: list[float] = []
        self._sorted: list[float] = []
        self._since = 0
        self._tau, self._threshold, self._p_threshold, self._scale, self._shape = 1.0, inf, 1.0, 0.0, 0.0

    @property
    def ready(self) -> bool:
        """Whether enough scores are known."""
        return len(self._scores) >= self._parameters.least

    @property
    def tau(self) -> float:
        """How many scores say as much as one independent one."""
        return self._tau

    @property
    def median(self) -> float:
        """The score that half of them exceed."""
        return self._sorted[len(self._sorted) // 2]

    def p_value(self, score: float) -> float:
        """Return the chance of a score at least as high while nothing is wrong; 1 until enough are known."""
        if not self.ready:
            return 1.0
        if score <= self._threshold:
            count = len(self._sorted) - bisect_left(self._sorted, score)
            return max(self._ranked(count), self._p_threshold)
        if self._scale <= 0:
            return self._ranked(0)
        beyond: float = (1 + self._shape * (score - self._threshold) / self._scale) ** (-1 / self._shape)
        # Counts know what a smooth law does not: that many scores may be equal.
        count = len(self._sorted) - bisect_left(self._sorted, score)
        return max(self._p_threshold * beyond, count / len(self._sorted))

    def limit(self, p_value: float) -> float:
        """Return the score beyond which p-values are below `p_value`; infinite when none can be."""
        if not self.ready or (self._scale <= 0 and p_value <= self._ranked(0)):
            return inf
        if p_value >= self._p_threshold or self._scale <= 0:
            known = len(self._sorted)
            count = int(max(0.0, p_value * (known + self._tau) - self._tau))
            return self._sorted[max(0, known - 1 - count)]
        reach: float = (p_value / self._p_threshold) ** -self._shape - 1
        return self._threshold + self._scale / self._shape * reach

    def learn(self, score: float) -> None:
        """Take the score of a normal value into account."""
        self._scores.append(score)
        insort(self._sorted, score)
        if len(self._scores) > self._parameters.window:
            del self._sorted[bisect_left(self._sorted, self._scores.pop(0))]
        self._since += 1
        if self.ready and (self._threshold == inf or self._since >= self._parameters.refresh):
            self._fit()

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        fit = [self._tau, self._threshold, self._p_threshold, self._scale, self._shape]
        return [list(self._scores), self._since, *fit]

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        scores, self._since, self._tau, self._threshold, self._p_threshold, self._scale, self._shape = state
        self._scores, self._sorted = list(scores), sorted(scores)

    def _ranked(self, count: int) -> float:
        """Return the p-value of a score that `count` of the known ones reach."""
        return (count + self._tau) / (len(self._sorted) + self._tau)

    def _fit(self) -> None:
        self._since = 0
        known = len(self._sorted)
        self._tau = correlation_time(self._scores)
        beyond = max(10, round(TAIL * known))
        self._threshold = self._sorted[known - beyond - 1]
        excesses = [score - self._threshold for score in self._sorted[known - beyond :]]
        self._p_threshold = self._ranked(beyond)
        self._scale, shape = pareto(excesses)
        self._shape = min(SHAPE_MAX, shape + CARE * (self._tau / beyond) ** 0.5)


def pareto(excesses: list[float]) -> tuple[float, float]:
    """Return scale and shape of the generalised Pareto law of `excesses`, which ascend; scale 0 where all are 0."""
    count = len(excesses)
    mean = sum(excesses) / count
    weighted = sum(x * (1 - (rank - 0.35) / count) for rank, x in enumerate(excesses, 1)) / count
    if mean <= 0:
        return 0.0, 0.0
    if mean <= 2 * weighted:
        return mean, 0.0
    shape = 2 - mean / (mean - 2 * weighted)
    # With a shape below 0 the law ends somewhere; an exponential one of the same mean does not.
    return (mean, 0.0) if shape <= 0 else (mean * (1 - shape), shape)


def correlation_time(scores: list[float]) -> float:
    """Return the integrated autocorrelation time of the ranks of `scores`, 1 or more.

    In whole numbers, so that it is the same to the last digit on every machine.
    """
    import numpy as np

    count = len(scores)
    order = sorted(range(count), key=scores.__getitem__)
    ranks = np.empty(count, dtype=np.int64)
    start = 0
    while start < count:  # ties share their mean rank, doubled: a sum of first and last
        end = start
        while end + 1 < count and scores[order[end + 1]] == scores[order[start]]:
            end += 1
        for place in order[start : end + 1]:
            ranks[place] = start + end - (count - 1)
        start = end + 1
    covariances = np.correlate(ranks, ranks, mode="full")[count - 1 :].tolist()
    if covariances[0] == 0:
        return 1.0
    total, lag = 0.0, 1
    while lag + 1 <= count // 3:
        # The mean of few correlated ranks follows them, which takes about 1 / n off each correlation.
        pair = (covariances[lag] + covariances[lag + 1]) / covariances[0] + 2 * (1 + 2 * total) / count
        if pair <= 2 / count**0.5 * 0.5:
            break
        total += pair
        lag += 2
    return max(1.0, 1 + 2 * total)
