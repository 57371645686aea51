"""What a customer's records tell products, sellers, lanes, devices and instruments."""

from __future__ import annotations

from collections import Counter
from typing import Any

from config.clock import DAY, HOUR
from config.events import BROADCAST, Event
from tests.support.journeys import (
    CUSTOMER,
    ORDER,
    START,
    Stage,
    cancelled,
    delivered,
    event,
    handed_over,
    paid,
    placed,
    refused,
    reviewed,
    ticket,
)


def measured(product: str = "p") -> Event:
    data = {"entity": f"product:{product}", "name": "w1", "at": START - DAY}
    return Event(START - DAY, f"signal-{product}", BROADCAST, "signal", data, "@telemetry/0", 0)


def told(*events: Event) -> list[Event]:
    """Return what the cause stage is told, but for findings."""
    stage = Stage([])
    stage.run(sorted(events, key=lambda each: each.at), START + 30 * DAY)
    return [each for to, each in stage.emitted if to == "cause"]


def test_products_whose_stock_is_measured_are_told_of_orders() -> None:
    two = [("a", "SP"), ("b", "SP")]

    events = told(measured(), placed(sellers=two), handed_over(), delivered(), cancelled(START + 20 * DAY))

    assert [(each.type, each.key) for each in events] == [
        ("demand", "product:p"), ("left", "product:p"), ("left", "product:p"), ("gone", "product:p")
    ]  # fmt: skip
    assert events[0].data["units"] == 2
    assert events[0].data["amount"] == 200_000_000
    assert events[0].data["record"] == ("orders", 0, START % 1_000_003)
    assert {each.data["order"] for each in events} == {f"{CUSTOMER} {ORDER}"}


def test_other_products_are_not() -> None:
    assert told(measured("q"), placed(), handed_over(), cancelled(START + 3 * DAY)) == []


def test_devices_are_told_of_payments_and_instruments_of_those_that_fail() -> None:
    events = told(
        paid(START, instrument="i", device="d"), refused(START + HOUR, instrument="i", device="d"), paid(START + DAY)
    )

    assert [(each.key, each.data["failed"]) for each in events] == [
        ("device:d", False), ("device:d", True), ("instrument:i", True)
    ]  # fmt: skip


def test_products_sellers_and_lanes_are_told_what_customers_say() -> None:
    question: dict[str, Any] = {"contact_id": "n", "channel": "chat", "order_id": ORDER}

    events = told(
        placed(),
        reviewed(START + 2 * DAY, 3),
        reviewed(START + 3 * DAY, 2),
        ticket(START + 4 * DAY, order=ORDER),
        ticket(START + 5 * DAY),
        event(START + 6 * DAY, "contact.made", question),
    )

    assert Counter(each.key for each in events) == {"product:p": 3, "seller:seller-1": 3, "lane:SP-RJ": 3}
    assert [each.data["bad"] for each in events if each.key == "product:p"] == [False, True, True]
    parts = {each.key: each.data["parts"] for each in events}
    assert parts == {"product:p": [], "seller:seller-1": ["product:p"], "lane:SP-RJ": ["seller:seller-1"]}
    assert len({each.id for each in events}) == len(events)
