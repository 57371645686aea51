"""Detectors to compare with, none of them for use: what any better one must beat.

Each gives a row a score between 0 and 1 before it takes the row in, as the benchmark's detectors do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, erfc, log, sqrt
from typing import Protocol

import numpy as np


class Baseline(Protocol):
    """Scores the rows of one series, in order."""

    def score_then_learn(self, x: float) -> float:
        """Return how anomalous `x` is, 0 to 1, and take it in."""


class Null:
    """The same score for every row: no information."""

    def score_then_learn(self, x: float) -> float:
        """Return one half."""
        return 0.5


class Metronome:
    """A detection every so many rows, whatever they hold: what the rules of the score give away for nothing."""

    def __init__(self, every: int) -> None:
        self._every, self._rows = every, 0

    def score_then_learn(self, x: float) -> float:
        """Return 1 on every so manieth row, else 0."""
        self._rows += 1
        return float(self._rows % self._every == 0)


class WindowedGaussian:
    """Chance of a value nearer to the mean of a sliding window, one-sided (the benchmark's `windowedGaussian`).

    The window holds 6,400 rows and, when full, moves on by 100 at a time, which is how the published results were made.
    """

    WINDOW = 6400
    STEP = 100
    DIGITS = 12
    """The published scores have no more; the published threshold is 1, which only rounded scores reach in time."""

    def __init__(self) -> None:
        self._window = np.empty(self.WINDOW)
        self._held = 0
        self._next: list[float] = []
        self._mean, self._deviation = 0.0, 1.0

    def score_then_learn(self, x: float) -> float:
        """Return 1 less the tail beyond `x`; 0 for the first row."""
        tail = 0.5 * erfc(abs(x - self._mean) / self._deviation / sqrt(2))
        score = round(1.0 - tail, self.DIGITS) if self._held else 0.0
        if self._held < self.WINDOW:
            self._window[self._held] = x
            self._held += 1
        else:
            self._next.append(x)
            if len(self._next) < self.STEP:
                return score
            self._window = np.concatenate([self._window[self.STEP :], self._next])
            self._next = []
        seen = self._window[: self._held]
        self._mean, self._deviation = float(seen.mean()), float(seen.std()) or 1e-6
        return score


class RelativeEntropy:
    """Wang et al. 2011: is the histogram of the last values like one that was seen before?

    Args:
        low: Least value of the whole series, and
        high: its greatest. Knowing them beforehand is looking ahead; the published results do.
    """

    BINS, WINDOW = 5, 52
    LIMIT = 13.276704135987622
    """The point that chi-squared with 4 degrees of freedom exceeds once in a hundred."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._step = low, (high - low) / self.BINS
        self._recent: deque[float] = deque(maxlen=self.WINDOW)
        self._known: list[list[float]] = []

    def score_then_learn(self, x: float) -> float:
        """Return 1 when no known histogram fits, else 0; the first window is known from the start."""
        self._recent.append(x)
        if self._step == 0 or len(self._recent) < self.WINDOW:
            return 0.0
        # The least value falls into bin 0 and all of the uppermost two into the last: as published.
        counts = [0] * self.BINS
        for value in self._recent:
            counts[min(ceil((value - self._low) / self._step), self.BINS - 1)] += 1
        seen = [count / self.WINDOW for count in counts]
        if any(2 * self.WINDOW * _divergence(seen, known) < self.LIMIT for known in self._known):
            return 0.0
        self._known.append(seen)
        return float(len(self._known) > 1)


def _divergence(p: Sequence[float], q: Sequence[float]) -> float:
    """Return the Kullback-Leibler divergence of `p` from `q`."""
    if any(a > 0 and b == 0 for a, b in zip(p, q, strict=True)):
        return float("inf")
    return sum(a * log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


@dataclass(frozen=True)
class Made:
    """How a baseline is made for a series, and the threshold at which its published detections were made."""

    build: Callable[[Sequence[float]], Baseline]
    """From the whole series, of which only the metronome and the relative entropy use anything."""
    threshold: float


BASELINES = {
    "null": Made(lambda values: Null(), 0.625),
    "metronome": Made(lambda values: Metronome(max(1, len(values) // 20)), 1.0),
    "windowed_gaussian": Made(lambda values: WindowedGaussian(), 1.0),
    "relative_entropy": Made(lambda values: RelativeEntropy(min(values), max(values)), 0.5),
}
