"""What a customer's record tells the fleet entities behind it: products, sellers, lanes, devices, instruments.

Findings reach the cause stage by the causes they name; these events reach it although nothing is wrong yet, because
what is unusual about a product or a device shows only across customers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from config.events import Event
from config.identity import derived_id
from config.money import money
from operators.agents.base import SCORE_BAD
from operators.agents.complaints import HEARD
from operators.agents.devices import TRIED
from operators.agents.stock import DEMAND, GONE, LEFT
from operators.journey_state import Journey

ORDER_TYPES = {
    "order.placed": DEMAND,
    "shipment.handed_over": LEFT,
    "shipment.delivered": LEFT,
    "order.cancelled": GONE,
}
PAYMENT_TYPES = frozenset({"payment.captured", "payment.failed"})
VOICE_TYPES = frozenset({"review.answered", "ticket.opened"})
"""Of contacts, most are questions."""
TYPES = ORDER_TYPES.keys() | PAYMENT_TYPES | VOICE_TYPES


def relayed(journey: Journey, event: Event, stocked: dict[str, int]) -> Iterator[Event]:
    """Return what `event`, folded into `journey`, tells fleet entities.

    Args:
        journey: The customer's.
        event: The record's.
        stocked: Products whose stock is measured; no others are told of orders.
    """
    if event.type in ORDER_TYPES:
        return _of_order(journey, event, stocked)
    return _of_payment(event) if event.type in PAYMENT_TYPES else _of_voice(journey, event)


def _of_order(journey: Journey, event: Event, stocked: dict[str, int]) -> Iterator[Event]:
    order_id = event.data["order_id"]
    order = journey.orders.get(order_id)
    if order is None:
        return
    name = ORDER_TYPES[event.type]
    for product, units in order.products:
        if product in stocked:
            data: dict[str, Any] = {"order": f"{event.key} {order_id}"}
            if name == DEMAND:
                items = (item for item in event.data["items"] if item["product_id"] == product)
                data |= {"units": units, "amount": sum(money(item["price"]) for item in items)}
            yield _told(event, f"product:{product}", name, data)


def _of_payment(event: Event) -> Iterator[Event]:
    data = event.data
    failed = event.type == "payment.failed"
    told = {"customer": event.key, "failed": failed, "amount": money(data["amount"])}
    if data.get("device_hash"):
        yield _told(event, f"device:{data['device_hash']}", TRIED, told)
    # A card belongs to one customer: that it is refused for others is what counts.
    if failed and data.get("instrument_hash"):
        yield _told(event, f"instrument:{data['instrument_hash']}", TRIED, told)


def _of_voice(journey: Journey, event: Event) -> Iterator[Event]:
    order = journey.orders.get(event.data.get("order_id") or "")
    if order is None:
        return
    bad = event.type != "review.answered" or event.data["score"] <= SCORE_BAD
    products = [f"product:{product}" for product, _ in order.products]
    sellers = sorted({f"seller:{seller}" for seller, _ in order.sellers})
    lanes = [f"lane:{lane}" for lane in order.lanes]
    # What each is made of, as far as the order tells: whose trouble it may be instead.
    for entities, parts in ((products, []), (sellers, products), (lanes, sellers)):
        for entity in entities:
            yield _told(event, entity, HEARD, {"customer": event.key, "bad": bad, "parts": parts})


def _told(event: Event, entity: str, name: str, data: dict[str, Any]) -> Event:
    topic, _, partition = event.channel.rpartition("/")
    record = (topic, int(partition or 0), event.seq)
    return Event(event.at, derived_id(name, event.id, entity), entity, name, data | {"record": record})
