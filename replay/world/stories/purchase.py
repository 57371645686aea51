"""An order of a story: placed, paid, approved, handed over, delivered, as most are, unless it is told otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from config.clock import DAY, HOUR, SECOND, to_text
from replay.world.goods import Item
from replay.world.model import SINCE, STATES
from replay.world.stories.teller import FIRST, Teller

METHODS = ("card", "card", "card", "wallet", "transfer")


@dataclass(frozen=True)
class Purchase:
    """An order that was told of, and when what happened to it."""

    order: str
    customer: int
    items: list[Item]
    placed_at: int
    approved_at: int
    handed_over_at: int
    delivered_at: int
    promised_at: int

    @property
    def entity(self) -> str:
        """The order as labels name it."""
        return f"order:{self.order}"

    @property
    def cents(self) -> int:
        """What it costs."""
        return sum(item.cents + item.freight for item in self.items)


def purchase(
    teller: Teller, rng: np.random.Generator, customer: int, at: int, *, items: Sequence[Item] = (),
    promise: int = 0, handover: int | None = None,
) -> Purchase:  # fmt: skip
    """Plan an order that goes well: nothing of it is told yet.

    Args:
        teller: Who will tell of it.
        rng: The story's chance.
        customer: Who orders.
        at: When.
        items: What; by default one or two products without trouble.
        promise: How much later than usual it is promised, µs.
        handover: How long the seller needs, µs; by default a day or so.
    """
    items = list(items) or [teller.item(rng, customer) for _ in range(1 + int(rng.random() < 0.3))]
    seller_state, state = STATES.index(items[0].seller_state), int(teller.fleet.customer_state[customer])
    usual = float(teller.fleet.transit_hours[seller_state, state])
    approved = at + int(rng.uniform(0.1, 1.0) * HOUR)
    wait = int(np.clip(20 * np.exp(0.4 * rng.standard_normal()), 4, 44) * HOUR) if handover is None else handover
    handed = approved + wait
    delivered = handed + int(usual * np.clip(np.exp(0.15 * rng.standard_normal()), 0.6, 1.3) * HOUR)
    arrives = at + promise + int((66 + 2.0 * usual) * HOUR)
    promised = arrives - (arrives - SINCE) % DAY
    order = f"o{teller.number() - FIRST + 90_000_000:08}"
    return Purchase(order, customer, items, at, approved, handed, delivered, promised)


def place(teller: Teller, p: Purchase) -> None:
    """The order is placed."""
    state = STATES[int(teller.fleet.customer_state[p.customer])]
    teller.of_customer(
        p.placed_at, "orders", "order.placed", p.customer, order_id=p.order, customer_state=state,
        promised_at=to_text(p.promised_at), items=[item.data() for item in p.items],
    )  # fmt: skip


def approve(teller: Teller, p: Purchase) -> None:
    """It is approved; the seller has three days, or until two days before a late promise."""
    ship_by = max(p.approved_at + 3 * DAY, p.promised_at - 5 * DAY)
    teller.of_customer(
        p.approved_at,
        "orders",
        "order.approved",
        p.customer,
        order_id=p.order,
        ship_by=to_text(ship_by - ship_by % SECOND),
    )


def hand_over(teller: Teller, p: Purchase) -> None:
    """The carrier takes it."""
    teller.of_customer(p.handed_over_at, "orders", "shipment.handed_over", p.customer, order_id=p.order)


def deliver(teller: Teller, p: Purchase) -> None:
    """It arrives."""
    teller.of_customer(p.delivered_at, "orders", "shipment.delivered", p.customer, order_id=p.order)


def cancel(teller: Teller, p: Purchase, at: int, reason: str) -> None:
    """It is given up."""
    teller.of_customer(at, "orders", "order.cancelled", p.customer, order_id=p.order, reason=reason)


def capture(
    teller: Teller, p: Purchase, at: int, cents: int, *, method: str = "card", sequence: int = 1,
    installments: int = 1, instrument: str = "", device: str = "",
) -> None:  # fmt: skip
    """Money is taken for it."""
    teller.of_customer(
        at, "orders", "payment.captured", p.customer, order_id=p.order, method=method, amount=cents / 100,
        payment_id=f"y{teller.number()}", instrument_hash=instrument or f"i{p.customer}",
        device_hash=device or f"d{p.customer}", installments=installments, sequence=sequence,
    )  # fmt: skip


def fail(teller: Teller, p: Purchase, at: int, cents: int, *, instrument: str = "", device: str = "") -> None:
    """A payment for it fails."""
    teller.of_customer(
        at, "orders", "payment.failed", p.customer, order_id=p.order, method="card", amount=cents / 100,
        payment_id=f"y{teller.number()}", instrument_hash=instrument or f"i{p.customer}",
        device_hash=device or f"d{p.customer}", code="declined",
    )  # fmt: skip


def pay(teller: Teller, p: Purchase) -> None:
    """All of it is paid at once, just before it is approved."""
    capture(teller, p, p.approved_at - 5 * SECOND, p.cents)


def fulfil(teller: Teller, p: Purchase) -> None:
    """All but its payment is told: placed, approved, handed over, delivered."""
    for step in (place, approve, hand_over, deliver):
        step(teller, p)


def refund(
    teller: Teller, p: Purchase, requested_at: int, posted_at: int | None, cents: int, due: int = 5 * DAY
) -> str:
    """Money is to go back, and does unless `posted_at` is None; return the refund's id."""
    name = f"f{teller.number()}"
    about = {"order_id": p.order, "amount": cents / 100, "refund_id": name}
    due_at = requested_at + due
    teller.of_customer(
        requested_at, "orders", "refund.requested", p.customer, **about, due_at=to_text(due_at - due_at % SECOND)
    )
    if posted_at is not None:
        teller.of_customer(posted_at, "orders", "refund.posted", p.customer, **about)
    return name
