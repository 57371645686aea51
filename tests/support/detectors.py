"""Detectors of every method with small parameters, and the series that they are tried on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from detectors.adwin import AdwinParameters
from detectors.bank import BankParameters
from detectors.base import DetectorOf
from detectors.calibrated import CalibratedParameters
from detectors.coupled import CoupledParameters
from detectors.deviation import DeviationParameters
from detectors.ensemble import EnsembleParameters
from detectors.gaussian import GaussianParameters
from detectors.half_space import HalfSpaceParameters
from detectors.kswin import KswinParameters
from detectors.loda import LodaParameters
from detectors.novelty import NoveltyParameters
from detectors.page_hinkley import PageHinkleyParameters
from detectors.part import Part
from detectors.predictive import PredictiveParameters
from detectors.prior import Known, Prior, PriorParameters, belief
from detectors.seasonal import SeasonalParameters
from detectors.shift import ShiftParameters
from detectors.tail import TailParameters
from detectors.threshold import ThresholdParameters

MINUTE, HOUR = 60_000_000, 3_600_000_000
"""µs."""
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
    cold: bool = True
    """Whether it knows nothing to begin with."""
    step: int = MINUTE
    """µs between two values."""
    changes: bool = True
    """Whether it flags a change of level, and later takes it for normal."""
    novelty: bool = False
    """Whether it flags what is new, once: then it has seen it."""

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
CHANGE: dict[str, Any] = {"grace": 40, "adapt_after": 50}
PANEL: dict[str, Any] = {"grace": 30, "adapt_after": 60, "tail": TailParameters(window=100, least=30, refresh=4)}
GAUSSIAN = Part("gaussian", {"direction": "up", **SERIES})
MEDIAN = Part("deviation", {"direction": "both", "centre": "median", **SERIES}, name="median")


@dataclass(frozen=True)
class WithPeers:
    """Parameters of a detector that begins with what its peers let expect."""

    parameters: PriorParameters

    def build(self) -> Prior:
        built = self.parameters.build()
        built.begin(belief([Known(50, 4.5 + 0.1 * number, 0.003 + 0.0003 * number) for number in range(8)]))
        return built


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
    "novelty": Case(
        NoveltyParameters(windows=(4, 12), capacity=16, memory=1000, rarity=1.0, quiet=20),
        spikes=False,
        changes=False,
        novelty=True,
    ),
    "coupled": Case(
        CoupledParameters(features=("a", "b", "c"), grace=32, memory=400, apart=5, alarms=20.0, adapt_after=60),
        features=3,
    ),
    "half-space": Case(HalfSpaceParameters(features=("a", "b", "c"), window=30, **PANEL), features=3),
    "adwin": Case(AdwinParameters(direction="up", clock=4, **CHANGE), spikes=False),
    "page-hinkley": Case(PageHinkleyParameters(direction="both", **CHANGE), spikes=False),
    "kswin": Case(KswinParameters(direction="up", window=40, latest=15, **CHANGE), spikes=False),
    "bank": Case(BankParameters(features=("a", "b", "c"), of=GAUSSIAN), features=3),
    "calibrated": Case(CalibratedParameters(of=GAUSSIAN, tail=TailParameters(window=100, least=30, refresh=4))),
    "ensemble": Case(EnsembleParameters(of=(GAUSSIAN, Part("page-hinkley", {"direction": "up", **CHANGE}), MEDIAN))),
    "ensemble-cauchy": Case(EnsembleParameters(of=(GAUSSIAN, MEDIAN), rule="cauchy")),
    "prior": Case(PriorParameters(direction="up", **SERIES)),
    "prior-peers": Case(WithPeers(PriorParameters(direction="both", scale="log", **SERIES)), cold=False),
    "seasonal": Case(SeasonalParameters(of=GAUSSIAN), step=HOUR),
    "seasonal-log": Case(SeasonalParameters(of=MEDIAN, scale="log", memory=3), step=HOUR),
    "loda": Case(LodaParameters(features=("a", "b", "c", "d"), cuts=10, memory=100, **PANEL), features=4),
    "shift-up": Case(ShiftParameters(direction="up", **SERIES), spikes=False),
    "shift-log": Case(ShiftParameters(direction="both", scale="log", pivot=0.1, **SERIES), spikes=False),
}


def stream(case: Case, seed: int, length: int = 140) -> list[Any]:
    """Return noise, two spikes, a change of level in the middle, and values of every size."""
    rng = random.Random(seed)
    values = [case.value(rng, LEVEL if number < length // 2 else 2 * LEVEL) for number in range(length)]
    values[length // 4] = case.all(1e9)
    values[length // 3] = case.all(-1e9)
    return [*values, *(case.all(x) for x in (0.0, 1e-300, 1e300, -1e300))]


def run(detector: DetectorOf[Any], values: Sequence[Any], start: int = 0, *, step: int = MINUTE) -> list[object]:
    """Let `detector` judge and learn value by value, and return all that it says."""
    seen: list[object] = []
    for number, x in enumerate(values, start):
        at = number * step
        seen += [detector.score_one(x, at=at), detector.usual(x, at=at), detector.explain(x, at=at)]
        seen.append(detector.learn_one(x, at=at))
    return seen


def digest() -> str:
    """Return a digest of all that all detectors of `CASES` say of a series, and of their states."""
    hashed = blake2b(digest_size=16)
    for name, case in CASES.items():
        detector = case.build()
        said = run(detector, stream(case, 1), step=case.step)
        hashed.update(msgspec.msgpack.encode([name, repr(said), detector.encode()]))
    return hashed.hexdigest()


if __name__ == "__main__":
    print(digest())
