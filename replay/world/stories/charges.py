"""Money taken twice, too much of it, or not given back; and payments that only look so."""

from __future__ import annotations

from config.clock import DAY, HOUR, MINUTE, SECOND
from replay.world.model import draws
from replay.world.stories.purchase import Purchase, capture, fail, fulfil, pay, purchase, refund
from replay.world.stories.teller import Teller, days, hours, minutes


def double_charges(teller: Teller) -> None:
    """An order is charged a second time; nobody gives the money back until the customer asks for it."""
    rng = draws(teller.spec.seed, "double charge")
    for i, at in enumerate(teller.occasions("payment.double_charge", rng, before=6 * DAY)):
        p = purchase(teller, rng, teller.person(), at)
        fulfil(teller, p)
        pay(teller, p)
        again = p.approved_at - 5 * SECOND + (minutes(rng, 0.1, 40) if i % 3 else hours(rng, 2, 40))
        capture(teller, p, again, p.cents, sequence=1 + i % 2)
        asks = again + days(rng, 0.6, 4.5)
        teller.ticket(asks, p.customer, "payment", p.order)
        refund(teller, p, asks + DAY, asks + 3 * DAY, p.cents)
        harm = "charged twice, and asked for the money"
        teller.issue("payment.double_charge", p.entity, [p.customer], again, asks, asks + 3 * DAY, harm)


def wrong_amounts(teller: Teller) -> None:
    """More is taken than the order costs: a decimal slips, or freight or a fee comes on top."""
    rng = draws(teller.spec.seed, "wrong amount")
    for i, at in enumerate(teller.occasions("payment.amount_mismatch", rng, before=6 * DAY)):
        p = purchase(teller, rng, teller.person(), at)
        fulfil(teller, p)
        extra = max(250, int(p.cents * rng.uniform(0.06, 0.4)))
        taken = p.cents * 10 if i % 4 == 0 else p.cents + extra
        paid = p.approved_at - 5 * SECOND
        capture(teller, p, paid, taken)
        asks = paid + days(rng, 0.6, 5)
        teller.ticket(asks, p.customer, "payment", p.order)
        refund(teller, p, asks + DAY, asks + 3 * DAY, taken - p.cents)
        harm = "charged more than the order costs, and asked for the money"
        teller.issue("payment.amount_mismatch", p.entity, [p.customer], paid, asks, asks + 3 * DAY, harm)


def lost_refunds(teller: Teller) -> None:
    """A parcel goes back, the money does not come."""
    rng = draws(teller.spec.seed, "lost refund")
    for at in teller.occasions("refund.not_posted", rng, before=14 * DAY):
        p = purchase(teller, rng, teller.person(), at)
        fulfil(teller, p)
        pay(teller, p)
        requested = p.delivered_at + days(rng, 0.2, 1)
        due = requested + 5 * DAY
        asks = due + days(rng, 0.4, 3)
        name = refund(teller, p, requested, asks + days(rng, 1, 4), p.cents)
        teller.contact(asks, p.customer, "where is my money", p.order)
        harm = "the refund did not come by the day it was due, and the customer asked for it"
        teller.issue("refund.not_posted", f"refund:{name}", [p.customer], requested, asks, asks + 4 * DAY, harm)


def harmless_payments(teller: Teller) -> None:
    """Payments that add up in the end."""
    for what, told in _HARMLESS.items():
        rng = draws(teller.spec.seed, what)
        for i, at in enumerate(teller.occasions(what, rng, before=8 * DAY)):
            p = purchase(teller, rng, teller.person(), at)
            told(teller, p, i)


def _split(teller: Teller, p: Purchase, turn: int) -> None:
    """Two cards or a wallet, now and then in equal halves."""
    paid, first = p.approved_at - 5 * SECOND, p.cents // 2 if turn % 2 and p.cents % 2 == 0 else p.cents * 3 // 10
    fulfil(teller, p)
    capture(teller, p, paid - 50 * SECOND, first)
    capture(teller, p, paid, p.cents - first, sequence=2, method="card" if turn % 3 else "wallet")
    teller.decoy("split_payment", p.entity, p.placed_at, p.delivered_at)


def _voucher(teller: Teller, p: Purchase, turn: int) -> None:
    worth = min(2_000, p.cents // 2)
    paid = p.approved_at - 5 * SECOND
    fulfil(teller, p)
    capture(teller, p, paid, p.cents - worth)
    capture(teller, p, paid + SECOND, worth, sequence=2, method="voucher", instrument=f"g{p.customer}")
    teller.decoy("voucher", p.entity, p.placed_at, p.delivered_at)


def _retry(teller: Teller, p: Purchase, turn: int) -> None:
    at = p.placed_at + 20 * SECOND
    for number in range(2 + turn % 3):
        fail(teller, p, at + number * 70 * SECOND, p.cents, instrument=f"i{p.customer}" + "b" * (number % 2))
    fulfil(teller, p)
    pay(teller, p)
    teller.decoy("retry", p.entity, p.placed_at, p.delivered_at)


def _twins(teller: Teller, p: Purchase, turn: int) -> None:
    rng = draws(teller.spec.seed, "twin", turn)
    other = purchase(teller, rng, p.customer, p.placed_at + 4 * MINUTE, items=p.items)
    for each in (p, other):
        fulfil(teller, each)
        pay(teller, each)
        teller.decoy("twin_orders", each.entity, each.placed_at, each.delivered_at)


def _reversed(teller: Teller, p: Purchase, turn: int) -> None:
    fulfil(teller, p)
    pay(teller, p)
    again = p.approved_at + 30 * SECOND
    capture(teller, p, again, p.cents)
    refund(teller, p, again + 2 * MINUTE, again + (4 + turn % 3 * 5) * MINUTE, p.cents)
    teller.decoy("charge_reversed", p.entity, p.placed_at, p.delivered_at)


def _instalments(teller: Teller, p: Purchase, turn: int) -> None:
    fulfil(teller, p)
    count = 2 + turn % 9
    capture(teller, p, p.approved_at - 5 * SECOND, int(p.cents * (1 + 0.012 * count)), installments=count)
    teller.decoy("instalments", p.entity, p.placed_at, p.delivered_at)


def _just_in_time(teller: Teller, p: Purchase, turn: int) -> None:
    fulfil(teller, p)
    pay(teller, p)
    requested = p.delivered_at + 8 * HOUR
    name = refund(teller, p, requested, requested + 5 * DAY - (1 + turn % 5) * HOUR, p.cents)
    teller.decoy("refund_just_in_time", f"refund:{name}", requested, requested + 6 * DAY)


def _pre_order(teller: Teller, p: Purchase, turn: int) -> None:
    rng = draws(teller.spec.seed, "pre-order", turn)
    late = purchase(teller, rng, p.customer, p.placed_at, items=p.items, promise=16 * DAY, handover=12 * DAY)
    fulfil(teller, late)
    pay(teller, late)
    teller.decoy("pre_order", late.entity, late.placed_at, late.delivered_at)


_HARMLESS = {
    "split_payment": _split,
    "voucher": _voucher,
    "retry": _retry,
    "twin_orders": _twins,
    "charge_reversed": _reversed,
    "instalments": _instalments,
    "refund_just_in_time": _just_in_time,
    "pre_order": _pre_order,
}
