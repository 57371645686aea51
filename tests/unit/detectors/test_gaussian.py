from __future__ import annotations

import random
from typing import Any

import pytest

from detectors.gaussian import Gaussian, GaussianParameters


def trained(mean: float = 100.0, deviation: float = 5.0, count: int = 200, **parameters: Any) -> Gaussian:
    rng = random.Random(1)
    detector = GaussianParameters(**{"direction": "up", **parameters}).build()
    for _ in range(count):
        detector.learn_one(rng.gauss(mean, deviation))
    return detector


def test_a_value_far_off_in_the_bad_direction_is_flagged() -> None:
    detector = trained()
    assert detector.score_one(140).flagged
    assert not detector.score_one(120).flagged
    assert detector.score_one(140).p_value < 1e-9


@pytest.mark.parametrize(("direction", "flagged"), [("up", False), ("down", True), ("both", True)])
def test_only_the_bad_direction_counts(direction: str, flagged: bool) -> None:
    assert trained(direction=direction).score_one(50).flagged is flagged


def test_the_score_is_in_deviations_and_the_limit_is_where_flagging_begins() -> None:
    detector = trained(threshold=4.0)
    limit = detector.usual(130).limit
    assert limit is not None
    assert detector.score_one(130).value == pytest.approx(6, rel=0.2)
    assert not detector.score_one(limit * 0.9999).flagged
    assert detector.score_one(limit * 1.0001).flagged
    assert detector.score_one(limit).strength == pytest.approx(1)


def test_nothing_is_flagged_while_warming_up() -> None:
    detector = trained(count=29)
    assert not detector.score_one(1e9).flagged
    assert "too new" in detector.explain(1e9)


def test_a_spike_is_not_learned() -> None:
    detector = trained()
    before = detector.encode()[:3]
    detector.learn_one(1e6)
    assert detector.encode()[:3] == before


def test_a_suspect_value_is_not_learned_though_it_looks_normal() -> None:
    detector = trained()
    before = detector.encode()[:3]
    detector.learn_one(100, suspect=True)
    assert detector.encode()[:3] == before


def test_a_lasting_change_of_level_becomes_normal() -> None:
    rng = random.Random(2)
    detector = trained(grace=20, adapt_after=60)
    flags, adapted = [], []
    for _ in range(100):
        x = rng.gauss(300, 5)
        flags.append(detector.score_one(x).flagged)
        adapted.append(detector.learn_one(x))
    assert [number for number, now in enumerate(adapted) if now] == [59]
    assert flags == [True] * 60 + [False] * 40
    assert detector.score_one(400).flagged


def test_rare_spikes_never_become_normal() -> None:
    rng = random.Random(3)
    detector = trained(adapt_after=60)
    for number in range(2000):
        detector.learn_one(300 if number % 3 == 0 else rng.gauss(100, 5))
    assert detector.score_one(300).flagged


def test_the_floor_keeps_a_steady_metrics_noise_quiet() -> None:
    assert trained(deviation=0.001).score_one(100.1).flagged
    assert not trained(deviation=0.001, floor=0.5).score_one(100.1).flagged


def test_a_change_below_the_least_is_not_flagged_however_unusual() -> None:
    detector = trained(deviation=0.001, change_min=2.0)
    assert not detector.score_one(101.9).flagged
    assert detector.score_one(102.1).flagged
    assert detector.usual(101.9).limit == pytest.approx(102, abs=0.01)


def test_a_metric_that_never_moved_flags_change_but_not_rounding() -> None:
    detector = trained(mean=0.3, deviation=0.0)
    assert not detector.score_one(0.1 + 0.2).flagged
    assert detector.score_one(0.4).flagged


def test_on_the_log_scale_spread_is_relative() -> None:
    rng = random.Random(4)
    detector = GaussianParameters(direction="up", scale="log", pivot=0.001, floor=0.1).build()
    for _ in range(200):
        detector.learn_one(rng.lognormvariate(0, 0.5))
    assert not detector.score_one(5.0).flagged
    assert detector.score_one(100.0).flagged


def test_old_values_fade() -> None:
    rng = random.Random(5)
    detector = trained(memory=100, adapt_after=60)
    for step in range(2000):
        # So slow a drift that nothing is flagged.
        detector.learn_one(rng.gauss(100 + step * 0.05, 5))
    expected = detector.usual(200).expected
    assert expected == pytest.approx(200, abs=10)


def test_fading_keeps_the_spread_right() -> None:
    limit = trained(memory=100, adapt_after=60, count=5000).usual(200).limit
    assert limit == pytest.approx(130, abs=6)


def test_what_was_learned_shows_in_the_next_score_of_the_same_value() -> None:
    detector = trained()
    before = detector.score_one(110).value
    detector.learn_one(110)
    assert detector.score_one(110).value < before


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"pivot": 0.0}, "pivot"),
        ({"threshold": float("inf")}, "threshold"),
        ({"floor": -1.0}, "floor"),
        ({"grace": 1}, "grace"),
        ({"adapt_after": 10}, "adapt_after"),
        ({"memory": 50}, "memory"),
    ],
)
def test_senseless_parameters_are_refused_by_name(parameters: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        GaussianParameters(direction="up", **parameters)


def test_the_explanation_says_what_is_usual() -> None:
    assert trained().explain(140).startswith("140, usually about 100")
    assert "down to" in trained(direction="down").explain(50)
