"""Which jumps of a partition's clock are believed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from operators.clock_guard import Verdicts, judge

JUMP = 100
LATENESS = 5


def judged(times: list[int], newest: int | None = 0) -> tuple[list[int], list[int], list[int]]:
    verdicts = judge(times, newest, LATENESS, JUMP)
    return [times[i] for i in verdicts.accepted], [times[i] for i in verdicts.wild], [times[i] for i in verdicts.held]


def test_ordinary_records_are_believed() -> None:
    assert judged([1, 50, 149, 30]) == ([1, 50, 149, 30], [], [])


def test_a_single_jump_is_held() -> None:
    assert judged([1, 9999]) == ([1], [], [9999])


def test_a_jump_is_wild_when_the_partition_returns() -> None:
    assert judged([1, 9999, 2]) == ([1, 2], [9999], [])


def test_a_jump_is_believed_after_two_more_that_fit_it() -> None:
    assert judged([1, 1000, 996, 1050]) == ([1, 1000, 996, 1050], [], [])


def test_one_more_is_not_enough() -> None:
    assert judged([1, 1000, 1001, 2]) == ([1, 2], [1000, 1001], [])


def test_a_jump_ahead_of_a_held_jump_is_the_wild_one() -> None:
    assert judged([1, 1000, 9999, 1001, 1002]) == ([1, 1000, 1001, 1002], [9999], [])


def test_a_smaller_jump_takes_the_place_of_a_larger_one() -> None:
    assert judged([1, 9999, 1000, 1001, 1002]) == ([1, 1000, 1001, 1002], [9999], [])


def test_the_first_record_of_a_partition_is_believed() -> None:
    assert judged([5000, 5001], None) == ([5000, 5001], [], [])


@given(st.lists(st.integers(0, 700), max_size=40), st.integers(0, 40))
def test_the_verdicts_do_not_depend_on_where_the_sequence_is_cut(times: list[int], cut: int) -> None:
    whole = judge(times, 0, LATENESS, JUMP)
    first = judge(times[:cut], 0, LATENESS, JUMP)
    newest = max([0, *(times[i] for i in first.accepted)])
    rest = first.held + list(range(min(cut, len(times)), len(times)))
    second = judge([times[i] for i in rest], newest, LATENESS, JUMP)
    joined = Verdicts(
        first.accepted + [rest[i] for i in second.accepted],
        first.wild + [rest[i] for i in second.wild],
        [rest[i] for i in second.held],
    )
    assert joined == whole


@given(st.lists(st.integers(0, 700), max_size=40))
def test_every_record_gets_exactly_one_verdict(times: list[int]) -> None:
    verdicts = judge(times, 0, LATENESS, JUMP)
    assert sorted(verdicts.accepted + verdicts.wild + verdicts.held) == list(range(len(times)))
