from __future__ import annotations

import random
from math import pi, sin
from typing import Any

import pytest

from detectors.deviation import DeviationParameters
from detectors.predictive import Predictive, PredictiveParameters

SEASON = 12


def seasonal(rng: random.Random, number: int) -> float:
    return 100 + 50 * sin(2 * pi * number / SEASON) + rng.gauss(0, 2)


def trained(count: int = 600, **parameters: Any) -> Predictive:
    rng = random.Random(1)
    detector = PredictiveParameters(direction="both", season=SEASON, warmup=2 * SEASON, **parameters).build()
    for number in range(count):
        detector.learn_one(seasonal(rng, number))
    return detector


@pytest.mark.parametrize("forecaster", [{"forecaster": "holt-winters"}, {"forecaster": "snarimax", "sp": 1, "sd": 1}])
def test_a_value_out_of_season_is_flagged_though_it_is_within_the_range(forecaster: dict[str, Any]) -> None:
    detector, unseasonal = trained(**forecaster), DeviationParameters(direction="both").build()
    rng = random.Random(1)
    for number in range(600):
        unseasonal.learn_one(seasonal(rng, number))
    expected = detector.usual(0).expected
    assert expected == pytest.approx(100, abs=6)
    assert detector.score_one(140).flagged
    assert not detector.score_one(102).flagged
    assert not unseasonal.score_one(140).flagged


def test_spikes_do_not_shift_the_season() -> None:
    detector, rng = trained(forecaster="holt-winters"), random.Random(2)
    for number in range(600, 600 + 10 * SEASON):
        x = 1e4 if number % SEASON == 3 else seasonal(rng, number)
        assert detector.score_one(x).flagged is (x == 1e4)
        detector.learn_one(x)


def test_errors_of_wildly_varying_size_widen_the_limit() -> None:
    rng = random.Random(3)
    calm = PredictiveParameters(direction="up", forecaster="holt-winters").build()
    wild = PredictiveParameters(direction="up", forecaster="holt-winters").build()
    for _ in range(500):
        calm.learn_one(rng.gauss(0, 1))
        wild.learn_one(rng.gauss(0, 5 if rng.random() < 0.05 else 1))
    limits = [detector.usual(100).limit for detector in (calm, wild)]
    assert limits[0] is not None
    assert limits[1] is not None
    assert limits[1] > 2 * limits[0]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"season": 20}, "warmup"),
        ({"warmup": 340}, "adapt_after"),
        ({"alpha": 0}, "alpha"),
        ({"season": 4, "beta": 0}, "beta"),
        ({"sp": 1}, "sp"),
    ],
)
def test_parameters_that_cannot_work_are_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        PredictiveParameters(**{"direction": "up", "forecaster": "snarimax", **wrong})
