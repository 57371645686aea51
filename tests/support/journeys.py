"""Builders of a customer's events, and a journey stage to put them through, on the real key group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from config.clock import DAY, HOUR, from_text
from config.events import BROADCAST, Event
from config.findings import Finding
from operators.agents.base import CustomerAgent
from operators.agents.billing import BillingAgent
from operators.agents.fulfilment import FulfilmentAgent, FulfilmentParameters
from operators.frame import Frame
from operators.journey import JourneyLogic, JourneySettings
from operators.journey_state import Journey
from operators.keyed import KeyedGroup

START = from_text("2025-03-03T10:00:00Z")
"""The order of most tests is placed at this instant,"""
PROMISE = from_text("2025-03-23T00:00:00Z")
"""promised for this day,"""
SHIP_BY = START + 4 * DAY
"""and to be handed over by this instant."""
CUSTOMER, ORDER = "customer-1", "order-1"
CHANNEL = "orders/0"

SELLERS = (("seller-1", "SP"),)


def event(at: int, type_: str, data: dict[str, Any], *, customer: str = CUSTOMER, id_: str = "") -> Event:
    """Return a record's event; its id says what it is, so that the same fact has the same id."""
    name = id_ or f"/shop|{type_}-{data.get('order_id') or ''}-{at}"
    return Event(at, name, customer, type_, {"customer_id": customer, **data}, CHANNEL, at % 1_000_003)


def placed(
    at: int = START,
    *,
    order: str = ORDER,
    promised_at: int | None = PROMISE,
    sellers: Sequence[tuple[str, str]] = SELLERS,
    price: float = 100.0,
) -> Event:
    items = [
        {"product_id": "p", "seller_id": seller, "seller_state": state, "price": price, "freight": 10.0}
        for seller, state in sellers
    ]
    data = {"order_id": order, "customer_state": "RJ", "promised_at": promised_at, "items": items}
    return event(at, "order.placed", data)


def approved(at: int = START + HOUR, *, order: str = ORDER, ship_by: int | None = SHIP_BY) -> Event:
    return event(at, "order.approved", {"order_id": order, "ship_by": ship_by})


def cancelled(at: int, *, order: str = ORDER) -> Event:
    return event(at, "order.cancelled", {"order_id": order, "reason": None})


def paid(
    at: int = START,
    *,
    order: str = ORDER,
    amount: float = 110.0,
    method: str = "card",
    installments: int = 1,
    instrument: str | None = None,
    device: str | None = None,
    sequence: int = 1,
    customer: str = CUSTOMER,
    id_: str = "",
) -> Event:
    data = {"order_id": order, "method": method, "installments": installments, "amount": amount, "sequence": sequence}
    data |= {"instrument_hash": instrument, "device_hash": device}
    name = id_ or f"/shop|paid-{order}-{at}-{sequence}-{customer}"
    return event(at, "payment.captured", data, customer=customer, id_=name)


def refused(
    at: int,
    *,
    order: str = ORDER,
    amount: float = 110.0,
    instrument: str | None = None,
    device: str | None = None,
    customer: str = CUSTOMER,
) -> Event:
    data = {"order_id": order, "method": "card", "amount": amount, "code": "declined"}
    data |= {"instrument_hash": instrument, "device_hash": device}
    return event(at, "payment.failed", data, customer=customer, id_=f"/shop|failed-{order}-{at}-{customer}")


def signed_in(
    at: int, device: str | None = "d1", country: str | None = "DE", *, succeeded: bool = True, customer: str = CUSTOMER
) -> Event:
    data = {"succeeded": succeeded, "device_hash": device, "country": country}
    return event(at, "account.signed_in", data, customer=customer)


def changed(at: int, field: str = "password") -> Event:
    return event(at, "account.changed", {"field": field})


def payout(at: int, amount: float = 80.0) -> Event:
    return event(at, "payout.requested", {"payout_id": f"o{at}", "amount": amount, "currency": "EUR"})


def subscribed(
    at: int, *, plan: str = "basic", price: float = 10.0, status: str = "active", renews_at: int | None = None
) -> Event:
    data = {"subscription_id": "s1", "plan": plan, "status": status, "price": price, "currency": "EUR"}
    return event(at, "subscription.changed", data | {"product": "app", "renews_at": renews_at})


