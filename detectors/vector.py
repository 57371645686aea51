"""What detectors of several numbers share: scale each number, judge all, name those that count.

The first `grace` values fix the scale of each feature: its median, and the spread of its middle half, widened to
deviations of a normal law. A model of the features so scaled gives a score, its tail (`detectors.tail`) a p-value. How
much a feature contributes is what the score loses when only that feature is put back to its median.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import inf
from typing import Any

from detectors.base import Score, Usual
from detectors.patience import WARMING_UP, Patient, PatientParameters, bounded
from detectors.tail import Tail, TailParameters
from detectors.words import compared, largest

QUARTILES = 1.349
"""Deviations of a normal law between its quartiles."""
LARGE = 1e6
"""A scaled feature further off counts as so far off."""


class PanelParameters(PatientParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the parameters of every detector of several numbers have."""

    features: tuple[str, ...]
    """Names of the numbers, in the order in which they are given."""
    grace: int = 60
    adapt_after: int = 120
    p_max: float = 1e-3
    """A value is flagged when a score as high as its own has a smaller chance than this."""
    tail: TailParameters = TailParameters(window=240, least=60)
    """What is remembered of scores."""
    seed: int = 1
    """Of the chance in the model."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.features or len(set(self.features)) != len(self.features):
            raise ValueError("features must be named, each once")
        if not 0 < self.p_max < 1:
            raise ValueError(f"p_max is {self.p_max}, must be between 0 and 1")


class Panel(Patient[Sequence[float]]):
    """A detector of several numbers; its state is [rows before the scale is fixed, medians, spreads, tail, model …]."""

    def __init__(self, parameters: PanelParameters, model_size: int) -> None:
        super().__init__(parameters.adapt_after, keep=parameters.grace)
        self.features = parameters.features
        self._grace, self._p_max = parameters.grace, parameters.p_max
        self._tail = Tail(parameters.tail)
        rows = 5 + 9 * len(self.features)
        self.size_max = 64 + (2 * parameters.grace + 2) * rows + self._tail.size_max + model_size
        self._rows: list[list[float]] = []
        self._medians: list[float] = []
        self._spreads: list[float] = []

    @abstractmethod
    def _raw(self, x: Sequence[float]) -> float:
        """Return how unusual the scaled `x` is: any measure that grows."""

    @abstractmethod
    def _teach(self, x: Sequence[float]) -> None:
        """Let the model learn the scaled `x`."""

    @abstractmethod
    def _clear(self) -> None:
        """Let the model begin anew."""

    @abstractmethod
    def _model(self) -> list[Any]:
        """Return the state of the model as built-in values."""

    @abstractmethod
    def _restore(self, state: Sequence[Any]) -> None:
        """Let the model go on from what `_model` returned."""

    def contributions(self, x: Sequence[float], *, at: int | None = None) -> list[tuple[str, float]]:
        """Return how much each feature adds to the score of `x`, the largest first."""
        if not self._medians:
            return [(name, 0.0) for name in sorted(self.features)]
        scaled = self._scaled(self._bounded(x))
        whole, shares = self._raw(scaled), []
        for number, name in enumerate(self.features):
            rest = [*scaled]
            rest[number] = 0.0
            # Scores of trees and histograms come in steps: between features on the same one, distance decides.
            step = 1e-9 * abs(scaled[number]) / LARGE
            shares.append((name, max(0.0, whole - self._raw(rest)) + step))
        return sorted(shares, key=lambda share: (-share[1], share[0]))

    def usual(self, x: Sequence[float], *, at: int | None = None) -> Usual:
        """Return median and, six deviations off, the rough limit of the feature that contributes most."""
        y = self._bounded(x)
        if not self._tail.ready:
            return Usual()
        number = self.features.index(self.contributions(x, at=at)[0][0])
        median = self._medians[number]
        side = 1 if y[number] >= median else -1
        return Usual(median, median + side * 6 * self._spreads[number])

    def explain(self, x: Sequence[float], *, at: int | None = None) -> str:
        """Return which features make `x` unusual, and how the first compares with what is usual."""
        usual = self.usual(x, at=at)
        if usual.expected is None:
            return "too new to know what is usual"
        shares = self.contributions(x, at=at)
        first = x[self.features.index(shares[0][0])]
        return f"{largest(shares)}; {shares[0][0]} is {compared(first, usual)}"

    def _judge(self, x: Sequence[float], at: int | None) -> tuple[Score, bool]:
        if not self._tail.ready:
            return WARMING_UP, False
        raw, limit, median = self._raw(self._scaled(x)), self._tail.limit(self._p_max), self._tail.median
        flagged = raw > limit > median
        strength = max(0.0, (raw - median) / (limit - median)) if median < limit < inf else 0.0
        return Score(raw - median, self._tail.p_value(raw), flagged=flagged, strength=strength), flagged

    def _learn(self, x: Sequence[float]) -> None:
        if self._medians:
            self._take(self._scaled(x))
            return
        self._rows.append(list(x))
        if len(self._rows) < self._grace:
            return
        for values in zip(*self._rows, strict=True):
            ordered = sorted(values)
            median = ordered[len(ordered) // 2]
            spread = (ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]) / QUARTILES
            self._medians.append(median)
            self._spreads.append(max(spread, 1e-3 * abs(median), 1e-9))
        rows, self._rows = self._rows, []
        for row in rows:
            self._take(self._scaled(row))

    def _take(self, scaled: Sequence[float]) -> None:
        self._tail.learn(self._raw(scaled))
        self._teach(scaled)

    def _forget(self) -> None:
        self._rows, self._medians, self._spreads = [], [], []
        self._tail.clear()
        self._clear()

    def _encode(self) -> list[Any]:
        rows = [list(row) for row in self._rows]
        return [rows, list(self._medians), list(self._spreads), self._tail.encode(), self._model()]

    def _decode(self, state: Sequence[Any]) -> None:
        rows, medians, spreads, tail, model = state
        self._rows, self._medians, self._spreads = [list(row) for row in rows], list(medians), list(spreads)
        self._tail.decode(tail)
        self._restore(model)

    def _scaled(self, x: Sequence[float]) -> list[float]:
        return [
            max(-LARGE, min(LARGE, (value - median) / spread))
            for value, median, spread in zip(x, self._medians, self._spreads, strict=True)
        ]

    def _bounded(self, x: Sequence[float]) -> list[float]:
        if len(x) != len(self.features):
            raise ValueError(f"{len(x)} numbers given, {len(self.features)} features are named")
        return [bounded(value) for value in x]
