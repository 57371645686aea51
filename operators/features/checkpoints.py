"""Checkpoints: the instants of an order's life at which its risk is judged, and what the job learns of others then.

A checkpoint is due when an order was approved, when its ship-by instant passes without a hand-over and some days after,
each day near the promise until it is delivered, when it is delivered, and on some days after that while the customer is
silent. Once the customer has answered for an order, or it was cancelled, there are no more.

What happened to an order — handed over late, a promise that passed, days in transit — is told once, with the first
checkpoint after it or alone: it is what the history of its seller and lane is made of.
"""

from __future__ import annotations

from typing import Any

from config.clock import DAY
from config.events import Event
from config.identity import derived_id
from operators.features.order_progress import order_progress
from operators.journey_state import Journey, Order

CHECKPOINT, LABEL = "checkpoint", "label"
MODEL = "complaint"
"""Key of the model that all of them go to."""

SHIP_BY_DAYS = (0, 2, 4, 7)
"""Days after a missed ship-by instant,"""
PROMISE_DAYS = (-8, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 5, 7, 10, 14, 20)
"""from the promise, while undelivered,"""
DELIVERED_DAYS = (0, 1, 2, 3, 5)
"""and after the delivery, at which an order is judged."""

JUDGED_AFTER = frozenset({"order.approved", "shipment.delivered"})
"""Types of records right after which an order is judged."""

TOLD_HANDED_OVER, TOLD_OVERDUE, TOLD_DELIVERED = 1, 2, 4
"""Bits of `Order.told`: what was told already."""
GRACE = DAY
"""A promise is a day, named by its first instant."""


def label_of(journey: Journey, event: Event) -> Event | None:
    """Return what a review says of its order, for the model; None when the order is not known, or spoken for already.

    Notes in the order that its customer has answered: no checkpoint follows.
    """
    order = journey.orders.get(event.data.get("order_id") or "")
    if order is None or order.answered_at is not None:
        return None
    order.answered_at = event.at
    promised_at, delivered_at = order.promised_at, order.delivered_at
    in_time = delivered_at is not None and (promised_at is None or delivered_at <= promised_at + GRACE)
    data = {"order": event.data["order_id"], "score": event.data.get("score") or 0, "in_time": in_time}
    return _event(LABEL, event.at, event.key, order, event.data["order_id"], data)


def look(customer: str, journey: Journey, now: int) -> tuple[list[Event], int | None]:
    """Return the checkpoints that are due of a customer's orders, and the instant after which the next will be."""
    events: list[Event] = []
    again: int | None = None
    for order_id, order in journey.orders.items():
        if order.placed_at is None or order.answered_at is not None:
            continue
        facts, next_at = _facts(order, now), None
        scored = False
        if order.cancelled_at is None:
            scored, next_at = _due(order, now)
        elif not order.told & TOLD_DELIVERED:
            order.told |= TOLD_DELIVERED
            data = {"order": order_id, "score": None, "in_time": False}
            events.append(_event(LABEL, now, customer, order, order_id, data))
        if scored or facts:
            data = _data(order_id, order, now) | {"facts": facts, "scored": scored, "customer": customer}
            events.append(_event(CHECKPOINT, now, customer, order, order_id, data))
        if next_at is not None and (again is None or next_at < again):
            again = next_at
    return events, again


def _due(order: Order, now: int) -> tuple[bool, int | None]:
    """Return whether a checkpoint has come since the last, noting it as judged; and when the next will."""
    since = order.judged_at
    scored, next_at = False, None
    for at in _schedule(order):
        if at >= now:
            next_at = at if next_at is None else min(next_at, at)
        elif since is None or at >= since:
            scored = True
    if scored:
        order.judged_at = now
    return scored, next_at


def _schedule(order: Order) -> list[int]:
    if order.delivered_at is not None:
        return [order.delivered_at + days * DAY for days in DELIVERED_DAYS]
    schedule = [] if order.approved_at is None else [order.approved_at]
    if order.ship_by is not None and order.handed_over_at is None:
        schedule += [order.ship_by + days * DAY for days in SHIP_BY_DAYS]
    if order.promised_at is not None:
        schedule += [order.promised_at + days * DAY for days in PROMISE_DAYS]
    return schedule


def _facts(order: Order, now: int) -> dict[str, Any]:
    """Return what has happened to an order and was not told yet, noting it as told."""
    facts: dict[str, Any] = {}
    begun, delivered_at, promised_at = order.handed_over_at, order.delivered_at, order.promised_at
    if begun is not None and not order.told & TOLD_HANDED_OVER:
        order.told |= TOLD_HANDED_OVER
        if order.ship_by is not None:
            facts["shipped_late"] = begun > order.ship_by
    if delivered_at is not None and not order.told & TOLD_DELIVERED:
        if begun is not None and delivered_at >= begun:
            facts["transit_days"] = round((delivered_at - begun) / DAY, 4)
        if promised_at is not None and not order.told & TOLD_OVERDUE:
            facts["late"] = delivered_at > promised_at + GRACE
        order.told |= TOLD_DELIVERED | TOLD_OVERDUE
    elif delivered_at is None and promised_at is not None and now > promised_at and not order.told & TOLD_OVERDUE:
        order.told |= TOLD_OVERDUE
        facts["late"] = True
    return facts


def _data(order_id: str, order: Order, now: int) -> dict[str, Any]:
    return {
        "order": order_id,
        "since": order.since,
        "promised_at": order.promised_at,
        "delivered": order.delivered_at is not None,
        "money": order.value or order.paid,
        "sellers": [f"seller:{seller}" for seller, _ in order.sellers],
        "lanes": [f"lane:{lane}" for lane in order.lanes],
        "category": f"category:{order.category}" if order.category else "",
        "products": [product for product, _ in order.products],
        "records": sorted([channel, offset] for channel, offset in order.records),
        "progress": order_progress(order, now),
    }


def _event(kind: str, at: int, customer: str, order: Order, order_id: str, data: dict[str, Any]) -> Event:
    data["entry"] = derived_id("order", customer, order_id, order.since)
    return Event(at, derived_id(kind, customer, order_id, order.since, at), MODEL, kind, data)
