"""How records beside orders change a customer's journey: subscriptions, invoices, attempts to pay, sign-ins, use.

As in `operators/journey_fold.py`, each fold commutes with the folds of other types at the same instant.
"""

from __future__ import annotations

from config.clock import DAY, HOUR
from config.events import Event
from config.money import money
from operators.customer_state import Account, Attempt, Habit, Invoice, Matter, SignIn, Subscription, Terms, Wallet
from operators.fold import Fold, JourneyLimits, bound, note, note_newest, order_of
from operators.journey_state import Journey

FAILURES_WITHIN = HOUR
"""Failed sign-ins count towards a sign-in so long."""
LOW = 0.5
"""A measure below this share of the usual level is low."""
LEVEL_OVER = 28
"""Measures that the usual level is averaged over, the recent ones weighing more."""


def _subscription_changed(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    data = event.data
    subscription = journey.subscriptions.get(data["subscription_id"])
    if subscription is None:
        subscription = journey.subscriptions[data["subscription_id"]] = Subscription(event.at, event.at)
        bound(journey.subscriptions, limits.subscriptions_max, lambda kept: (kept.terms[-1:] != [], kept.seen_at))
    note_newest(subscription, event, limits)
    product, renews_at = data.get("product") or "", data.get("renews_at")
    terms = Terms(event.at, data["plan"], data["status"], money(data["price"]), product, renews_at)
    subscription.terms.append(terms)
    del subscription.terms[: -limits.subscriptions_max]
    return event.at


def _invoiced(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    data = event.data
    subscription_id, amount = data.get("subscription_id"), money(data["amount"])
    if subscription_id is None:
        if data.get("order_id") is None:
            return None
        order = order_of(journey, event, limits)
        order.invoiced = (order.invoiced or 0) + amount
        return event.at
    net = amount - money(data.get("tax") or 0)
    if amount < 0:
        _credit(journey, subscription_id, -net)
        return event.at
    invoice = Invoice(event.at, event.at, subscription_id=subscription_id, plan=data.get("plan") or "", net=net)
    invoice.period_start, invoice.period_end = data.get("period_start"), data.get("period_end")
    invoice.due_at = data.get("due_at")
    note(invoice, event, limits)
    journey.invoices[data["invoice_id"]] = invoice
    bound(journey.invoices, limits.invoices_max, lambda kept: kept.seen_at)
    return event.at


def _credit(journey: Journey, subscription_id: str, amount: int) -> None:
    """Count a credit note towards the newest invoice of its subscription."""
    of_it = [
        (invoice.since, name)
        for name, invoice in journey.invoices.items()
        if invoice.subscription_id == subscription_id
    ]
    if of_it:
        journey.invoices[max(of_it)[1]].credited += amount


def attempted(journey: Journey, event: Event, limits: JourneyLimits, *, failed: bool = False) -> int | None:
    """Note an attempt to pay, from a customer's first failed one on."""
    wallet, data = journey.wallet, event.data
    if wallet is None:
        if not failed:
            return None
        wallet = journey.wallet = Wallet(event.at, event.at)
    note_newest(wallet, event, limits)
    instrument, device = data.get("instrument_hash") or "", data.get("device_hash") or ""
    wallet.attempts.append(
        Attempt(event.at, data["order_id"], money(data["amount"]), instrument, device, failed=failed)
    )
    del wallet.attempts[: -limits.attempts_max]
    return event.at if failed else None


def _failed(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    return attempted(journey, event, limits, failed=True)


def _account(journey: Journey, event: Event, limits: JourneyLimits) -> Account:
    account = journey.account
    if account is None:
        account = journey.account = Account(event.at, event.at)
    note_newest(account, event, limits)
    return account


def _signed_in(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    account, data, now = _account(journey, event, limits), event.data, event.at
    most = limits.sign_ins_max
    if not data["succeeded"]:
        account.failures.append(now)
        del account.failures[:-most]
        return None
    device, country = data.get("device_hash") or "", data.get("country") or ""
    new_device = bool(device) and device not in account.devices
    new_country = bool(country) and country not in account.countries
    failures = sum(at > now - FAILURES_WITHIN for at in account.failures)
    if account.signed_in and (new_device or new_country):
        account.strange.append(SignIn(now, device, country, new_device, new_country, failures, account.signed_in))
        del account.strange[:-most]
    account.signed_in += 1
    for seen, name in ((account.devices, device), (account.countries, country)):
        if name:
            seen[name] = now
            bound(seen, most, lambda at: at)
    return None


def _changed(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    account = _account(journey, event, limits)
    account.changes.append((event.at, event.data["field"]))
    del account.changes[: -limits.sign_ins_max]
    return event.at if account.strange else None


def _payout_requested(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    account = _account(journey, event, limits)
    account.payouts.append((event.at, money(event.data["amount"])))
    del account.payouts[: -limits.sign_ins_max]
    return event.at if account.changes else None


def heard(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    """Note what a contact or a ticket is about, unless it names neither order nor reason."""
    data = event.data
    order_id, reason = data.get("order_id") or "", data.get("reason") or data.get("category") or ""
    if not order_id and not reason:
        return None
    name = f"order:{order_id}" if order_id else f"reason:{reason}"
    matter = journey.matters.get(name)
    if matter is None:
        matter = journey.matters[name] = Matter(event.at, event.at, order_id=order_id)
        bound(journey.matters, limits.matters_max, lambda kept: kept.seen_at)
    note_newest(matter, event, limits)
    matter.heard.append((event.at, reason))
    del matter.heard[: -limits.matters_max]
    return event.at if len(matter.heard) > 1 else None


def used(journey: Journey, event: Event, limits: JourneyLimits) -> int | None:
    """Add a measure of use to its day; agents need look only when it is low, or when they found it low before."""
    product, value, number = event.data["product"], event.data["value"], event.at // DAY
    habit = journey.habits.get(product)
    if habit is None:
        habit = journey.habits[product] = Habit(event.at, event.at)
        bound(journey.habits, limits.products_max, lambda kept: kept.seen_at)
    note_newest(habit, event, limits)
    days = habit.days
    days[number] = days.get(number, 0.0) + value
    while len(days) > limits.days_max:
        del days[next(iter(days))]
    low = value < LOW * habit.level
    habit.level += (value - habit.level) / min(len(days), LEVEL_OVER)
    return event.at if journey.subscriptions and (low or habit.findings) else None


ACCOUNT_FOLDS: dict[str, Fold] = {
    "subscription.changed": _subscription_changed,
    "invoice.issued": _invoiced,
    "payment.failed": _failed,
    "account.signed_in": _signed_in,
    "account.changed": _changed,
    "payout.requested": _payout_requested,
}
"""By event type."""
