"""LODA: how rare a value is in many histograms, each of a random mixture of few features.

River's `LODA` (Pevný 2016, doi:10.1007/s10994-015-5521-0), small. The mixtures are drawn once, from the seed alone; the
bins are state. Where River gives a value outside all bins one floor of density, here one value in n + 1 is spread over
the gap, or as far as the value lies beyond the last bin: it counts the more the further off it is. Histograms fade:
once `memory` values are in, all counts are halved.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import asinh, log
from typing import Any

from detectors.vector import Panel, PanelParameters


class LodaParameters(PanelParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Loda`; `build` makes it."""

    cuts: int = 20
    """Random mixtures, each with a histogram."""
    bins: int = 10
    memory: int = 1000
    """Values after which the counts are halved."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cuts < 1 or self.bins < 2:
            raise ValueError(f"cuts {self.cuts} must be at least 1, bins {self.bins} at least 2")
        if self.memory < self.grace:
            raise ValueError(f"memory {self.memory} must not be below grace {self.grace}")

    def build(self) -> Loda:
        """Return a detector that knows nothing yet."""
        return Loda(self)


class Loda(Panel):
    """See the module; its model is a list for each histogram: [values, left, right, count, left, right, count, …]."""

    def __init__(self, parameters: LodaParameters) -> None:
        from river.anomaly import LODA
        from river.sketch.histogram import Bin

        super().__init__(parameters, model_size=5 + parameters.cuts * (14 + 27 * parameters.bins))
        self._bin: Any = Bin
        self._memory = parameters.memory
        self._loda: Any = LODA(n_bins=parameters.bins, n_random_cuts=parameters.cuts, seed=parameters.seed)
        self._names = [f"{number:04}" for number in range(len(self.features))]
        self._loda._initialize(dict.fromkeys(self._names, 0.0))  # draws the mixtures

    def _raw(self, x: Sequence[float]) -> float:
        y, total = self._squeezed(x), 0.0
        for projection, histogram in zip(self._loda.projections_, self._loda.histograms_, strict=True):
            if histogram.n:
                z = self._loda._project(projection, y)
                total -= log(self._loda._density(histogram, z) or _rarity(histogram, z))
        return total / len(self._loda.projections_)

    def _teach(self, x: Sequence[float]) -> None:
        self._loda.learn_one(self._squeezed(x))
        for histogram in self._loda.histograms_:
            if histogram.n >= self._memory:
                histogram.n /= 2
                for each in histogram.data:
                    each.count /= 2

    def _clear(self) -> None:
        for histogram in self._loda.histograms_:
            histogram.n = 0
            histogram.data.clear()

    def _model(self) -> list[Any]:
        return [
            [histogram.n, *(y for each in histogram.data for y in (each.left, each.right, each.count))]
            for histogram in self._loda.histograms_
        ]

    def _restore(self, state: Sequence[Any]) -> None:
        for histogram, (count, *flat) in zip(self._loda.histograms_, state, strict=True):
            histogram.n = count
            histogram.data = [self._bin(*flat[place : place + 3]) for place in range(0, len(flat), 3)]

    def _squeezed(self, x: Sequence[float]) -> dict[str, float]:
        # Linear near the median, logarithmic far off: one wild value would stretch a histogram to two bins.
        return {name: asinh(y / 4) * 4 for name, y in zip(self._names, x, strict=True)}


def _rarity(histogram: Any, z: float) -> float:
    """Return the density of `z` outside all bins: a chance of one in n + 1, spread over the gap that `z` fell in."""
    bins = histogram.data
    if z < bins[0].left:
        gap = bins[0].left - z
    elif z > bins[-1].right:
        gap = z - bins[-1].right
    else:
        right = next(number for number, each in enumerate(bins) if z < each.left)
        gap = bins[right].left - bins[right - 1].right
    return 1.0 / float((histogram.n + 1) * max(gap, 1e-9))
