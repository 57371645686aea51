"""What the aftercare agent finds, when, and what it lets be."""

from __future__ import annotations

from aftercare import REFUND_MISSING, AftercareAgent, AftercareParameters

from config.clock import DAY, SECOND
from config.events import Event
from tests.support.journeys import START, Stage, cancelled, delivered, kinds, paid, placed, refund_requested


def found_in(*events: Event) -> list[tuple[str, bool]]:
    return kinds(Stage([AftercareAgent(AftercareParameters())]).run([placed(), *events], START + 20 * DAY))


def test_cancelled_order_without_a_refund_is_found_two_days_later() -> None:
    stage = Stage([AftercareAgent(AftercareParameters())])

    (finding,) = stage.run([placed(), paid(), cancelled(START + DAY)], START + 20 * DAY)

    assert (finding.kind, finding.at) == (REFUND_MISSING, START + 3 * DAY + SECOND)
    assert finding.reason == "Order order-1 was paid and cancelled on 2025-03-04, and no refund was requested."


def test_orders_that_need_no_refund_are_let_be() -> None:
    assert found_in(paid(), delivered()) == []
    assert found_in(cancelled(START + DAY)) == []
    assert found_in(paid(), cancelled(START + DAY), refund_requested(START + 3 * DAY)) == []


def test_finding_ends_with_a_refund() -> None:
    found = found_in(paid(), cancelled(START + DAY), refund_requested(START + 9 * DAY))

    assert found == [(REFUND_MISSING, False), (REFUND_MISSING, True)]
