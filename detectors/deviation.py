"""Standard absolute deviation: how many deviations a value is from the mean, or the median, of all that was normal.

River's `StandardAbsoluteDeviation` (Hochenbaum, Vallis and Kejariwal 2017, arXiv:1704.07706), with fading memory. With
the median it suits a metric that is often at one level and sometimes far above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from detectors.patience import Deviating, Normal, SeriesParameters


class DeviationParameters(SeriesParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Deviation`; `build` makes it."""

    centre: Literal["mean", "median"] = "mean"
    """What deviations are counted from. The median is the P² estimate (Jain and Chlamtac 1985), which does not fade."""
    memory: int = 1440
    """Effective number of values remembered by mean and deviation: older ones fade."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.adapt_after <= self.memory:
            raise ValueError(f"adapt_after {self.adapt_after} ≤ memory {self.memory} must hold")

    def build(self) -> Deviation:
        """Return a detector that knows nothing yet."""
        return Deviation(self)


class Deviation(Deviating):
    """See the module; state is [weight, mean, sum of squared deviations, state of the median]."""

    def __init__(self, parameters: DeviationParameters) -> None:
        super().__init__(parameters)
        self._parameters = parameters
        self.size_max = 300 + 9 * parameters.adapt_after
        self._forget()

    def _forget(self) -> None:
        # Here, not above: importing River takes a second, and only the workers that judge need it.
        from river import stats
        from river.anomaly import StandardAbsoluteDeviation

        centre = stats.Quantile(0.5) if self._parameters.centre == "median" else stats.Mean()
        self._scorer: Any = StandardAbsoluteDeviation(centre)  # Any: the types of its parts are too wide

    def _encode(self) -> list[Any]:
        variance, centre = self._scorer.variance, self._scorer.sub_stat
        quantile = centre._quantile.__getstate__() if self._parameters.centre == "median" else b""
        return [variance.mean.n, variance.mean._mean, variance._S, quantile]

    def _decode(self, state: Sequence[Any]) -> None:
        variance, centre = self._scorer.variance, self._scorer.sub_stat
        variance.mean.n, variance.mean._mean, variance._S, quantile = state
        if quantile:
            centre._quantile.__setstate__(quantile)
            centre._is_updated = variance.mean.n > 0
        else:
            centre.n, centre._mean = variance.mean.n, variance.mean._mean

    def _normal(self) -> Normal | None:
        variance = self._scorer.variance
        if variance.mean.n < self._parameters.grace:
            return None
        deviation = (variance.get() * (1 + 1 / variance.mean.n)) ** 0.5
        return Normal(self._scorer.sub_stat.get(), deviation, self._parameters.threshold)

    def _learn(self, x: float) -> None:
        self._scorer.learn_one(None, x)
        variance, memory = self._scorer.variance, float(self._parameters.memory)
        if variance.mean.n > memory:
            variance._S *= memory / variance.mean.n
            variance.mean.n = memory
            if self._parameters.centre == "mean":
                self._scorer.sub_stat.n = memory
