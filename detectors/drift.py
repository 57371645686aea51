"""Drift: whether a feature still has the distribution it was learned with.

Two measures. The population stability index (Lewis 1994) adds up, over bins, how far shares have moved; rules of thumb
take 0.1 for some and 0.25 for much, whatever the number of values, so that small samples drift by chance: 100 values in
20 bins nearly always. Here its threshold is what one sample in a thousand exceeds by chance, for the very numbers of
values and bins, found by drawing. Bins hold equal parts of the reference, so the true share of a bin follows a
Dirichlet law and the counts of another sample a Dirichlet-multinomial one, whatever the distribution of the feature.
The Kolmogorov-Smirnov distance needs no bins; its p-value is that of the limit law (Smirnov 1948).

Values that follow each other are worth fewer: give `worth`, the number of values that say as much as one independent
one (`detectors.tail.correlation_time`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from math import exp, isfinite, log, sqrt
from typing import Any

import msgspec

DRAWS = 20_000
"""Samples drawn to find a threshold: 20 of them lie beyond that of 0.001."""
HALF = 0.5
"""Added to each count: an empty bin would be infinitely far away."""


class Drift(msgspec.Struct, frozen=True):
    """How far a sample lies from the reference."""

    distance: float
    """The index, or the distance between the distribution functions."""
    threshold: float
    """What chance exceeds as rarely as asked for."""
    drifted: bool
    bins: list[tuple[float, float, float]] = []
    """Of the index: lower edge of a bin (minus infinity for the first), what it adds, and the share of the sample in
    it; what adds most comes first."""


class Reference(msgspec.Struct, array_like=True):
    """A feature as it was when it was learned: edges of bins, and the values of the reference in each."""

    edges: list[float]
    counts: list[int]

    @property
    def values(self) -> int:
        """Number of values of the reference."""
        return sum(self.counts)

    def bin(self, x: float) -> int:
        """Return the number of the bin that `x` falls in.

        Raises:
            ValueError: `x` is not finite.
        """
        if not isfinite(x):
            raise ValueError(f"{x} is not a finite number")
        return bisect_left(self.edges, x)


def reference(values: Sequence[float], bins: int = 10) -> Reference:
    """Return the reference that `values` are, in at most `bins` bins of equal parts; fewer where many values are equal.

    Raises:
        ValueError: there are fewer than five values for each bin, or one is not finite.
    """
    if bins < 2 or len(values) < 5 * bins:
        raise ValueError(f"{len(values)} values are too few for {bins} bins: give 5 for each, and at least 2 bins")
    ordered = sorted(values)
    if not all(map(isfinite, ordered)):
        raise ValueError("the reference holds a value that is not a finite number")
    # An edge belongs to the bin below it; the greatest value is no edge, for nothing of the reference lies above.
    edges = sorted({ordered[len(ordered) * number // bins - 1] for number in range(1, bins)} - {ordered[-1]})
    made = Reference(edges, [0] * (len(edges) + 1))
    for x in ordered:
        made.counts[made.bin(x)] += 1
    return made


class Sample:
    """Values of a feature of late, counted in the bins of a reference; state is the counts."""

    def __init__(self, of: Reference) -> None:
        self._reference = of
        self._counts = [0] * len(of.counts)
        self.size_max = 5 + 9 * len(of.counts)
        """Bytes that `encode()` takes as MessagePack, at most."""

    @property
    def values(self) -> int:
        """Number of values counted."""
        return sum(self._counts)

    def add(self, x: float) -> None:
        """Count `x`. Raises ValueError when it is not finite."""
        self._counts[self._reference.bin(x)] += 1

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        return list(self._counts)

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        self._counts = list(state)

    def drift(self, alpha: float = 0.001, worth: float = 1.0) -> Drift:
        """Return the population stability index, held against what chance exceeds with probability `alpha`.

        Raises:
            ValueError: `alpha` or `worth` is out of bounds.
        """
        if not 1 / DRAWS < alpha < 0.5 or worth < 1:
            raise ValueError(f"alpha {alpha} must be from {1 / DRAWS} to 0.5, worth {worth} at least 1")
        known, latest = self._reference.counts, self._counts
        # Values that follow each other are counted as fewer, in the same shares.
        base, sample = round(sum(known) / worth), round(sum(latest) / worth)
        if sample < 1 or base < len(known):
            return Drift(0.0, float("inf"), False)
        parts = _parts([count / worth for count in known], [count / worth for count in latest])
        edges = [float("-inf"), *self._reference.edges]
        shares = [count / max(1, sum(latest)) for count in latest]
        distance, threshold = sum(parts), psi_threshold(base, sample, len(known), alpha)
        bins = sorted(zip(edges, parts, shares, strict=True), key=lambda each: (-each[1], each[0]))
        return Drift(distance, threshold, distance > threshold, bins)


def psi(reference_counts: Sequence[float], counts: Sequence[float]) -> float:
    """Return the population stability index of two counts of the same bins."""
    return sum(_parts(reference_counts, counts))


@lru_cache(maxsize=1024)
def psi_threshold(base: int, sample: int, bins: int, alpha: float) -> float:
    """Return what the index of `sample` values from the distribution of the reference exceeds with chance `alpha`.

    Args:
        base: Values of the reference.
        sample: Values held against it.
        bins: Bins of equal parts of the reference.
        alpha: Chance of a false alarm.
    """
    import numpy as np

    rng = np.random.default_rng([base, sample, bins])
    shares, more = divmod(base, bins)
    counts = np.full(bins, shares) + (np.arange(bins) < more)
    drawn = rng.multinomial(sample, rng.dirichlet(counts, size=DRAWS))
    expected, actual = ((each + HALF) / (each + HALF).sum(axis=-1, keepdims=True) for each in (counts, drawn))
    indices = np.sort(((actual - expected) * np.log(actual / expected)).sum(axis=1))
    # Rounded, for the last digits of a logarithm are not the same on every machine.
    return float(f"{indices[DRAWS - 1 - int(alpha * DRAWS)]:.6g}")


def kolmogorov_smirnov(one: Sequence[float], other: Sequence[float], alpha: float = 0.001, worth: float = 1.0) -> Drift:
    """Return the greatest distance between two samples' distribution functions, held against chance.

    Raises:
        ValueError: a sample is empty, or holds a value that is not finite.
    """
    if not one or not other or not all(map(isfinite, [*one, *other])):
        raise ValueError("both samples must hold values, and finite ones")
    first, second = sorted(one), sorted(other)
    distance, i, j = 0.0, 0, 0
    while i < len(first) and j < len(second):
        x = min(first[i], second[j])
        while i < len(first) and first[i] == x:
            i += 1
        while j < len(second) and second[j] == x:
            j += 1
        distance = max(distance, abs(i / len(first) - j / len(second)))
    size = len(first) * len(second) / (len(first) + len(second)) / max(1.0, worth)
    return Drift(distance, ks_threshold(size, alpha), distance > ks_threshold(size, alpha))


def ks_p_value(distance: float, size: float) -> float:
    """Return the chance of a distance at least as great; `size` is n m / (n + m) of samples of n and m values."""
    scaled = (sqrt(size) + 0.12 + 0.11 / sqrt(size)) * distance  # Stephens 1970: the limit law, for small samples too
    if scaled < 0.3:
        return 1.0
    terms = [exp(-2 * (k * scaled) ** 2) for k in range(1, 40)]
    return min(1.0, max(0.0, 2 * (sum(terms[::2]) - sum(terms[1::2]))))


def ks_threshold(size: float, alpha: float) -> float:
    """Return the distance that chance exceeds with probability `alpha`."""
    low, high = 0.0, 1.0
    if ks_p_value(high, size) > alpha:
        return high  # so few values that no distance is surprising enough
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if ks_p_value(middle, size) > alpha else (low, middle)
    return high


def _parts(known: Sequence[float], latest: Sequence[float]) -> list[float]:
    """Return what each bin adds to the index."""
    total, other = sum(known) + HALF * len(known), sum(latest) + HALF * len(latest)
    parts = []
    for one, two in zip(known, latest, strict=True):
        expected, actual = (one + HALF) / total, (two + HALF) / other
        parts.append((actual - expected) * log(actual / expected))
    return parts
