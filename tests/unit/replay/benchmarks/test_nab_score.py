"""The score of the Numenta Anomaly Benchmark, against numbers worked out by hand from the paper's formulas."""

from __future__ import annotations

from itertools import pairwise
from math import exp, inf

import numpy as np
import pytest

from replay.benchmarks.nab_score import (
    PROFILES,
    Flags,
    Profile,
    best_threshold,
    normalised,
    probation_rows,
    scaled_sigmoid,
    tally,
    total,
    worth,
)

STANDARD = PROFILES["standard"]
SERIES = worth(100, [(40, 49), (70, 79)])
"""A hundred rows of which the first 15 are probation, and two windows of ten."""


def detected(*rows: int, of: int = 100) -> Flags:
    flags = np.zeros(of, dtype=np.bool_)
    flags[list(rows)] = True
    return flags


def sigmoid(y: float) -> float:
    return 2 / (1 + exp(5 * y)) - 1


@pytest.mark.parametrize(
    ("position", "value"), [(-1, 0.98661), (-0.5, 0.84828), (0, 0), (0.5, -0.84828), (1, -0.98661), (3.1, -1)]
)
def test_worth_falls_through_zero_at_the_right_edge(position: float, value: float) -> None:
    assert scaled_sigmoid(position) == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize(("rows", "probation"), [(100, 15), (1999, 299), (5000, 750), (15902, 750), (3, 0)])
def test_probation_is_a_share_with_a_limit(rows: int, probation: int) -> None:
    assert probation_rows(rows) == probation


def test_no_detection_costs_every_window() -> None:
    result = tally(detected(), SERIES, STANDARD)
    assert (result.score, result.windows, result.found) == (-2, 2, 0)
    assert normalised(result, STANDARD) == 0


def test_detections_at_the_left_edges_are_perfect() -> None:
    result = tally(detected(40, 70), SERIES, STANDARD)
    assert result.score == pytest.approx(2)
    assert normalised(result, STANDARD) == pytest.approx(100)


def test_only_the_first_detection_in_a_window_counts() -> None:
    first = tally(detected(44), SERIES, STANDARD)
    assert first.score == pytest.approx(sigmoid(-0.6) / sigmoid(-1) - 1)
    assert tally(detected(44, 45, 49), SERIES, STANDARD) == first


def test_the_last_row_of_a_window_is_still_worth_something() -> None:
    assert tally(detected(49), SERIES, STANDARD).score == pytest.approx(sigmoid(-0.1) / sigmoid(-1) - 1)


def test_a_false_positive_costs_more_the_farther_it_is_behind_a_window() -> None:
    costs = [tally(detected(row), SERIES, STANDARD).score + 2 for row in (50, 54, 60, 69)]
    assert costs == pytest.approx([0.11 * sigmoid(n / 9) for n in (1, 5, 11, 20)])
    assert all(earlier > later for earlier, later in pairwise(costs))


def test_a_false_positive_before_any_window_costs_all() -> None:
    assert tally(detected(20), SERIES, STANDARD).score == pytest.approx(-2 - 0.11)


def test_every_false_positive_row_costs() -> None:
    result = tally(detected(20, 21, 22), SERIES, STANDARD)
    assert result.score == pytest.approx(-2 - 3 * 0.11)
    assert result.false_positives == 3


def test_the_nearest_window_before_counts_and_not_the_one_after() -> None:
    assert tally(detected(69), SERIES, STANDARD).score == pytest.approx(-2 + 0.11 * sigmoid(20 / 9))
    assert tally(detected(80), SERIES, STANDARD).score == pytest.approx(-2 + 0.11 * sigmoid(1 / 9))


def test_probation_is_not_judged() -> None:
    assert tally(detected(*range(15)), SERIES, STANDARD) == tally(detected(), SERIES, STANDARD)
    early = worth(100, [(2, 8), (10, 20)])
    assert early.judged == (1,)
    assert tally(detected(12), early, STANDARD).score == -1
    assert tally(detected(15), early, STANDARD).score == pytest.approx(sigmoid(-6 / 11) / sigmoid(-1))


def test_a_window_of_one_row_is_judged() -> None:
    single = worth(100, [(50, 50)])
    assert tally(detected(50), single, STANDARD).score == pytest.approx(1)
    assert tally(detected(51), single, STANDARD).score == pytest.approx(-1.11)


def test_profiles_weigh_what_a_user_minds() -> None:
    flags = detected(20, 70)
    low_fp, low_fn = (tally(flags, SERIES, PROFILES[name]) for name in ("reward_low_fp", "reward_low_fn"))
    assert low_fp.score == pytest.approx(1 - 1 - 0.22)
    assert low_fn.score == pytest.approx(1 - 2 - 0.11)
    assert normalised(low_fn, PROFILES["reward_low_fn"]) == pytest.approx(100 * (1 - 2 - 0.11 + 4) / 6)


def test_series_without_windows_have_no_score_of_their_own() -> None:
    quiet = worth(100, [])
    assert normalised(tally(detected(30), quiet, STANDARD), STANDARD) is None
    both = total([tally(detected(30), quiet, STANDARD), tally(detected(40, 70), SERIES, STANDARD)])
    assert normalised(both, STANDARD) == pytest.approx(100 * (2 - 0.11 + 2) / 4)


def test_the_best_threshold_is_one_for_all_series() -> None:
    other = worth(100, [(30, 39)])
    scores = [np.zeros(100), np.zeros(100)]
    scores[0][[40, 70, 20]] = 0.9, 0.6, 0.5
    scores[1][[30, 60]] = 0.6, 0.7
    threshold, score = best_threshold(scores, [SERIES, other], STANDARD)
    assert threshold == 0.6
    assert score == pytest.approx(3 + 0.11 * sigmoid(21 / 9))
    assert score == pytest.approx(
        sum(tally(s >= 0.6, w, STANDARD).score for s, w in zip(scores, [SERIES, other], strict=True))
    )


def test_where_detecting_does_not_pay_the_best_threshold_is_never() -> None:
    scores = [np.linspace(1, 0, 100)]
    assert best_threshold(scores, [SERIES], Profile(1, 10, 1)) == (inf, -2)


def test_rows_of_equal_score_are_detected_together() -> None:
    threshold, score = best_threshold([np.full(100, 0.5)], [SERIES], Profile(1, 0.0001, 1))
    assert threshold == 0.5
    assert score == pytest.approx(2 + 0.0001 * SERIES.values[15:][SERIES.windows[15:] < 0].sum())
