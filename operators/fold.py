"""What all folds of a customer's journey share: their shape, how much is remembered, how records are noted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from config.events import Event
from operators.journey_state import Journey, Order
from operators.subject import Subject

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class JourneyLimits:
    """How much is remembered; beyond each limit the least telling goes first: what has ended, then the oldest."""

    orders_max: int = 64
    """Orders per customer."""
    refunds_max: int = 16
    """Refunds per customer."""
    contacts_max: int = 16
    """Contacts, tickets and reviews per customer."""
    products_max: int = 8
    """Products per customer whose usage is remembered."""
    sellers_max: int = 8
    """Sellers per order."""
    records_max: int = 8
    """Records per order or refund that evidence can name."""
    signals_max: int = 10_000
    """Fleet entities whose signals are remembered, per key group; and products whose stock is measured."""
    payments_max: int = 16
    """Payments per order that are told apart."""
    items_max: int = 32
    """Products per order that are told apart."""
    subscriptions_max: int = 8
    """Subscriptions per customer, and changes of the terms of each."""
    invoices_max: int = 16
    """Invoices of subscriptions per customer."""
    attempts_max: int = 64
    """Attempts to pay per customer."""
    sign_ins_max: int = 16
    """Devices, countries, failed and strange sign-ins, changed fields and payouts per customer."""
    matters_max: int = 8
    """Matters a customer got in touch about, and contacts about each."""
    days_max: int = 70
    """Days of use of a product."""


Fold = Callable[[Journey, Event, JourneyLimits], int | None]
"""Changes the journey; returns after which instant its record may give agents something to find or to end."""


def order_of(journey: Journey, event: Event, limits: JourneyLimits) -> Order:
    """Return the order that `event` tells of, noted; the first record of an order begins it."""
    order_id = event.data["order_id"]
    order = journey.orders.get(order_id)
    if order is None:
        order = journey.orders[order_id] = Order(event.at, event.at)
        bound(journey.orders, limits.orders_max, lambda kept: (kept.ended_at is None, kept.seen_at))
    note(order, event, limits)
    return order


def note(subject: Subject, event: Event, limits: JourneyLimits) -> None:
    """Note that `event` told of `subject`."""
    subject.seen_at = event.at
    if len(subject.records) < limits.records_max:
        subject.records.append((event.channel, event.seq))


def note_newest(subject: Subject, event: Event, limits: JourneyLimits) -> None:
    """Note that `event` told of `subject`, which is never over: the newest records count."""
    subject.seen_at = event.at
    subject.records.append((event.channel, event.seq))
    del subject.records[: -limits.records_max]


def bound(table: dict[str, T], most: int, rank: Callable[[T], Any]) -> None:
    """Drop the entry of the lowest rank, at equal rank of the lowest key, when `table` exceeds `most`."""
    if len(table) > most:
        del table[min(table, key=lambda key: (rank(table[key]), key))]
