"""Predictive detection: how far a value is from its forecast, in errors that the forecasts usually have.

River's `PredictiveAnomalyDetection` (Laptev, Amizadeh and Flint 2015, doi:10.1145/2783258.2788611) over Holt-Winters or
SNARIMAX. Values are put on a common scale first, fixed by the first `warmup` of them, since SNARIMAX learns by gradient
steps. A value that is held back is replaced by its forecast: else the season would shift by one. Both forecasters count
values, not hours; where values may be missing, put a seasonal profile (`detectors.seasonal`) around another detector.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from math import sqrt
from typing import Any, Literal

from detectors.patience import Deviating, Normal, SeriesParameters

SQRT_2 = sqrt(2)
WILD = 20.0
"""Deviations: values further from the median while the scale is being fixed count as so far."""
DEVIATIONS_MAD = 1.4826
"""Deviations of a normal law in its median absolute deviation."""


class PredictiveParameters(SeriesParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Predictive`; `build` makes it.

    Values are flagged where River's detector would give 1 with n_std = (threshold² - 1) / √2. With normal errors that
    is `threshold` deviations; where squared errors vary more, it is more.
    """

    forecaster: Literal["holt-winters", "snarimax"]
    season: int = 0
    """Values in a season; 0 for none."""
    warmup: int = 20
    """Values that fix the scale and begin the forecaster, before errors count: two seasons at least."""
    memory: int = 1440
    """Effective number of errors remembered: older ones fade."""

    alpha: float = 0.3
    """Holt-Winters: weight of the latest value in the level."""
    beta: float = 0.01
    """Holt-Winters: weight of the latest step in the trend; 0 for no trend, where there is no season."""
    gamma: float = 0.1
    """Holt-Winters: weight of the latest value in its season."""

    p: int = 3
    """SNARIMAX: latest values that a forecast takes into account."""
    d: int = 0
    """SNARIMAX: times that differences are taken."""
    q: int = 0
    """SNARIMAX: latest errors that a forecast takes into account."""
    sp: int = 0
    """SNARIMAX: values one, two, … seasons ago."""
    sd: int = 0
    """SNARIMAX: times that differences to the season before are taken."""
    sq: int = 0
    """SNARIMAX: errors one, two, … seasons ago."""
    rate: float = 0.01
    """SNARIMAX: step of the gradient descent."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not max(3, 2 * self.season) <= self.warmup:
            raise ValueError(f"warmup {self.warmup} must not be below {max(3, 2 * self.season)}")
        if not self.warmup + self.grace <= self.adapt_after:
            raise ValueError(f"warmup {self.warmup} + grace {self.grace} ≤ adapt_after {self.adapt_after} must hold")
        if self.memory < self.grace:
            raise ValueError(f"memory {self.memory} must not be below grace {self.grace}")
        for name in ("alpha", "gamma", "rate"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be above 0 and at most 1")
        if not (0 <= self.beta <= 1 and (self.beta or not self.season)):
            raise ValueError(f"beta is {self.beta}, must be from 0 to 1, and above 0 with a season")
        self._check_from(0, "season", "p", "d", "q", "sp", "sd", "sq")
        if self.forecaster == "snarimax" and (self.sp or self.sd or self.sq) and not self.season:
            raise ValueError("sp, sd and sq need a season")

    def build(self) -> Predictive:
        """Return a detector that knows nothing yet."""
        return Predictive(self)


class Predictive(Deviating):
    """See the module; state is [values before the scale is fixed, median, deviation, errors, …, forecaster]."""

    def __init__(self, parameters: PredictiveParameters) -> None:
        super().__init__(parameters)
        self._parameters = parameters
        lags = parameters.p + parameters.sp + parameters.q + parameters.sq
        past = parameters.d + parameters.season * (parameters.sd + parameters.sp + parameters.sq + 1)
        forecaster = 64 + 9 * (past + parameters.p + parameters.q + 8) + lags * 60
        self.size_max = 128 + 9 * (parameters.adapt_after + parameters.warmup) + forecaster
        self._forget()

    def _forget(self) -> None:
        from river import linear_model, optim, preprocessing, time_series
        from river.anomaly import PredictiveAnomalyDetection

        given = self._parameters
        self._first: list[float] = []
        self._centre, self._scale = 0.0, 0.0
        if given.forecaster == "holt-winters":
            seasonal = {"gamma": given.gamma, "seasonality": given.season} if given.season else {}
            make: Any = time_series.HoltWinters
            forecaster: Any = make(given.alpha, given.beta or None, **seasonal)
        else:
            # Values have a deviation of about 1: a gradient beyond 100 is a spike, and would throw the weights far off.
            line = linear_model.LinearRegression(optim.SGD(given.rate), clip_gradient=100.0)
            orders = {"m": max(1, given.season), "sp": given.sp, "sd": given.sd, "sq": given.sq}
            regressor = preprocessing.StandardScaler() | line
            forecaster = time_series.SNARIMAX(given.p, given.d, given.q, regressor=regressor, **orders)
        n_std = (given.threshold**2 - 1) / SQRT_2
        self._detector: Any = PredictiveAnomalyDetection(forecaster, n_std=n_std)
        self._forecaster = forecaster

    def _normal(self) -> Normal | None:
        errors, spread = self._detector.dynamic_mae, self._detector.dynamic_se_variance
        if errors.n < self._parameters.grace:
            return None
        squared = max(errors.get(), 1e-12)
        limit = squared + max(0.0, self._detector.n_std) * sqrt(spread.get())
        forecast = self._centre + self._scale * self._forecast()
        return Normal(forecast, self._scale * sqrt(squared), sqrt(limit / squared))

    def _learn(self, x: float) -> None:
        if self._scale:
            y = (x - self._centre) / self._scale
            self._detector.score_one(None, y)  # takes the error of the forecast into account
            self._fade()
            self._detector.learn_one(None, y)
            return
        self._first.append(x)
        if len(self._first) < self._parameters.warmup:
            return
        self._centre = _median(self._first)
        deviation = DEVIATIONS_MAD * _median([abs(y - self._centre) for y in self._first])
        self._scale = max(deviation, self._floor, 1e-6 * abs(self._centre), 1e-9)
        first = [max(-WILD, min(WILD, (y - self._centre) / self._scale)) for y in self._first]
        self._first = []
        begun = max(2, self._parameters.season) if self._parameters.forecaster == "holt-winters" else 0
        if begun:
            _begin_holt_winters(self._forecaster, first[:begun])
            self._detector.iter += begun
        for y in first[begun:]:
            self._detector.learn_one(None, y)

    def _pass_over(self) -> None:
        if self._scale:
            self._forecaster.learn_one(self._forecast())

    def _forecast(self) -> float:
        return float(self._forecaster.forecast(1)[0])

    def _fade(self) -> None:
        memory = float(self._parameters.memory)
        errors, spread = self._detector.dynamic_mae, self._detector.dynamic_se_variance
        if errors.n > memory:
            spread._S *= memory / errors.n
            errors.n = spread.mean.n = memory

    def _encode(self) -> list[Any]:
        errors, spread = self._detector.dynamic_mae, self._detector.dynamic_se_variance
        statistics = [errors.n, errors._mean, spread.mean._mean, spread._S]
        holt_winters = self._parameters.forecaster == "holt-winters"
        forecaster = _holt_winters(self._forecaster) if holt_winters else _snarimax(self._forecaster)
        return [list(self._first), self._centre, self._scale, statistics, self._detector.iter, forecaster]

    def _decode(self, state: Sequence[Any]) -> None:
        self._forget()
        first, self._centre, self._scale, statistics, self._detector.iter, forecaster = state
        self._first = list(first)
        errors, spread = self._detector.dynamic_mae, self._detector.dynamic_se_variance
        errors.n, errors._mean, spread.mean._mean, spread._S = statistics
        spread.mean.n = errors.n
        if self._parameters.forecaster == "holt-winters":
            _restore_holt_winters(self._forecaster, forecaster)
        else:
            _restore_snarimax(self._forecaster, forecaster)


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _begin_holt_winters(model: Any, first: Sequence[float]) -> None:
    """Begin a `HoltWinters` with its first values: their mean, no trend, and how far each lies from the mean.

    Left to itself, River 0.26 begins an additive season with ratios to the level, which is about 0 here, and fails if
    it is 0, as of a metric that does not move; and the trend with the slope of the first season, which says where in
    the season it began.
    """
    model._first_values, model._initialized = list(first), True
    model.level.append(statistics.mean(first))
    if model.trend is not None:
        model.trend.append(0.0)
    if model.season is not None:
        model.season.extend(y - model.level[-1] for y in first)


def _holt_winters(model: Any) -> list[Any]:
    """Return the state of a `HoltWinters` as built-in values."""
    parts = [list(part) if part is not None else [] for part in (model.level, model.trend, model.season)]
    return [list(model._first_values), model._initialized, *parts]


def _restore_holt_winters(model: Any, state: Sequence[Any]) -> None:
    first, model._initialized, *parts = state
    model._first_values = list(first)
    for part, values in zip((model.level, model.trend, model.season), parts, strict=True):
        if part is not None:
            part.extend(values)


def _snarimax(model: Any) -> list[Any]:
    """Return the state of a `SNARIMAX` as built-in values; features in the order in which they came up."""
    scaler, line = model.regressor["StandardScaler"], model.regressor["LinearRegression"]
    scales = [[name, count, scaler.means[name], scaler.vars[name]] for name, count in scaler.counts.items()]
    weights = [[name, weight] for name, weight in line.weights.items()]
    past = [list(model.y_hist), list(model.y_diff), list(model.errors)]
    return [scales, weights, line.intercept, line.optimizer.n_iterations, *past]


def _restore_snarimax(model: Any, state: Sequence[Any]) -> None:
    from river.utils import VectorDict

    scales, weights, intercept, iterations, *past = state
    scaler, line = model.regressor["StandardScaler"], model.regressor["LinearRegression"]
    for name, count, mean, variance in scales:
        scaler.counts[name], scaler.means[name], scaler.vars[name] = count, mean, variance
    line._weights = VectorDict(dict(weights))
    line.intercept, line.optimizer.n_iterations = intercept, iterations
    for part, values in zip((model.y_hist, model.y_diff, model.errors), past, strict=True):
        part.extend(values)
