from __future__ import annotations

import pytest

from config.clock import DAY
from operators.features.fleet_history import COMPLAINED, LATE, START, History, fleet_history
from operators.features.order_progress import DELIVERED, WITH_CARRIER, WITH_SELLER, order_progress
from operators.features.vector import NAMES, vector
from operators.journey_state import Order

DAY_0 = 1_000 * DAY


def order(*, handed_over_at: int | None = None, delivered_at: int | None = None) -> Order:
    made = Order(DAY_0, DAY_0, placed_at=DAY_0, promised_at=DAY_0 + 20 * DAY, ship_by=DAY_0 + 4 * DAY)
    made.handed_over_at, made.delivered_at = handed_over_at, delivered_at
    return made


def test_what_does_not_apply_yet_is_absent() -> None:
    row = order_progress(order(), DAY_0 + 5 * DAY)
    assert (row["stage"], row["left_days"], row["ship_overdue_days"]) == (WITH_SELLER, 15.0, 1.0)
    assert row["transit_days"] is row["delivered_late_days"] is row["since_delivered_days"] is None


def test_spans_follow_the_order_from_stage_to_stage() -> None:
    begun = order(handed_over_at=DAY_0 + 3 * DAY)
    row = order_progress(begun, DAY_0 + 6 * DAY)
    assert (row["stage"], row["ship_overdue_days"], row["transit_days"]) == (WITH_CARRIER, -1.0, 3.0)
    begun.delivered_at = DAY_0 + 22 * DAY
    row = order_progress(begun, DAY_0 + 24 * DAY)
    assert (row["stage"], row["transit_days"]) == (DELIVERED, None)
    assert (row["delivered_late_days"], row["delivered_after_days"], row["since_delivered_days"]) == (2.0, 22.0, 2.0)


def test_of_an_entity_never_heard_of_the_rate_is_that_of_all() -> None:
    history = History()
    for hit in [True] * 100 + [False] * 100:
        history.count(["seller:a"], COMPLAINED, hit, DAY_0)
    row = fleet_history(history, ["seller:b"], [], "", DAY_0)
    assert row["complaints"] == pytest.approx((100 + 50 * START[COMPLAINED]) / 250, abs=1e-4)
    # Of a seller a little more: it may be a bad one.
    assert row["seller_complaints"] == pytest.approx(row["complaints"], abs=0.006)
    assert row["seller_late"] == row["late"]


def test_few_trials_move_a_rate_little_and_many_make_it() -> None:
    history = History()
    history.count(["seller:few"], LATE, True, DAY_0)
    for _ in range(100):
        history.count(["seller:many"], LATE, True, DAY_0)
    few = fleet_history(history, ["seller:few"], [], "", DAY_0)["seller_late"]
    many = fleet_history(history, ["seller:many", "seller:few"], [], "", DAY_0)["seller_late"]
    assert few is not None
    assert many is not None
    assert few < 0.8 < many


def seller_of(complaints: int, contents: int) -> float:
    """Return the rate of a seller of so many answers, where one in seven of all complains."""
    history = History()
    for number in range(700):
        history.count([], COMPLAINED, number % 7 == 0, DAY_0)
    for number in range(complaints + contents):
        history.count(["seller:a"], COMPLAINED, number < complaints, DAY_0)
    return fleet_history(history, ["seller:a"], [], "", DAY_0)["seller_complaints"] or 0.0


def test_a_seller_of_whom_everybody_complains_is_not_taken_for_one_of_the_many() -> None:
    assert seller_of(10, 0) > 0.88
    assert seller_of(5, 0) > 0.7
    assert seller_of(10, 0) > seller_of(10, 5) > seller_of(5, 5)


@pytest.mark.parametrize(("complaints", "contents"), [(0, 0), (1, 0), (0, 10), (1, 6), (3, 20)])
def test_other_sellers_are_drawn_towards_all_as_ever(complaints: int, contents: int) -> None:
    plain = (complaints + 8 / 7) / (complaints + contents + 8)
    assert seller_of(complaints, contents) == pytest.approx(plain, abs=0.05)


def test_what_happened_long_ago_fades() -> None:
    history = History()
    for _ in range(50):
        history.count(["lane:SP-RJ"], LATE, True, DAY_0)
    lately, later = (fleet_history(history, [], ["lane:SP-RJ"], "", DAY_0 + days * DAY) for days in (1, 400))
    assert (lately["lane_late"] or 0) > 0.6 > 0.2 > (later["lane_late"] or 0)


def test_the_longest_silent_are_forgotten_first() -> None:
    history = History()
    for number in range(30):
        history.count([f"seller:{number:02}"], LATE, False, DAY_0 + number)
    history.bound(20)
    assert len(history.entities) == 18
    assert "seller:29" in history.entities
    assert "seller:00" not in history.entities


def test_a_vector_has_a_number_for_each_name_between_bounds() -> None:
    history = fleet_history(History(), ["seller:a"], ["lane:SP-RJ"], "category:toys", DAY_0)
    for begun in (order(), order(handed_over_at=DAY_0 + DAY), order(delivered_at=DAY_0 + 9 * DAY)):
        numbers = vector(order_progress(begun, DAY_0 + 10 * DAY), history)
        assert len(numbers) == len(NAMES) == len(set(NAMES))
        assert all(-6 <= number <= 6 for number in numbers)


def test_the_same_lateness_stands_elsewhere_in_another_stage() -> None:
    history, now = fleet_history(History(), [], [], "", DAY_0), DAY_0 + 25 * DAY
    with_seller, with_carrier = (
        {name for name, number in zip(NAMES, vector(order_progress(each, now), history), strict=True) if number}
        for each in (order(), order(handed_over_at=DAY_0 + 3 * DAY))
    )
    assert any(name.startswith("left_days") and "stage 0" in name for name in with_seller)
    assert not any("stage 0" in name or name == "stage 0" for name in with_carrier)
