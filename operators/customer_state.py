"""What is remembered of a customer beside orders: payments, subscriptions, invoices, sign-ins, matters, use.

As in `operators/journey_state.py`: instants are microseconds since the epoch, money is in millionths of the currency's
unit, lists are bounded and in the order of time.
"""

from __future__ import annotations

import msgspec
from msgspec import field

from operators.subject import Subject


class Payment(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Money taken for an order."""

    at: int
    amount: int
    method: str
    instrument: str = ""
    """Token of the card or account; "" where not told."""
    installments: int = 1


class Terms(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a subscription gives and costs from an instant on."""

    at: int
    plan: str
    status: str
    """`active`, `paused`, `cancelled`."""
    price: int
    """Per interval, before tax."""
    product: str = ""
    renews_at: int | None = None

    @property
    def active(self) -> bool:
        """Whether it is charged and can be used."""
        return self.status == "active"


class Subscription(Subject, array_like=True, gc=False):
    """A subscription and how its terms changed."""

    terms: list[Terms] = field(default_factory=list)

    def at(self, instant: int) -> Terms | None:
        """Return the terms in force at `instant`; None before the first that are known."""
        found: Terms | None = None
        for terms in self.terms:
            if terms.at > instant:
                break
            found = terms
        return found


class Invoice(Subject, array_like=True, gc=False):
    """An invoice of a subscription."""

    subscription_id: str = ""
    plan: str = ""
    net: int = 0
    """Amount less tax."""
    period_start: int | None = None
    period_end: int | None = None
    due_at: int | None = None
    credited: int = 0
    """Credited on the same subscription since."""


class Attempt(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An attempt to pay."""

    at: int
    order_id: str
    amount: int
    instrument: str
    device: str
    failed: bool


class Wallet(Subject, array_like=True, gc=False):
    """How a customer pays for whom a payment failed."""

    attempts: list[Attempt] = field(default_factory=list)
    """The newest, since the first that failed."""


class SignIn(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A sign-in out of the ordinary."""

    at: int
    device: str
    country: str
    new_device: bool
    new_country: bool
    failures: int
    """Failed sign-ins within the hour before."""
    before: int
    """Successful sign-ins before it."""


class Account(Subject, array_like=True, gc=False):
    """Who signs in, and what is changed."""

    signed_in: int = 0
    """Successful sign-ins so far."""
    devices: dict[str, int] = field(default_factory=dict)
    """When each was seen last, by token."""
    countries: dict[str, int] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    """Times of the newest failed sign-ins."""
    strange: list[SignIn] = field(default_factory=list)
    """The newest sign-ins out of the ordinary."""
    changes: list[tuple[int, str]] = field(default_factory=list)
    """The newest changed fields."""
    payouts: list[tuple[int, int]] = field(default_factory=list)
    """Times and amounts of the newest requests."""


class Matter(Subject, array_like=True, gc=False):
    """What a customer got in touch about, once or again."""

    order_id: str = ""
    heard: list[tuple[int, str]] = field(default_factory=list)
    """Times and reasons of the newest contacts and tickets."""


class Habit(Subject, array_like=True, gc=False):
    """How much a customer uses a product, by day."""

    days: dict[int, float] = field(default_factory=dict)
    """Use by day (days since the epoch), the newest; a day without a measure is not there."""
    level: float = 0.0
    """Use of a usual day, averaged over about a month of measures."""
