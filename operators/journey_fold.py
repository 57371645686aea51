"""How a record changes a customer's journey: a fold that does not mind the order of its arguments.

An order may first be heard of through any of its records, and records of one instant come in no useful order. So
every fold here commutes with the folds of other types at the same instant: it fills in what its record knows, adds,
or keeps the first or newest. Of two records of one type that contradict each other, the later counts.
"""

from __future__ import annotations

from bisect import insort

from config.events import Event
from config.money import money
from operators.account_fold import ACCOUNT_FOLDS, attempted, heard, used
from operators.customer_state import Payment
from operators.fold import Fold, JourneyLimits, bound, note, order_of
from operators.journey_state import Contact, Journey, Refund, Signal, Ticket, Usage


def _refund(journey: Journey, event: Event, limits: JourneyLimits) -> Refund:
    refund_id = event.data["refund_id"]
    refund = journey.refunds.get(refund_id)
    if refund is None:
        refund = journey.refunds[refund_id] = Refund(event.at, event.at)
        bound(journey.refunds, limits.refunds_max, lambda kept: (kept.posted_at is None, kept.seen_at))
    note(refund, event, limits)
    refund.order_id = event.data["order_id"]
    return refund


def _placed(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    order, data = order_of(journey, event, limits), event.data
    items = data["items"]
    order.placed_at = event.at
    order.promised_at = data.get("promised_at")
    order.customer_state = data.get("customer_state") or ""
    order.freight = sum(money(item.get("freight") or 0) for item in items)
    order.value = order.freight + sum(money(item["price"]) for item in items)
    units: dict[str, int] = {}
    for item in items:
        units[item["product_id"]] = units.get(item["product_id"], 0) + 1
    order.products = sorted(units.items())[: limits.items_max]
    sellers = {(item["seller_id"], item.get("seller_state") or "") for item in items}
    order.sellers = sorted(sellers)[: limits.sellers_max]
    order.items, order.products_count = len(items), len({item["product_id"] for item in items})
    order.category = (items[0].get("category") or "") if items else ""
    return event.at


def _approved(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    order, ship_by = order_of(journey, event, limits), event.data.get("ship_by")
    if order.approved_at is None:
        order.approved_at = event.at
    if ship_by is not None:
        order.ship_by = ship_by
        return int(ship_by)
    return event.at


def _cancelled(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    order = order_of(journey, event, limits)
    if order.cancelled_at is None:
        order.cancelled_at = event.at
    if order.ended_at is None:
        order.ended_at = event.at
    return event.at


def _captured(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    order, data = order_of(journey, event, limits), event.data
    amount, first = money(data["amount"]), not order.payments
    order.paid += amount
    if len(order.payments) < limits.payments_max:
        instrument, installments = data.get("instrument_hash") or "", data.get("installments") or 1
        order.payments.append(Payment(event.at, amount, data["method"], instrument, installments))
    attempted(journey, event, limits)
    # Most orders are paid once and in full: agents need not look at them.
    return None if first and len(journey.orders) == 1 and order.value in (0, order.paid) else event.at


def _handed_over(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    order = order_of(journey, event, limits)
    if order.handed_over_at is None:
        order.handed_over_at = event.at
    return event.at


def _delivered(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    order = order_of(journey, event, limits)
    if order.delivered_at is None:
        order.delivered_at = event.at
    if order.ended_at is None:
        order.ended_at = event.at
    # Most orders end well: where a promise is watched, the look at it comes anyway, and is soon enough to forget.
    return event.at if order.findings or journey.matters or order.promised_at is None else None


def _refund_requested(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    refund, data = _refund(journey, event, limits), event.data
    refund.requested_at = event.at
    refund.due_at = data.get("due_at")
    refund.amount = money(data["amount"])
    return event.at


def _refund_posted(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    refund = _refund(journey, event, limits)
    if refund.posted_at is None:
        refund.posted_at = event.at
    return event.at


def _contacted(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    data = event.data
    insort(journey.contacts, Contact(event.at, event.type, data.get("order_id") or "", data.get("score") or 0))
    del journey.contacts[: -limits.contacts_max]
    return None if event.type == "review.answered" else heard(journey, event, limits)


def _ticket(journey: Journey, event: Event, limits: JourneyLimits) -> Ticket:
    ticket_id = event.data["ticket_id"]
    ticket = journey.tickets.get(ticket_id)
    if ticket is None:
        ticket = journey.tickets[ticket_id] = Ticket(event.at)
        bound(journey.tickets, limits.contacts_max, lambda kept: (kept.closed_at is None, kept.seen_at))
    ticket.seen_at = event.at
    return ticket


def _ticket_opened(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    _ticket(journey, event, limits)
    return _contacted(journey, event, limits)


def _ticket_closed(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    _ticket(journey, event, limits).closed_at = event.at
    return event.at


def _used(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    product, usage = event.data["product"], Usage(event.at, event.data["value"])
    known = journey.usage.get(product)
    journey.usage[product] = usage if known is None else max(known, usage)
    if known is None:
        bound(journey.usage, limits.products_max, lambda kept: kept.at)
    return used(journey, event, limits)


FOLDS: dict[str, Fold] = {
    "order.placed": _placed,
    "order.approved": _approved,
    "order.cancelled": _cancelled,
    "payment.captured": _captured,
    "shipment.handed_over": _handed_over,
    "shipment.delivered": _delivered,
    "refund.requested": _refund_requested,
    "refund.posted": _refund_posted,
    "review.answered": _contacted,
    "contact.made": _contacted,
    "ticket.opened": _ticket_opened,
    "ticket.closed": _ticket_closed,
    "usage.measured": _used,
    **ACCOUNT_FOLDS,
}
"""By event type."""


def fold_signal(journey: Journey, event: Event, limits: JourneyLimits) -> None:
    """Keep a fleet signal when it is not older than the one known of the same entity and name."""
    data = event.data
    entity, name, at = data["entity"], data["name"], data["at"]
    named = journey.signals.get(entity, {})
    known = named.get(name)
    if known is None or known.at <= at:
        features = data["features"]
        count = int(features.get("count") or 0)
        spans = {channel: (first, last) for channel, (first, last) in data["spans"].items()}
        named[name] = Signal(
            at, data["since"], count, features.get("p50"), features.get("p90"), spans, data["contract"]
        )
    if entity not in journey.signals:
        journey.signals[entity] = named
        bound(journey.signals, limits.signals_max, lambda kept: max(signal.at for signal in kept.values()))


PRODUCT = "product:"


def fold_stocked(journey: Journey, event: Event, limits: JourneyLimits) -> None:
    """Note that a product's stock is measured; beyond the limit, the one measured longest ago goes."""
    product = event.data["entity"].removeprefix(PRODUCT)
    journey.stocked.pop(product, None)
    journey.stocked[product] = event.data["at"]
    while len(journey.stocked) > limits.signals_max:
        del journey.stocked[next(iter(journey.stocked))]
