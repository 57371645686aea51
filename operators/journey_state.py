"""What is remembered of a customer: orders, refunds, contacts, tickets, usage — and, for all, the fleet's signals.

These are states: compact MessagePack arrays of built-in values, at a million of them. Instants are microseconds since
the epoch, None where not known (yet); money is in millionths of the currency's unit, so that sums are exact in any
order. Nothing here is text that a customer wrote. None of them refers back to another, so none needs the garbage
collector, which would otherwise visit them all.
"""

from __future__ import annotations

import msgspec
from msgspec import field

from config.money import MONEY_SCALE
from operators.customer_state import Account, Habit, Invoice, Matter, Payment, Subscription, Wallet
from operators.subject import Subject

GROUP_MAX = 2**32
"""More than the customers of a key group."""


class Order(Subject, array_like=True, gc=False):
    """An order, as far as its records told; the first of them may be any."""

    placed_at: int | None = None
    promised_at: int | None = None
    approved_at: int | None = None
    ship_by: int | None = None
    handed_over_at: int | None = None
    delivered_at: int | None = None
    cancelled_at: int | None = None
    ended_at: int | None = None
    """When it was delivered or cancelled, whichever came first."""
    customer_state: str = ""
    sellers: list[tuple[str, str]] = field(default_factory=list)
    """Seller and the state it ships from, sorted, each once, bounded."""
    value: int = 0
    """Price and freight of all items."""
    paid: int = 0
    """Captured by all payments."""
    freight: int = 0
    """The part of the value that is freight."""
    payments: list[Payment] = field(default_factory=list)
    """The first payments, bounded."""
    invoiced: int | None = None
    """Sum of the invoices of this order; None where there was none."""
    products: list[tuple[str, int]] = field(default_factory=list)
    """Products, with the units of each, sorted, bounded."""
    items: int = 1
    """Items of the basket: one where nothing is known, none where the shop listed none."""
    products_count: int = 1
    """Different products among them."""
    category: str = ""
    """Of the first item."""
    judged_at: int | None = None
    """When its risk was judged last;"""
    answered_at: int | None = None
    """when its customer answered for it, after which it is not judged;"""
    told: int = 0
    """what of its course was told to the model: see `operators/features/checkpoints.py`."""

    @property
    def lanes(self) -> list[str]:
        """The lanes it travels, `SP-RJ`: from each seller's state to the customer's, sorted, each once."""
        if not self.customer_state:
            return []
        if len(self.sellers) == 1 and (state := self.sellers[0][1]):
            return [f"{state}-{self.customer_state}"]
        return sorted({f"{state}-{self.customer_state}" for _, state in self.sellers if state})

    @property
    def worth(self) -> float:
        """What is at stake, in currency units: the order's value, or what was paid while the value is unknown."""
        return (self.value or self.paid) / MONEY_SCALE


class Refund(Subject, array_like=True, gc=False):
    """A refund that was asked for, posted, or both."""

    order_id: str = ""
    amount: int = 0
    requested_at: int | None = None
    due_at: int | None = None
    posted_at: int | None = None


class Contact(msgspec.Struct, array_like=True, frozen=True, order=True, gc=False):
    """The customer spoke: a contact, a ticket or a review."""

    at: int
    type: str
    """Type of the event that told of it."""
    order_id: str = ""
    score: int = 0
    """Of a review 1 to 5, else 0."""


class Ticket(msgspec.Struct, array_like=True, gc=False):
    """A ticket, opened, closed, or both."""

    seen_at: int
    """When the last record told of it."""
    closed_at: int | None = None


class Usage(msgspec.Struct, array_like=True, frozen=True, order=True, gc=False):
    """The last measure of how a product is used."""

    at: int
    value: float


class Signal(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The current value of a fleet signal: the distribution of a metric of one entity."""

    at: int
    """End of the window it was measured in,"""
    since: int
    """and its start."""
    count: int
    p50: float | None
    p90: float | None
    spans: dict[str, tuple[int, int]]
    """First and last offset of the records in the window, by channel."""
    contract: str
    """`type@version` of the contract that decoded them."""


class Journey(msgspec.Struct, array_like=True, gc=False):
    """All that is remembered of one customer; under the key BROADCAST, the fleet's signals instead."""

    look_at: int | None = None
    """When the journey will be looked at next: the time of its one timer."""
    orders: dict[str, Order] = {}
    refunds: dict[str, Refund] = {}
    contacts: list[Contact] = []
    """Sorted by time."""
    tickets: dict[str, Ticket] = {}
    usage: dict[str, Usage] = {}
    signals: dict[str, dict[str, Signal]] = {}
    """By entity (`lane:SP-RJ`) and name (`transit_hours`)."""

    wallet: Wallet | None = None
    subscriptions: dict[str, Subscription] = {}
    invoices: dict[str, Invoice] = {}
    """Those of subscriptions."""
    account: Account | None = None
    matters: dict[str, Matter] = {}
    """By `order:…`, or `reason:…` where the customer named no order."""
    habits: dict[str, Habit] = {}
    """By product."""
    stocked: dict[str, int] = {}
    """Under the key BROADCAST: when stock was measured last, by product."""
    active: int = -1
    """The last day with a record; under the key BROADCAST that of any customer of the key group, times `GROUP_MAX`, and
    added to it how many had one. One number, for with a field more each journey takes a longer form."""

    @property
    def empty(self) -> bool:
        """Whether nothing is remembered."""
        return not (
            self.orders
            or self.refunds
            or self.contacts
            or self.tickets
            or self.usage
            or self.signals
            or self.wallet
            or self.subscriptions
            or self.invoices
            or self.account
            or self.matters
            or self.habits
            or self.stocked
        )
