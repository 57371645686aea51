"""`AlarmRate`: alarms, not values, are what a limit is set by."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf

import pytest

from detectors.alarm_rate import AlarmRate, floor_of
from detectors.shapes import step_of


def taught(scores: Sequence[float], apart: int = 5, memory: int = 100_000) -> AlarmRate:
    rate = AlarmRate(apart, memory)
    for score in scores:
        rate.learn(score)
    return rate


def begun(scores: list[float], limit: float, apart: int) -> int:
    """Count alarms the plain way: a score at the limit or above with none in the `apart` scores before it."""
    return sum(
        score >= limit and not any(before >= limit for before in scores[max(0, number - apart) : number])
        for number, score in enumerate(scores)
    )


def test_the_limit_keeps_the_alarms_within_the_rate() -> None:
    rng = random.Random(1)
    scores = [rng.lognormvariate(0, 1) for _ in range(3000)]
    limit = taught(scores).limit(0.01)
    assert begun(scores, limit, 5) + 1 <= 0.01 * 3001
    assert begun(scores, limit * 0.8, 5) + 1 > 0.01 * 3001


def test_a_burst_is_one_alarm() -> None:
    quiet = [1.0] * 1000
    burst = taught([*quiet, *([8.0, 1.0, 8.0, 8.0] * 5), *quiet], apart=20)
    assert burst.limit(0.0015) == taught([*quiet, 8.0, *quiet], apart=20).limit(0.0015) == 8.0


def test_bursts_far_apart_are_several_alarms() -> None:
    scores = [*([1.0] * 100), 8.0] * 10
    assert taught(scores).limit(0.005) == floor_of(step_of(8.0) + 1)
    assert taught(scores).limit(0.012) == 8.0


def test_at_a_limit_between_them_a_loud_score_and_a_louder_one_soon_after_are_one_alarm() -> None:
    quiet = [1.0] * 500
    rate = taught([*quiet, 4.0, 16.0, *quiet])
    assert rate.limit(0.0021) == 4.0
    assert taught([*quiet, 4.0, *quiet, 16.0]).limit(0.0021) == 16.0


def test_an_alarm_that_never_ends_is_no_limit_though_it_began_only_once() -> None:
    assert taught([5.0] * 1000).limit(0.01) > 5.0


def test_without_scores_nothing_is_a_limit() -> None:
    assert AlarmRate(5, 1000).limit(0.5) == inf
    assert AlarmRate(5, 1000).p_value(3.0) == 1


def test_too_few_scores_for_one_alarm_have_no_limit() -> None:
    assert taught([1.0] * 90).limit(0.01) == inf
    assert taught([1.0] * 110).limit(0.01) < inf


def test_p_values_are_shares_of_scores() -> None:
    rate = taught([1.0, 2.0, 4.0])
    assert [rate.p_value(x) for x in (0.5, 2.0, 4.0, 9.0)] == [1, 0.75, 0.5, 0.25]


def test_old_scores_fade() -> None:
    rate = taught([64.0] * 4 + [1.0] * 2000, apart=1, memory=100)
    assert rate.total < 100
    assert rate.p_value(64.0) < 0.03


@pytest.mark.parametrize("score", [1e-9, 0.3, 1.0, 1.99, 7.5, 1e9])
def test_the_floor_of_a_step_is_its_least_score(score: float) -> None:
    floor = floor_of(step_of(score))
    assert floor <= score < floor * 1.13
    assert step_of(floor) == step_of(score)
