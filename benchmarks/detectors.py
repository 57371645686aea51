"""`python -m benchmarks.detectors`: what each detector costs, and whether its p-values hold. See `docs/detectors.md`.

The p-values are tried on series on which nothing is wrong: of a thousand values one should have a p-value of 0.001 or
less. Costs are CPU time, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from math import exp, pi, sin, sqrt
from time import process_time
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
from detectors.prior import PriorParameters
from detectors.seasonal import SeasonalParameters
from detectors.shift import ShiftParameters
from detectors.threshold import ThresholdParameters

MINUTE = 60_000_000
DAY = 24 * 60
WARM = 2500
"""Values learned before costs are measured: every detector judges by then."""
NAMES = tuple(f"f{number}" for number in range(8))
GAUSSIAN = Part("gaussian", {"direction": "up"})
LEVEL: dict[str, Any] = {"direction": "up", "forecaster": "holt-winters", "beta": 0.0}
AR: dict[str, Any] = {"direction": "up", "forecaster": "snarimax", "p": 3}

DETECTORS: dict[str, Any] = {
    "threshold": ThresholdParameters(direction="up", limit=200),
    "gaussian": GaussianParameters(direction="up"),
    "deviation": DeviationParameters(direction="up"),
    "deviation, median": DeviationParameters(direction="up", centre="median"),
    "predictive, Holt-Winters": PredictiveParameters(**LEVEL),
    "predictive, SNARIMAX": PredictiveParameters(**AR),
    "prior": PriorParameters(direction="up"),
    "shift": ShiftParameters(direction="up"),
    "adwin": AdwinParameters(direction="up"),
    "page-hinkley": PageHinkleyParameters(direction="up"),
    "kswin": KswinParameters(direction="up"),
    "calibrated gaussian": CalibratedParameters(of=GAUSSIAN),
    "calibrated Holt-Winters": CalibratedParameters(of=Part("predictive", LEVEL)),
    "calibrated SNARIMAX": CalibratedParameters(of=Part("predictive", AR)),
    "seasonal gaussian": SeasonalParameters(of=GAUSSIAN),
    "calibrated seasonal": CalibratedParameters(of=Part("seasonal", {"of": GAUSSIAN})),
    "novelty": NoveltyParameters(),
    "ensemble of gaussian and SNARIMAX": EnsembleParameters(of=(GAUSSIAN, Part("predictive", AR))),
    "half-space (8 numbers)": HalfSpaceParameters(features=NAMES),
    "loda (8 numbers)": LodaParameters(features=NAMES),
    "coupled (8 numbers)": CoupledParameters(features=NAMES),
    "bank of gaussians (8 numbers)": BankParameters(features=NAMES, of=GAUSSIAN),
}

CHANGES = ("adwin", "page-hinkley", "kswin")
"""What counts of these is how often they tell a change, not the p-value of each value."""

Law = Callable[[random.Random, int, float], float]
"""The next value of a series without trouble, of the one before."""


def following(rho: float) -> Law:
    return lambda rng, _, last: rho * last + sqrt(1 - rho**2) * rng.gauss(0, 1)


def student(rng: random.Random) -> float:
    return rng.gauss(0, 1) / sqrt(rng.gammavariate(1.5, 2) / 3)


LAWS: dict[str, Law] = {
    "normal": following(0),
    "AR(1) 0.5": following(0.5),
    "AR(1) 0.9": following(0.9),
    "AR(1) 0.99": following(0.99),
    "Student's t, 3": lambda rng, _, __: student(rng),
    "log-normal": lambda rng, _, __: exp(rng.gauss(0, 1)),
    "AR(1) 0.9 of t": lambda rng, _, last: 0.9 * last + 0.44 * student(rng),
    "daily season": lambda rng, number, _: 3 * sin(2 * pi * number / DAY) + rng.gauss(0, 1),
}


def series(law: Law, count: int, seed: int) -> list[float]:
    rng, last, values = random.Random(seed), 0.0, []
    for number in range(count):
        last = law(rng, number, last)
        values.append(100 + 5 * last)
    return values


def rows(law: Law, count: int, seed: int) -> list[list[float]]:
    """Return values of eight numbers that share half their variance."""
    common, *own = (series(law, count, seed * 100 + number) for number in range(len(NAMES) + 1))
    return [[(c + x) / sqrt(2) for x in xs] for c, *xs in zip(common, *own, strict=True)]


def inputs(parameters: Any, law: Law, count: int, seed: int) -> Sequence[Any]:
    return rows(law, count, seed) if hasattr(parameters, "features") else series(law, count, seed)


def realised(parameters: Any, law: Law, count: int, seed: int, levels: Sequence[float]) -> list[float]:
    """Return how often the p-value is at most each of `levels`, once the detector has been warm for a while."""
    detector: DetectorOf[Any] = parameters.build()
    warm, hits, total = 3 * DAY, [0] * len(levels), 0
    for number, x in enumerate(inputs(parameters, law, count + warm, seed)):
        if number >= warm:
            total += 1
            p_value = detector.score_one(x, at=number * MINUTE).p_value
            hits = [hit + (p_value <= level) for hit, level in zip(hits, levels, strict=True)]
        detector.learn_one(x, at=number * MINUTE)
    return [hit / total for hit in hits]


def false_changes(parameters: Any, law: Law, count: int, seed: int) -> float:
    """Return how many changes are told in 10,000 values where nothing changes."""
    detector, told = parameters.build(), 0
    for x in series(law, count, seed):
        told += detector.score_one(x).flagged
        detector.learn_one(x)
    return told / count * 10_000


def cost(parameters: Any, count: int) -> dict[str, float]:
    """Return µs for a value judged and learned, and for state taken on and put away, and its size."""
    detector: DetectorOf[Any] = parameters.build()
    values = inputs(parameters, LAWS["AR(1) 0.5"], WARM + 2 * count, 1)
    at = 3 * DAY * MINUTE
    detector.learn_one(values[0], at=0)
    for x in values[1:WARM]:
        detector.learn_one(x, at=at)
    begun = process_time()
    for x in values[WARM : WARM + count]:
        detector.score_one(x, at=at)
        detector.learn_one(x, at=at)
    judged = process_time()
    for _ in range(count):
        detector.decode(detector.encode())
    moved = process_time()
    return {
        "judge_us": (judged - begun) / count * 1e6,
        "state_us": (moved - judged) / count * 1e6,
        "state_bytes": len(msgspec.msgpack.encode(detector.encode())),
        "state_bytes_max": detector.size_max,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.detectors",
        description=__doc__,
        epilog="example: python -m benchmarks.detectors --values 5000 --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--values", type=int, default=20_000, help="values of each series (default: 20000)")
    parser.add_argument("--seed", type=int, default=1, help="of the series (default: 1)")
    parser.add_argument("--only", default="", help="detectors whose name holds this")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    chosen = {name: each for name, each in DETECTORS.items() if given.only in name}
    levels = (0.01, 0.001)
    costs = {name: cost(each, 500) for name, each in chosen.items()}
    told = {
        name: {law: realised(each, LAWS[law], given.values, given.seed, levels) for law in LAWS}
        for name, each in chosen.items()
        if name not in CHANGES and name != "threshold"
    }
    changes = {
        name: {law: false_changes(chosen[name], LAWS[law], given.values, given.seed) for law in LAWS}
        for name in CHANGES
        if name in chosen
    }
    if given.json:
        print(json.dumps({"cost": costs, "levels": levels, "realised": told, "false_changes": changes}, indent=2))
        return
    print("| detector | µs to judge and learn | µs to take on and put away | bytes | at most |\n|---|---|---|---|---|")
    for name, found in costs.items():
        print(f"| {name} | {' | '.join(f'{number:,.0f}' for number in found.values())} |")
    for place, level in enumerate(levels):
        print(f"\n| p ≤ {level} | {' | '.join(LAWS)} |\n|---|{'---|' * len(LAWS)}")
        for name, by_law in told.items():
            print(f"| {name} | {' | '.join(f'{each[place]:.4f}' for each in by_law.values())} |")
    print(f"\n| false changes in 10,000 values | {' | '.join(LAWS)} |\n|---|{'---|' * len(LAWS)}")
    for name, found in changes.items():
        print(f"| {name} | {' | '.join(f'{number:.1f}' for number in found.values())} |")


if __name__ == "__main__":
    main()
