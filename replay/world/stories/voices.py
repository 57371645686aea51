"""What customers say of goods and of help that does not come; and voices that only sound like it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from config.clock import DAY, HOUR, MINUTE
from replay.world.echoes import BURST_CUSTOMERS, BURST_LASTS
from replay.world.goods import Item
from replay.world.model import CATEGORIES, STATES, draws
from replay.world.stories.purchase import Purchase, fulfil, pay, purchase
from replay.world.stories.teller import Teller, days, hours, minutes


def bad_batches(teller: Teller) -> None:
    """A product with a bad batch: many bought it, and within days many complain."""
    rng = draws(teller.spec.seed, "bad batch")
    for at in teller.occasions("complaint.burst", rng, after=16 * DAY, before=5 * DAY):
        item = replace(teller.item(rng, teller.person()), product=f"p{teller.number()}")
        bought = [
            _bought(teller, rng, teller.person(), at - days(rng, 6, 12), item) for _ in range(16 + int(rng.integers(8)))
        ]
        said = sorted(at + days(rng, 0, 3.5) for _ in bought)
        for number, (when, p) in enumerate(zip(said, bought, strict=True)):
            _complain(teller, when, p, number)
            teller.echo("order.complaint_likely", p.entity, p.placed_at, when)
        teller.issue(
            "complaint.burst", f"product:{item.product}", [p.customer for p in bought], at, said[len(said) // 2],
            said[-1] + 2 * DAY, "more than half of those who bought it complained", aka=[f"seller:{item.seller}"],
            complaints=len(said),
        )  # fmt: skip


def bad_sellers(teller: Teller) -> None:
    """A new seller whose goods disappoint nearly everybody; whoever orders there later could have been warned."""
    rng = draws(teller.spec.seed, "bad seller")
    for i, at in enumerate(teller.occasions("order.complaint_likely", rng, before=24 * DAY)):
        number, state = teller.number(), STATES[int(rng.integers(3))]
        items = [
            Item(f"p{teller.number()}", CATEGORIES[i % len(CATEGORIES)], f"s{number}", state, 2_500 + 700 * n, 590)
            for n in range(3)
        ]
        first = [
            _bought(teller, rng, teller.person(), at + days(rng, 0, 6), items[n % 3]) for n in range(14)
        ]  # fmt: skip
        known = sorted(_disappoint(teller, rng, p) for p in first)
        for p in first:
            teller.echo("order.complaint_likely", p.entity, p.placed_at, p.placed_at + 30 * DAY)
        warned = known[9]
        for n in range(12):
            p = _bought(teller, rng, teller.person(), warned + days(rng, 0.2, 7), items[n % 3])
            said = _disappoint(teller, rng, p)
            harm = "disappointed, as others were by the same seller"
            teller.issue("order.complaint_likely", p.entity, [p.customer], p.placed_at, said, said + DAY, harm)
        for entity in (f"seller:s{number}", *(f"product:{item.product}" for item in items)):
            teller.echo("complaint.burst", entity, known[BURST_CUSTOMERS - 2], warned + 12 * DAY + BURST_LASTS)


def unheard(teller: Teller) -> None:
    """A customer asks again and again about one order, gets no help, and leaves with a bad word."""
    rng = draws(teller.spec.seed, "unheard")
    for i, at in enumerate(teller.occasions("contact.repeated", rng, after=6 * DAY, before=9 * DAY)):
        p = _bought(teller, rng, teller.person(), at - 6 * DAY, None)
        asked = p.delivered_at + hours(rng, 3, 24)
        onset = asked
        for number in range(3 + i % 2):
            if number % 2:
                teller.ticket(asked, p.customer, "damaged", p.order)
            else:
                teller.contact(asked, p.customer, "damaged", p.order, ("phone", "email")[number // 2 % 2])
            asked += hours(rng, 16, 40)
        leaves = asked + days(rng, 0.5, 2)
        teller.review(leaves, p.customer, p.order, 1)
        harm = "asked three times or more, got no help, and left"
        teller.issue(
            "contact.repeated", p.entity, [p.customer], onset, leaves, leaves + DAY, harm,
            aka=[f"customer:c{p.customer:07}"],
        )  # fmt: skip
        teller.echo("order.complaint_likely", p.entity, p.placed_at, leaves)


def harmless_voices(teller: Teller) -> None:
    """Second questions, calls that are tickets too, waves of reviews, one customer who complains of everything."""
    for what, told in _HARMLESS.items():
        rng = draws(teller.spec.seed, what)
        for i, at in enumerate(teller.occasions(what, rng, after=20 * DAY if what in _LONG else 0, before=6 * DAY)):
            told(teller, rng, at, i)


def _second_question(teller: Teller, rng: np.random.Generator, at: int, turn: int) -> None:
    p = _bought(teller, rng, teller.person(), at, None)
    ticket = teller.ticket(at + 5 * HOUR, p.customer, "delivery", p.order)
    closed = at + 9 * HOUR
    teller.of_customer(closed, "crm", "ticket.closed", p.customer, ticket_id=ticket, resolution="answered")
    teller.contact(closed + hours(rng, 20, 60), p.customer, "invoice address", p.order)
    teller.decoy("second_question", p.entity, at, at + 6 * DAY)


def _one_call(teller: Teller, rng: np.random.Generator, at: int, turn: int) -> None:
    """Two calls, each of which is a ticket too: two occasions, four records."""
    p = _bought(teller, rng, teller.person(), at, None)
    for number in range(2):
        asked = at + 5 * HOUR + number * hours(rng, 30, 50)
        teller.contact(asked, p.customer, "delivery", p.order)
        ticket = teller.ticket(asked + 3 * MINUTE, p.customer, "delivery", p.order)
        closed = asked + hours(rng, 1, 9)
        teller.of_customer(closed, "crm", "ticket.closed", p.customer, ticket_id=ticket, resolution="answered")
    teller.decoy("one_call", p.entity, at, at + 6 * DAY)


def _review_wave(teller: Teller, rng: np.random.Generator, at: int, turn: int) -> None:
    """A seller asks all of the last weeks for a review: thirty answer within a day, two or three of them ill."""
    item = replace(teller.item(rng, teller.person()), product=f"p{teller.number()}")
    for number in range(30):
        p = _bought(teller, rng, teller.person(), at - days(rng, 6, 20), item)
        score = 1 + number % 2 if number % 12 == 5 else 4 + number % 2
        teller.review(at + minutes(rng, 0, 900), p.customer, p.order, score)
        if score < 3:
            teller.echo("order.complaint_likely", p.entity, p.placed_at, at)
    for entity in (f"product:{item.product}", f"seller:{item.seller}"):
        teller.decoy("review_wave", entity, at, at + 7 * DAY)


def _loud(teller: Teller, rng: np.random.Generator, at: int, turn: int) -> None:
    customer = teller.person()
    item = replace(teller.item(rng, customer), product=f"p{teller.number()}")
    for number in range(5):
        p = _bought(teller, rng, customer, at - days(rng, 6, 12), item)
        teller.review(at + number * 7 * HOUR, customer, p.order, 1)
        teller.echo("order.complaint_likely", p.entity, p.placed_at, at + number * 7 * HOUR)
    for entity in (f"product:{item.product}", f"seller:{item.seller}"):
        teller.decoy("loud_customer", entity, at, at + 7 * DAY)


_HARMLESS = {
    "second_question": _second_question,
    "one_call": _one_call,
    "review_wave": _review_wave,
    "loud_customer": _loud,
}
_LONG = ("review_wave", "loud_customer")
"""These need orders placed long before."""


def _bought(teller: Teller, rng: np.random.Generator, customer: int, at: int, item: Item | None) -> Purchase:
    p = purchase(teller, rng, customer, at, items=[item] if item else [])
    fulfil(teller, p)
    pay(teller, p)
    return p


def _disappoint(teller: Teller, rng: np.random.Generator, p: Purchase) -> int:
    """The customer says so, a day or two after the delivery; return when."""
    said = p.delivered_at + days(rng, 0.6, 2.2)
    teller.review(said, p.customer, p.order, 1 + int(rng.random() < 0.4))
    return said


def _complain(teller: Teller, at: int, p: Purchase, number: int) -> None:
    if number % 3 == 0:
        teller.ticket(at, p.customer, "broken", p.order)
    else:
        teller.review(at, p.customer, p.order, 1 + number % 2)