def invoiced(
    at: int,
    amount: float,
    *,
    plan: str | None = "basic",
    since: int | None = None,
    until: int | None = None,
    tax: float | None = None,
    order: str | None = None,
    subscription: str | None = "s1",
    invoice: str = "v1",
) -> Event:
    data = {"invoice_id": invoice, "amount": amount, "currency": "EUR", "tax": tax, "plan": plan}
    data |= {"subscription_id": None if order else subscription, "period_start": since, "period_end": until}
    return event(at, "invoice.issued", data | ({"order_id": order} if order else {}), id_=f"/pay|{invoice}-{at}")


def handed_over(at: int = START + 2 * DAY, *, order: str = ORDER) -> Event:
    return event(at, "shipment.handed_over", {"order_id": order})


def delivered(at: int = START + 9 * DAY, *, order: str = ORDER) -> Event:
    return event(at, "shipment.delivered", {"order_id": order})


def reviewed(at: int, score: int, *, order: str = ORDER) -> Event:
    return event(at, "review.answered", {"order_id": order, "review_id": f"review-{at}", "score": score})


def contacted(at: int, *, order: str | None = None, reason: str | None = None) -> Event:
    data = {"contact_id": f"contact-{at}", "channel": "chat", "order_id": order, "reason": reason}
    return event(at, "contact.made", data)


def ticket(at: int, ticket_id: str = "ticket-1", *, closed: bool = False, order: str | None = None) -> Event:
    type_ = "ticket.closed" if closed else "ticket.opened"
    data = {"ticket_id": ticket_id, "category": "delivery", "order_id": order}
    return event(at, type_, data, id_=f"/crm|{type_}-{ticket_id}-{at}")


def used(at: int, value: float, product: str = "app") -> Event:
    return event(at, "usage.measured", {"product": product, "value": value}, id_=f"/usage|{product}-{at}-{value}")


def refund_requested(at: int = START, *, due_at: int | None = None, refund: str = "refund-1") -> Event:
    data = {"refund_id": refund, "order_id": ORDER, "amount": 42.5, "due_at": due_at}
    return event(at, "refund.requested", data, id_=f"/pay|requested-{refund}")


def refund_posted(at: int, *, refund: str = "refund-1") -> Event:
    data = {"refund_id": refund, "order_id": ORDER, "amount": 42.5}
    return event(at, "refund.posted", data, id_=f"/pay|posted-{refund}")


def transit(
    at: int,
    days_50: float,
    days_90: float,
    *,
    count: int = 50,
    lane: str = "SP-RJ",
    metric: str = "transit_hours",
) -> Event:
    features = {"p50": 24 * days_50, "p90": 24 * days_90, "mean": 24 * days_50, "count": count}
    data = {"entity": f"lane:{lane}", "name": metric, "at": at, "since": at - 28 * DAY, "features": features}
    data |= {"spans": {"telemetry/0": (7, 9)}, "contract": "fulfilment.measured@1.0"}
    return Event(at, f"signal-{lane}-{metric}-{at}", BROADCAST, "signal", data, "@telemetry/0", 0)


class Stage:
    """The journey stage with one key group and one channel."""

    def __init__(
        self,
        agents: Sequence[CustomerAgent] | None = None,
        settings: JourneySettings | None = None,
        fulfilment: FulfilmentParameters | None = None,
    ) -> None:
        if agents is None:
            agents = [FulfilmentAgent(fulfilment or FulfilmentParameters()), BillingAgent()]
        self.group: KeyedGroup[Journey] = KeyedGroup(JourneyLogic(agents, settings or JourneySettings()), ["all"])
        self.emitted: list[tuple[str, Event]] = []

    def run(self, events: Iterable[Event], until: int) -> list[Finding]:
        """Put `events` through, let event time go to `until`; return the findings that went to cases by then."""
        self.group.receive(Frame(0, "all", until, list(events)))
        self.emitted += self.group.advance()
        return self.findings

    @property
    def findings(self) -> list[Finding]:
        return [Finding.of(event) for to, event in self.emitted if to == "case"]

    def journey(self, customer: str = CUSTOMER) -> Journey | None:
        return self.group.state_of(customer)


def kinds(findings: Iterable[Finding]) -> list[tuple[str, bool]]:
    """Return (kind, whether it is an end) of each finding."""
    return [(finding.kind, finding.resolves) for finding in findings]
