"""Deviations that add up."""

from __future__ import annotations

import random
from math import isclose

import pytest

from detectors.shift import Shift, ShiftParameters, evidence_of

UP = ShiftParameters(direction="up", scale="log", pivot=0.01, idle=0.0)


def fed(parameters: ShiftParameters, *values: float) -> Shift:
    detector = parameters.build()
    for x in values:
        detector.learn_one(x)
    return detector


def usual(count: int, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [0.2 * rng.lognormvariate(0, 0.1) for _ in range(count)]


def flags(parameters: ShiftParameters, values: list[float]) -> list[bool]:
    detector = parameters.build()
    flagged = []
    for x in values:
        flagged.append(detector.score_one(x).flagged)
        detector.learn_one(x)
    return flagged


def test_a_single_value_however_far_off_is_not_flagged_and_three_are() -> None:
    assert not any(flags(UP, [*usual(30), 1e6, *usual(30, 2)]))
    assert flags(UP, [*usual(30), 2.0, 2.0, 2.0])[-3:] == [False, False, True]


def test_a_smaller_shift_takes_longer() -> None:
    found = flags(UP, [*usual(60), *[0.42] * 20])
    assert found.index(True) > 62


def test_the_first_normal_value_after_a_shift_is_not_flagged() -> None:
    assert flags(UP, [*usual(30), 2.0, 2.0, 2.0, 2.0, 0.2])[-2:] == [True, False]


def test_it_judges_after_two_values_with_heavier_tails() -> None:
    young, old = fed(UP, 0.2, 0.2), fed(UP, *[0.2] * 100)
    assert 1 < young.deviation(0.8) < old.deviation(0.8)


def test_a_value_that_means_nothing_was_measured_says_nothing() -> None:
    detector = fed(UP, *usual(30))
    before = detector.usual(0.2)
    for _ in range(10):
        assert (detector.score_one(0.0).flagged, detector.evidence(0.0)) == (False, 0.0)
        detector.learn_one(0.0)
    assert detector.usual(0.2) == before


def test_the_sum_runs_off_while_something_else_is_wrong() -> None:
    detector = fed(UP, *usual(30), 2.0, 2.0)
    for _ in range(6):
        detector.learn_one(2.0, suspect=True)
    assert not detector.score_one(2.0).flagged


def test_evidence_rises_with_the_deviation_and_speaks_against_a_normal_value() -> None:
    detector = fed(UP, *usual(60))
    assert detector.evidence(0.2) < 0 < detector.evidence(0.6) < detector.evidence(1.2)


def test_a_jump_says_less_of_a_metric_that_often_jumps() -> None:
    assert evidence_of(5.0, 0.3) < evidence_of(5.0, 0.01)


def test_evidence_is_a_ratio_of_likelihoods() -> None:
    """Over normal values, a likelihood ratio is 1 on average."""
    rng = random.Random(4)
    ratios = [2.718281828 ** evidence_of(rng.gauss(0, 1.2), 0.0) for _ in range(20_000)]
    assert isclose(sum(ratios) / len(ratios), 1.0, abs_tol=0.35)


def test_down_looks_for_less() -> None:
    down = ShiftParameters(direction="down", floor=1.0)
    assert flags(down, [*[100.0] * 20, 90.0, 90.0, 90.0])[-1]
    assert not any(flags(down, [*[100.0] * 20, 110.0, 110.0, 110.0]))


@pytest.mark.parametrize("wrong", [{"clip": 1.0}, {"pivot": 0.0}, {"memory": 1}, {"threshold": 0.0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ShiftParameters(direction="up", **wrong)  # type: ignore[arg-type]
