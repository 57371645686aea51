from __future__ import annotations

import random

import pytest
from river.anomaly import StandardAbsoluteDeviation

from detectors.deviation import DeviationParameters


def test_the_score_is_that_of_river() -> None:
    rng = random.Random(1)
    detector, river = DeviationParameters(direction="both").build(), StandardAbsoluteDeviation()
    for _ in range(1000):
        x = rng.gauss(100, 5)
        detector.learn_one(x)
        river.learn_one(None, x)  # type: ignore[no-untyped-call]
    # Slightly below River's, which takes the mean as known.
    assert detector.score_one(120).value == pytest.approx(river.score_one(None, 120), rel=1e-3)  # type: ignore[no-untyped-call]


def test_the_median_stays_at_the_level_that_is_usual_when_a_tenth_of_values_is_far_above() -> None:
    rng = random.Random(2)
    values = [rng.gauss(500 if rng.random() < 0.1 else 100, 5) for _ in range(500)]
    by_mean = DeviationParameters(direction="up", grace=200).build()
    by_median = DeviationParameters(direction="up", grace=200, centre="median").build()
    for x in values:
        by_mean.learn_one(x)
        by_median.learn_one(x)
    mean, median = by_mean.usual(500).expected, by_median.usual(500).expected
    assert mean is not None
    assert mean > 120
    assert median == pytest.approx(101, abs=2)


def test_values_far_off_on_the_harmless_side_are_not_learned_either() -> None:
    rng = random.Random(3)
    detector = DeviationParameters(direction="up").build()
    for _ in range(100):
        detector.learn_one(rng.gauss(100, 5))
    before = detector.usual(200)
    for _ in range(20):
        assert not detector.score_one(-1e9).flagged
        detector.learn_one(-1e9)
    assert detector.usual(200) == before


def test_memory_must_hold_what_was_held_back() -> None:
    with pytest.raises(ValueError, match="memory"):
        DeviationParameters(direction="up", memory=100)
