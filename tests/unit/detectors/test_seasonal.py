from __future__ import annotations

import random
from math import cos, pi
from typing import Any

import pytest

from detectors.gaussian import GaussianParameters
from detectors.part import Part
from detectors.seasonal import HOUR, Seasonal, SeasonalParameters

QUARTER = HOUR // 4
GAUSSIAN = Part("gaussian", {"direction": "both", "threshold": 5, "memory": 700})


def demand(rng: random.Random, at: int) -> float:
    """Return orders in a quarter of an hour: few at night, half as many on two days of the week."""
    hour, weekend = at / HOUR % 24, at // (24 * HOUR) % 7 in (2, 3)
    return max(0.0, (300 - 250 * cos(2 * pi * hour / 24)) * (0.5 if weekend else 1) * (1 + rng.gauss(0, 0.05)))


def trained(days: int, **parameters: Any) -> Seasonal:
    rng, detector = random.Random(1), SeasonalParameters(of=GAUSSIAN, **parameters).build()
    for at in range(0, days * 24 * HOUR, QUARTER):
        detector.learn_one(demand(rng, at), at=at)
    return detector


def test_what_is_usual_at_noon_is_flagged_at_night() -> None:
    detector = trained(21, scale="log", pivot=10.0)
    noon, night = 21 * 24 * HOUR + 12 * HOUR, 21 * 24 * HOUR
    assert not detector.score_one(550, at=noon).flagged
    assert detector.score_one(550, at=night).flagged
    assert not detector.score_one(50, at=night).flagged
    assert detector.score_one(50, at=noon).flagged
    plain = GaussianParameters(direction="both", threshold=5, memory=700).build()
    rng = random.Random(1)
    for at in range(0, 21 * 24 * HOUR, QUARTER):
        plain.learn_one(demand(rng, at))
    assert not plain.score_one(550).flagged


def test_what_is_usual_is_told_in_the_metric_for_the_hour_and_the_day() -> None:
    detector = trained(28, scale="log", pivot=10.0)
    for day, hour, usual in ((28, 12, 550), (28, 0, 50), (30, 12, 275)):
        at = (day * 24 + hour) * HOUR
        assert detector.usual(0, at=at).expected == pytest.approx(usual, rel=0.2)
        assert "at that hour of the week" in detector.explain(0, at=at)


def test_nothing_is_flagged_before_the_profile_is_ready() -> None:
    detector = trained(1)
    assert not detector.score_one(1e9, at=30 * HOUR).flagged
    assert detector.usual(1e9, at=30 * HOUR).expected is None


def test_an_incident_does_not_move_the_profile() -> None:
    rng, quiet, hit = random.Random(2), trained(14), trained(14)
    for at in range(14 * 24 * HOUR, (14 * 24 + 5) * HOUR, QUARTER):
        quiet.learn_one(demand(rng, at), at=at)
        hit.learn_one(1e5, at=at)
    noon = (15 * 24 + 12) * HOUR
    before, after = quiet.usual(0, at=noon).expected, hit.usual(0, at=noon).expected
    assert before is not None
    assert after == pytest.approx(before, rel=0.02)


def test_a_lasting_change_of_level_keeps_the_shape_of_the_day() -> None:
    rng, detector = random.Random(3), trained(14, scale="log", pivot=10.0)
    for at in range(14 * 24 * HOUR, 21 * 24 * HOUR, QUARTER):
        detector.learn_one(3 * demand(rng, at), at=at)
    noon, night = (21 * 24 + 12) * HOUR, 21 * 24 * HOUR
    assert detector.usual(0, at=noon).expected == pytest.approx(1650, rel=0.3)
    assert detector.usual(0, at=night).expected == pytest.approx(150, rel=0.4)


def test_the_day_begins_where_the_place_says() -> None:
    east, here = trained(7, offset_hours=2), trained(7)
    assert east.encode()[4][2:] == pytest.approx(here.encode()[4][:22], abs=20)


def test_the_instant_must_be_given() -> None:
    with pytest.raises(ValueError, match="instant"):
        trained(1).score_one(100)


@pytest.mark.parametrize("wrong", [{"pivot": 0}, {"ready_days": 0}, {"memory": 1}, {"offset_hours": 24}])
def test_parameters_out_of_bounds_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SeasonalParameters(of=GAUSSIAN, **wrong)
