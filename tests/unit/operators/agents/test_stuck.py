"""Orders on which nothing happens any more, and orders that only take their time."""

from __future__ import annotations

import pytest

from config.clock import DAY, HOUR, SECOND
from config.events import Event
from config.findings import Finding
from operators.agents.fulfilment import FulfilmentAgent, FulfilmentParameters
from operators.agents.stuck import STUCK
from tests.support.journeys import (
    ORDER,
    PROMISE,
    SHIP_BY,
    START,
    Stage,
    approved,
    cancelled,
    delivered,
    handed_over,
    kinds,
    paid,
    placed,
    transit,
)


def found_in(*events: Event, until: int = PROMISE + 40 * DAY) -> list[Finding]:
    found = Stage([FulfilmentAgent(FulfilmentParameters())]).run(sorted(events, key=lambda each: each.at), until)
    return [finding for finding in found if finding.kind == STUCK]


def lane(metric: str, days_50: float, days_90: float, at: int = START) -> list[Event]:
    """The lane's signal, told anew every ten days as it would be."""
    return [transit(at + n * 10 * DAY, days_50, days_90, metric=metric) for n in range(6)]


QUICK = lane("handover_hours", 1.0, 1.5)
ON_ROAD = lane("transit_hours", 2.0, 3.0)


def test_paid_order_that_nobody_approves_is_found_after_three_days() -> None:
    (finding,) = found_in(placed(), paid(START + HOUR))

    assert (finding.entity, finding.at) == (f"order:{ORDER}", START + HOUR + 3 * DAY + SECOND)
    assert finding.reason == "Order order-1 has waited for its approval since 2025-03-03."
    assert (finding.harm_at, finding.money_at_risk) == (PROMISE + DAY, 110.0)


def test_order_not_handed_over_is_found_where_its_lane_is_quick() -> None:
    (finding,) = found_in(placed(), approved(START, ship_by=None), *QUICK)

    # p90 and four times the distance from p50, by the heavy tail.
    assert finding.at == START + int(3.5 * DAY) + SECOND
    assert finding.causes == ["seller:seller-1"]
    assert finding.evidence.queries[0].metric == "handover_hours"
    assert finding.reason.endswith("since 2025-03-03; on SP-RJ nine in ten take under 1.5 days.")


def test_order_on_a_lane_of_which_nothing_is_known_is_found_later() -> None:
    (finding,) = found_in(placed(), approved(START, ship_by=None))

    assert finding.at == START + 10 * DAY + SECOND


def test_parcel_lost_on_the_road_is_found_once_its_promise_has_passed() -> None:
    (finding,) = found_in(placed(), approved(), handed_over(START + 2 * DAY), *ON_ROAD)

    assert finding.at == PROMISE + DAY + SECOND


def test_parcel_is_given_the_time_its_lane_takes_though_the_promise_has_come() -> None:
    late = [approved(PROMISE - 2 * DAY, ship_by=None), handed_over(PROMISE - DAY)]

    (finding,) = found_in(placed(), *late, *ON_ROAD)

    assert finding.at == PROMISE + 6 * DAY + SECOND


PATIENT: dict[str, list[Event]] = {
    "in time": [placed(), paid(), approved(), handed_over(), delivered(), *QUICK, *ON_ROAD],
    "not paid": [placed()],
    "slow lane": [placed(), approved(START, ship_by=None), handed_over(START + 9 * DAY), delivered(START + 15 * DAY),
                  *lane("handover_hours", 6.0, 9.0)],
    "pre-order": [placed(promised_at=START + 30 * DAY), approved(START, ship_by=START + 20 * DAY),
                  handed_over(START + 20 * DAY), delivered(START + 28 * DAY), *QUICK],
    "handed over on the last day": [placed(), approved(), handed_over(SHIP_BY), delivered(), *QUICK],
    "within two days on the quickest of lanes": [placed(), approved(START, ship_by=None), handed_over(START + 2 * DAY),
                                                 delivered(), *lane("handover_hours", 0.1, 0.2)],
    "cancelled": [placed(), paid(), cancelled(START + 2 * DAY)],
}  # fmt: skip


@pytest.mark.parametrize("events", PATIENT.values(), ids=PATIENT)
def test_orders_that_take_their_time_are_let_be(events: list[Event]) -> None:
    assert found_in(*events) == []


def test_order_that_moves_on_is_stuck_no_more_and_may_get_stuck_again() -> None:
    moved = START + 15 * DAY

    found = found_in(placed(), approved(START, ship_by=None), handed_over(moved), *QUICK, *lane("transit_hours", 1, 2))

    assert kinds(found) == [(STUCK, False), (STUCK, True), (STUCK, False)]
    assert found[1].at == moved + SECOND


@pytest.mark.parametrize("end", [delivered, cancelled])
def test_stuck_order_that_ends_is_stuck_no_more(end: object) -> None:
    ended = delivered(START + 30 * DAY) if end is delivered else cancelled(START + 30 * DAY)

    assert kinds(found_in(placed(), approved(START, ship_by=None), ended)) == [(STUCK, False), (STUCK, True)]
