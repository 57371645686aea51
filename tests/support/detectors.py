"""Detectors of every method with small parameters, and the series that they are tried on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from detectors.base import DetectorOf
from detectors.deviation import DeviationParameters
from detectors.gaussian import GaussianParameters
from detectors.half_space import HalfSpaceParameters
from detectors.loda import LodaParameters
from detectors.predictive import PredictiveParameters
from detectors.tail import TailParameters
from detectors.threshold import ThresholdParameters

MINUTE = 60_000_000
"""µs between two values."""
LEVEL, NOISE = 100.0, 5.0


@dataclass(frozen=True)
class Case:
    """A detector under contract, and what it is able to."""

    parameters: Any
    """Its parameters: something with `build`."""
    features: int = 0
    """Numbers that it takes together; 0 for one that takes a number, not a list."""
    spikes: bool = True
    """Whether it flags a single value far above all others."""
    changes: bool = True
    """Whether it flags a change of level, and later takes it for normal."""

    def build(self) -> DetectorOf[Any]:
        """Return a detector that knows nothing yet."""
        built: DetectorOf[Any] = self.parameters.build()
        return built

    def value(self, rng: random.Random, level: float = LEVEL) -> Any:
        """Return a normal value about `level`."""
        if not self.features:
            return rng.gauss(level, NOISE)
        common = rng.gauss(0, NOISE)
        return [level + common + rng.gauss(0, NOISE) for _ in range(self.features)]

    def all(self, x: float) -> Any:
        """Return the value `x`, or one all of whose numbers are `x`."""
        return [x] * self.features if self.features else x


SERIES: dict[str, Any] = {"grace": 10, "adapt_after": 20, "memory": 50}
SEASON: dict[str, Any] = {"grace": 10, "adapt_after": 30, "memory": 50}
PANEL: dict[str, Any] = {"grace": 30, "adapt_after": 60, "tail": TailParameters(window=100, least=30, refresh=4)}
CASES = {
    "gaussian-up": Case(GaussianParameters(direction="up", **SERIES)),
    "gaussian-down": Case(
        GaussianParameters(direction="down", floor=0.1, change_min=1, **SERIES), spikes=False, changes=False
    ),
    "gaussian-log": Case(GaussianParameters(direction="both", scale="log", pivot=0.01, **SERIES)),
    "threshold": Case(ThresholdParameters(direction="up", limit=150.0), changes=False),
    "deviation-mean": Case(DeviationParameters(direction="up", **SERIES)),
    "deviation-median": Case(DeviationParameters(direction="both", centre="median", **SERIES)),
    "holt-winters": Case(
        PredictiveParameters(direction="up", forecaster="holt-winters", season=6, warmup=12, **SEASON)
    ),
    "holt-winters-level": Case(PredictiveParameters(direction="both", forecaster="holt-winters", beta=0, **SEASON)),
    "snarimax": Case(
        PredictiveParameters(direction="up", forecaster="snarimax", season=6, sp=2, sd=1, q=2, sq=1, **SEASON)
    ),
    "snarimax-ar": Case(PredictiveParameters(direction="both", forecaster="snarimax", d=1, **SEASON)),
    "half-space": Case(HalfSpaceParameters(features=("a", "b", "c"), window=30, **PANEL), features=3),
    "loda": Case(LodaParameters(features=("a", "b", "c", "d"), cuts=10, memory=100, **PANEL), features=4),
}


def stream(case: Case, seed: int, length: int = 200) -> list[Any]:
    """Return noise, two spikes, a change of level in the middle, and values of every size."""
    rng = random.Random(seed)
    values = [case.value(rng, LEVEL if number < length // 2 else 2 * LEVEL) for number in range(length)]
    values[length // 4] = case.all(1e9)
    values[length // 3] = case.all(-1e9)
    return [*values, *(case.all(x) for x in (0.0, 1e-300, 1e300, -1e300))]


def run(detector: DetectorOf[Any], values: Sequence[Any], start: int = 0) -> list[object]:
    """Let `detector` judge and learn minute by minute, and return all that it says."""
    seen: list[object] = []
    for number, x in enumerate(values, start):
        at = number * MINUTE
        seen += [detector.score_one(x, at=at), detector.usual(x, at=at), detector.explain(x, at=at)]
        seen.append(detector.learn_one(x, at=at))
    return seen
