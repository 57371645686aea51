"""`Coupled`: what numbers that belong together say about each other."""

from __future__ import annotations

import random

import msgspec
import pytest

from detectors.coupled import Coupled, CoupledParameters

Row = list[float]


def rows(seed: int, count: int) -> list[Row]:
    """Return three numbers that follow one another, with little noise, and one that goes its own way."""
    rng, level, made = random.Random(seed), 0.0, []
    for _ in range(count):
        level = 0.9 * level + rng.gauss(0, 1)
        made.append([50 + 10 * level + rng.gauss(0, 1), 5 + level, -3 * level, rng.gauss(0, 1)])
    return made


def trained(**parameters: object) -> Coupled:
    usual: dict[str, object] = {"features": ("a", "b", "c", "d"), "grace": 150, "alarms": 5.0, "adapt_after": 40}
    detector = msgspec.convert(usual | parameters, CoupledParameters).build()
    for row in rows(1, 1500):
        detector.learn_one(row)
    return detector


def test_a_value_that_is_usual_alone_but_not_with_the_others_is_flagged() -> None:
    detector = trained()
    *_, row = rows(2, 50)
    for known in rows(2, 50)[:-1]:
        detector.learn_one(known)
    assert not detector.score_one(row).flagged
    apart = [row[0], row[1] + 1.5, row[2], row[3]]  # as far as one step of all three goes anyway
    score = detector.score_one(apart)
    assert score.flagged
    assert detector.contributions(apart)[0][0] in ("b", "c")


def test_the_feature_to_blame_is_named_with_what_was_expected() -> None:
    detector = trained()
    row = rows(3, 1)[0]
    row[3] = 60.0
    assert detector.score_one(row).flagged
    assert detector.contributions(row)[0][0] == "d"
    assert detector.explain(row).startswith("d (")
    usual = detector.usual(row)
    assert usual.expected == pytest.approx(0, abs=2)
    assert usual.limit is not None
    assert 3 < usual.limit < 60


def test_the_limit_of_a_feature_is_where_it_alone_is_flagged() -> None:
    detector = trained()
    row = rows(4, 1)[0]
    row[3] = 60.0
    limit = detector.usual(row).limit
    assert limit is not None
    assert not detector.score_one([*row[:3], limit * 0.97]).flagged
    assert detector.score_one([*row[:3], limit * 1.03]).flagged


def test_alarms_come_about_as_often_as_wished() -> None:
    detector, flags = trained(adapt_after=1000), []
    for row in rows(5, 3000):
        flags.append(detector.score_one(row).flagged)
        detector.learn_one(row)
    assert 3 <= sum(flags) <= 30


def test_a_lasting_change_moves_the_centre() -> None:
    detector, adapted, flags = trained(), [], []
    for row in rows(6, 400):
        row[3] += 80
        flags.append(detector.score_one(row).flagged)
        adapted.append(detector.learn_one(row))
    assert all(flags[:40])
    assert adapted.index(True) == 39
    assert sum(flags[60:]) <= 10


def test_a_constant_metric_that_moves_a_little_is_not_flagged_with_a_floor() -> None:
    def flagged(floor: float) -> bool:
        detector = CoupledParameters(features=("a", "b"), grace=100, floor=floor, alarms=10.0).build()
        *known, last = rows(7, 1000)
        for row in known:
            detector.learn_one([row[0], 1.0])
        return detector.score_one([last[0], 1.001]).flagged and not detector.score_one([last[0], 1.0]).flagged

    assert flagged(0.0)
    assert not flagged(10.0)


def test_another_number_of_features_is_refused() -> None:
    with pytest.raises(ValueError, match="3 numbers given, 4 features"):
        trained().score_one([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"features": ()},
        {"features": ("a", "a")},
        {"alarms": 0.0},
        {"floor": -1.0},
        {"apart": 0},
        {"grace": 4},
        {"memory": 10},
        {"adapt_after": 1},
    ],
    ids=str,
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"features": ("a", "b")} | wrong, CoupledParameters)
