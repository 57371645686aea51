"""How long shipments take, from two quantiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.agents.transit import Transit

durations = st.floats(0, 1e9)
lanes = st.builds(
    lambda p50, more: Transit(p50, p50 + more), st.floats(0, 1e6, allow_subnormal=False), st.floats(1e-3, 1e6)
)


def test_half_are_under_way_at_the_median_and_a_tenth_at_the_ninth_decile() -> None:
    lane = Transit(100, 200)

    assert [lane.underway(elapsed) for elapsed in (-1, 0, 50, 100, 150, 200)] == pytest.approx(
        [1, 1, 0.75, 0.5, 0.3, 0.1]
    )
    assert lane.underway(300) == pytest.approx(0.05)
    assert [lane.elapsed(share) for share in (1, 0.5, 0.1)] == pytest.approx([0, 100, 200])


@given(lanes, durations, durations)
def test_share_under_way_never_rises_and_never_ends(lane: Transit, one: float, other: float) -> None:
    assert 1 >= lane.underway(min(one, other)) >= lane.underway(max(one, other)) > 0


@given(lanes, st.floats(0.001, 1))
def test_elapsed_is_the_inverse_of_underway(lane: Transit, share: float) -> None:
    assert lane.underway(lane.elapsed(share)) == pytest.approx(share, rel=1e-6) or lane.elapsed(share) == 0


def test_risk_of_being_late_grows_while_under_way() -> None:
    lane = Transit(100, 200)

    risks = [lane.late(elapsed, 150) for elapsed in (0, 50, 100, 149, 150, 151)]

    assert risks == pytest.approx([0.3, 0.4, 0.6, 0.3 / 0.304, 1, 1])


def test_lane_on_which_all_take_the_same_is_no_cliff() -> None:
    lane = Transit(100, 100)

    assert lane.underway(95) == pytest.approx(0.5)
    assert lane.underway(100) == pytest.approx(0.1)


def test_lane_on_which_half_arrive_at_once_is_fine() -> None:
    lane = Transit(0, 10)

    assert lane.underway(1e-9) == pytest.approx(0.5)
    assert lane.elapsed(0.7) == 0
