"""A logistic regression that learns one example at a time and knows how sure it is of each weight.

The posterior of the weights is kept as a Gaussian; each example updates it by one step of Newton's method at the
prediction, which is the extended Kalman filter of a logistic model (Fahrmeir, "Posterior mode estimation by extended
Kalman filtering for multivariate dynamic generalized linear models", JASA 87, 1992). It takes no learning rate, and a
single pass over the examples comes to what many passes of gradient descent do.
Only elementwise operations and sums of numpy are used, which give the same last digit wherever an array lies in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ODDS_MAX = 30.0
"""Log odds beyond this are cut: a probability of 1e-13 is as good as 0."""


class RecursiveLogisticParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `RecursiveLogistic`."""

    prior: float = 0.5
    """Variance of each weight before anything was learned; numbers are expected to be about 1 in size."""
    start: float = 0.14
    """Probability given before anything was learned."""

    def __post_init__(self) -> None:
        if not (self.prior > 0 and 0 < self.start < 1):
            raise ValueError(f"prior {self.prior} > 0 and 0 < start {self.start} < 1 must hold")


class RecursiveLogistic:
    """See the module; state is [examples, means, covariance] with arrays as little-endian float64.

    Args:
        size: Numbers in an example.
        parameters: How it learns.
        drift: Variance that each example adds to each weight; by default none, and all examples count alike.
        means: Of each weight, before anything was learned; by default 0.
    """

    def __init__(
        self,
        size: int,
        parameters: RecursiveLogisticParameters | None = None,
        drift: Sequence[float] = (),
        means: Sequence[float] = (),
    ) -> None:
        self.parameters = parameters or RecursiveLogisticParameters()
        self._drift: Floats | None = np.diag(np.asarray(drift, dtype=np.float64)) if drift else None
        self.size = size
        self.size_max = 8 * (size * size + size) + 64
        start = self.parameters.start
        self._offset = log(start / (1 - start))
        self.examples = 0.0
        self._means: Floats = np.asarray(means, dtype=np.float64) if means else np.zeros(size)
        self._covariance: Floats = np.eye(size) * self.parameters.prior

    def log_odds(self, x: Sequence[float]) -> float:
        """Return the log odds of an example being positive."""
        return self._log_odds(np.asarray(x, dtype=np.float64), 0.0)

    def learn(self, x: Sequence[float], positive: bool, weight: float = 1.0, known: float = 0.0) -> None:
        """Learn one example.

        Args:
            x: Its numbers.
            positive: What it turned out to be.
            weight: It counts for so much of one.
            known: Log odds that something else gives it, to which the model only adds.
        """
        z = np.asarray(x, dtype=np.float64)
        if self._drift is not None:
            self._covariance = self._covariance + self._drift * weight
        probability = sigmoid(self._log_odds(z, known))
        spread: Floats = (self._covariance * z).sum(axis=1)
        curvature = weight * probability * (1 - probability)
        scale = 1 + curvature * float((z * spread).sum())
        self._means = self._means + spread * (weight * (float(positive) - probability) / scale)
        self._covariance = self._covariance - np.multiply.outer(spread, spread) * (curvature / scale)
        self.examples += weight

    def correct(self, x: Sequence[float], weight: float = 1.0) -> None:
        """Let an example that was learned as negative be positive after all.

        The likelihood's gradient changes by `weight * x` with the outcome, and its curvature not at all; so the means
        move by that times the covariance, and are what they were had it been learned so, to the order of the update.
        """
        self._means = self._means + (self._covariance * np.asarray(x, dtype=np.float64)).sum(axis=1) * weight

    def contributions(self, x: Sequence[float]) -> list[float]:
        """Return what each number adds to the log odds."""
        parts: list[float] = (np.asarray(x, dtype=np.float64) * self._means).tolist()
        return parts

    def encode(self) -> list[Any]:
        """Return all state as built-in values."""
        return [self.examples, self._means.astype("<f8").tobytes(), self._covariance.astype("<f8").tobytes()]

    def decode(self, state: Sequence[Any]) -> None:
        """Go on from what `encode` returned."""
        self.examples, means, covariance = state
        self._means = np.frombuffer(means, dtype="<f8").astype(np.float64)
        self._covariance = np.frombuffer(covariance, dtype="<f8").astype(np.float64).reshape(self.size, self.size)

    def _log_odds(self, z: Floats, known: float) -> float:
        return min(max(self._offset + known + float((z * self._means).sum()), -ODDS_MAX), ODDS_MAX)


class Platt:
    """Turns log odds into calibrated probabilities: a shift and a slope, learned as outcomes come.

    After Platt ("Probabilistic outputs for support vector machines", 1999), online: it starts at trusting the log odds
    as they are. Shift and slope may drift, as a random walk (West, Harrison and Migon, "Dynamic generalized linear
    models and Bayesian forecasting", JASA 80, 1985): what was true of a model that had learned little does not bind it
    for ever. State as of `RecursiveLogistic`.

    Args:
        prior: Variance of shift and slope before anything was learned.
        drift: Variance that each example adds to both.
    """

    def __init__(self, prior: float = 0.05, drift: tuple[float, float] = (1e-4, 1e-5)) -> None:
        self._model = RecursiveLogistic(2, RecursiveLogisticParameters(prior=prior, start=0.5), drift)
        self.size_max = self._model.size_max

    def probability(self, log_odds: float) -> float:
        """Return the calibrated probability."""
        return sigmoid(log_odds + self._model.log_odds((1.0, log_odds)))

    def learn(self, log_odds: float, positive: bool, weight: float = 1.0) -> None:
        """Learn what an example turned out to be that was given `log_odds` before."""
        self._model.learn((1.0, log_odds), positive, weight, known=log_odds)

    def correct(self, log_odds: float, weight: float = 1.0) -> None:
        """See `RecursiveLogistic.correct`."""
        self._model.correct((1.0, log_odds), weight)

    def encode(self) -> list[Any]:
        """Return all state as built-in values."""
        return self._model.encode()

    def decode(self, state: Sequence[Any]) -> None:
        """Go on from what `encode` returned."""
        self._model.decode(state)


def sigmoid(log_odds: float) -> float:
    """Return the probability of these log odds."""
    return 1 / (1 + exp(-min(max(log_odds, -ODDS_MAX), ODDS_MAX)))
