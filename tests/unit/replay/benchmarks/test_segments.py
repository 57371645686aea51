"""Scoring by segments: worked out by hand."""

from __future__ import annotations

import numpy as np

from replay.benchmarks.segments import Flags, runs, tally, total


def flags(length: int, *spans: tuple[int, int]) -> Flags:
    made = np.zeros(length, dtype=np.bool_)
    for first, end in spans:
        made[first:end] = True
    return made


def test_runs_are_stretches_joined_over_small_gaps() -> None:
    set_ = flags(30, (0, 2), (5, 6), (9, 12), (29, 30))
    assert runs(set_) == [(0, 2), (5, 6), (9, 12), (29, 30)]
    assert runs(set_, gap=3) == [(0, 12), (29, 30)]
    assert runs(set_, gap=2) == [(0, 2), (5, 6), (9, 12), (29, 30)]
    assert runs(flags(10)) == []


def test_any_point_finds_a_segment_and_its_delay_is_to_the_first() -> None:
    result = tally(flags(100, (25, 26), (28, 29), (50, 51)), flags(100, (20, 30), (50, 60), (80, 85)), gap=0)
    assert (result.segments, result.found, result.delays) == (3, 2, (5, 0))
    assert result.recall == 2 / 3
    assert (result.alarms, result.false_alarms) == (3, 0)


def test_alarms_without_a_labelled_point_are_false() -> None:
    result = tally(flags(1000, (100, 102), (110, 111), (500, 501)), flags(1000, (502, 510)), gap=20)
    assert (result.alarms, result.false_alarms, result.found) == (2, 2, 0)
    assert result.false_per_1000 == 2
    assert result.precision == 0


def test_an_alarm_that_reaches_into_a_segment_is_not_false_but_only_a_point_inside_finds_it() -> None:
    result = tally(flags(100, (10, 11), (25, 26)), flags(100, (15, 20)), gap=20)
    assert (result.alarms, result.false_alarms, result.found) == (1, 0, 0)


def test_nothing_detected_and_nothing_labelled_have_no_shares() -> None:
    result = tally(flags(10), flags(10))
    assert (result.recall, result.precision, result.false_per_1000) == (None, None, 0)


def test_totals_are_sums_of_counts() -> None:
    one = tally(flags(100, (5, 6)), flags(100, (5, 10)))
    other = tally(flags(300, (5, 6)), flags(300, (100, 110)))
    both = total([one, other])
    assert (both.points, both.segments, both.found, both.false_alarms) == (400, 2, 1, 1)
    assert both.document() == {
        "segments": 2,
        "found": 1,
        "recall": 0.5,
        "precision": 0.5,
        "delay_points": 0,
        "alarms": 2,
        "false_alarms": 1,
        "false_per_1000": 2.5,
    }
