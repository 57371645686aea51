"""Stolen cards, stolen accounts, plundered accounts; and honest people who look like thieves."""

from __future__ import annotations

import numpy as np

from config.clock import DAY, HOUR, MINUTE, SECOND
from replay.world.model import draws
from replay.world.stories.purchase import cancel, capture, fail, fulfil, place, purchase
from replay.world.stories.teller import Teller, customer_name, days, hours, minutes

COUNTRIES = ("FR", "PL", "NL", "AT", "ES", "IT")
FAR = ("VN", "BR", "NG", "ID")


def history(teller: Teller, rng: np.random.Generator, customer: int, at: int, times: int = 5) -> None:
    """A customer signs in now and then before `at`, as always."""
    for number in range(times):
        teller.sign_in(at - (number + 1) * 2 * DAY - hours(rng, 0, 9), customer)


def tested_cards(teller: Teller) -> None:
    """A thief tries cards: with one account, or with one device and many accounts; in the end one pays."""
    rng = draws(teller.spec.seed, "tested cards")
    for i, at in enumerate(teller.occasions("payment.card_testing", rng, before=3 * DAY)):
        _one_account(teller, rng, at) if i % 2 == 0 else _one_device(teller, rng, at)


def _one_account(teller: Teller, rng: np.random.Generator, at: int) -> None:
    customer = teller.person()
    device = f"d{teller.number()}"
    for number in range(8 + int(rng.integers(5))):
        _try(teller, rng, customer, at + number * 2 * MINUTE + minutes(rng, 0, 1), device)
    loot = purchase(teller, rng, customer, at + minutes(rng, 45, 180))
    fulfil(teller, loot)
    capture(teller, loot, loot.placed_at + 30 * SECOND, loot.cents, instrument=f"i{teller.number()}", device=device)
    harm = loot.placed_at + 30 * SECOND
    teller.ticket(harm + days(rng, 0.5, 3), customer, "payment")
    teller.issue(
        "payment.card_testing", f"customer:{customer_name(customer)}", [customer], at, harm, harm + 2 * DAY,
        "a stolen card was tried until one paid", also=[f"device:{device}"],
    )  # fmt: skip


def _one_device(teller: Teller, rng: np.random.Generator, at: int) -> None:
    device, people = f"d{teller.number()}", [teller.person() for _ in range(7 + int(rng.integers(4)))]
    for number, customer in enumerate(people):
        _try(teller, rng, customer, at + number * 4 * MINUTE + minutes(rng, 0, 2), device)
    loot = purchase(teller, rng, people[-1], at + minutes(rng, 60, 180))
    fulfil(teller, loot)
    capture(teller, loot, loot.placed_at + 30 * SECOND, loot.cents, instrument=f"i{teller.number()}", device=device)
    harm = loot.placed_at + 30 * SECOND
    teller.ticket(harm + days(rng, 0.5, 3), people[-1], "payment")
    teller.issue(
        "payment.card_testing", f"device:{device}", people, at, harm, harm + 2 * DAY,
        "stolen cards were tried until one paid",
    )  # fmt: skip


def _try(teller: Teller, rng: np.random.Generator, customer: int, at: int, device: str) -> None:
    """A card is refused, and the order given up."""
    p = purchase(teller, rng, customer, at)
    place(teller, p)
    fail(teller, p, p.placed_at + 30 * SECOND, p.cents, instrument=f"i{teller.number()}", device=device)
    cancel(teller, p, p.placed_at + minutes(rng, 15, 25), "not paid")


def taken_accounts(teller: Teller) -> None:
    """A thief signs in, changes where messages go, and buys or has money paid out; days later the owner sees it."""
    rng = draws(teller.spec.seed, "taken account")
    for i, at in enumerate(teller.occasions("account.takeover", rng, after=12 * DAY, before=4 * DAY)):
        customer, device = teller.person(), f"d{teller.number()}"
        history(teller, rng, customer, at)
        country = FAR[i % len(FAR)]
        if i % 3 == 0:
            country = "DE"
        for number in range(4 if i % 3 < 2 else 0):
            teller.sign_in(at - (number + 1) * 3 * MINUTE, customer, device, country, well=False)
        teller.sign_in(at, customer, device, country)
        changed = at + minutes(rng, 3, 40)
        teller.of_customer(changed, "crm", "account.changed", customer, field="email" if i % 2 else "password")
        teller.of_customer(changed + 2 * MINUTE, "crm", "account.changed", customer, field="address")
        used = changed + hours(rng, 0.5, 20)
        harm = used + hours(rng, 10, 40)
        if i % 4 == 1:
            amount, payout = float(rng.integers(40, 400)), f"o{teller.number()}"
            teller.of_customer(
                used, "orders", "payout.requested", customer, payout_id=payout, amount=amount, currency="EUR"
            )
        else:
            p = purchase(teller, rng, customer, used)
            fulfil(teller, p)
            capture(teller, p, p.placed_at + 40 * SECOND, p.cents, device=device)
        teller.ticket(harm, customer, "account")
        teller.issue(
            "account.takeover", f"customer:{customer_name(customer)}", [customer], at, harm, harm + 2 * DAY,
            "the account was used by somebody else, who bought with it or had money paid out",
        )  # fmt: skip


def plundered(teller: Teller) -> None:
    """Somebody buys with an account, again and again within a day, until the owner sees it."""
    rng = draws(teller.spec.seed, "plundered")
    for at in teller.occasions("payment.velocity", rng, after=8 * DAY, before=3 * DAY):
        customer, count = teller.person(), 11 + int(rng.integers(5))
        for number in range(count):
            p = purchase(teller, rng, customer, at + number * 20 * MINUTE + minutes(rng, 0, 15))
            fulfil(teller, p)
            capture(teller, p, p.placed_at + 30 * SECOND, p.cents)
        harm = at + count * 24 * MINUTE + hours(rng, 2, 20)
        teller.ticket(harm, customer, "payment")
        teller.issue(
            "payment.velocity", f"customer:{customer_name(customer)}", [customer], at, harm, harm + DAY,
            "bought by somebody else, many times",
        )  # fmt: skip


def harmless_people(teller: Teller) -> None:
    """Travellers, new phones, forgotten passwords, moves, gifts, business customers, shared devices."""
    for what, told in _HARMLESS.items():
        rng = draws(teller.spec.seed, what)
        for i, at in enumerate(teller.occasions(what, rng, after=12 * DAY, before=3 * DAY)):
            customer = teller.person()
            history(teller, rng, customer, at)
            until = told(teller, rng, customer, at, i)
            if what != "shared_device":
                teller.decoy(what, f"customer:{customer_name(customer)}", at, until)


def _buy(teller: Teller, rng: np.random.Generator, customer: int, at: int, device: str = "") -> None:
    p = purchase(teller, rng, customer, at)
    fulfil(teller, p)
    capture(teller, p, p.approved_at - 5 * SECOND, p.cents, device=device)


def _traveller(teller: Teller, rng: np.random.Generator, customer: int, at: int, turn: int) -> int:
    country = COUNTRIES[turn % len(COUNTRIES)]
    for day in range(3):
        teller.sign_in(at + day * DAY, customer, country=country)
    if turn % 2:
        teller.of_customer(at + 10 * MINUTE, "crm", "account.changed", customer, field="address")
    _buy(teller, rng, customer, at + hours(rng, 0.5, 30))
    return at + 3 * DAY


def _new_phone(teller: Teller, rng: np.random.Generator, customer: int, at: int, turn: int) -> int:
    device = f"d{teller.number()}"
    teller.sign_in(at - 2 * MINUTE, customer, device, well=False)
    teller.sign_in(at, customer, device)
    _buy(teller, rng, customer, at + hours(rng, 0.2, 6), device)
    return at + 3 * DAY


def _forgotten(teller: Teller, rng: np.random.Generator, customer: int, at: int, turn: int) -> int:
    for number in range(3 + turn % 3):
        teller.sign_in(at - (number + 1) * MINUTE, customer, well=False)
    teller.sign_in(at, customer)
    teller.of_customer(at + 2 * MINUTE, "crm", "account.changed", customer, field="password")
    _buy(teller, rng, customer, at + hours(rng, 0.2, 6))
    return at + 3 * DAY


def _move(teller: Teller, rng: np.random.Generator, customer: int, at: int, turn: int) -> int:
    teller.sign_in(at, customer)
    for number, name in enumerate(("address", "phone")):
        teller.of_customer(at + (number + 3) * MINUTE, "crm", "account.changed", customer, field=name)
    _buy(teller, rng, customer, at + hours(rng, 0.5, 40))
    return at + 3 * DAY


def _gifts(teller: Teller, rng: np.random.Generator, customer: int, at: int, turn: int) -> int:
    for _ in range(3 + turn % 2):
        _buy(teller, rng, customer, at + hours(rng, 0, 9))
    return at + 3 * DAY


def _business(teller: Teller, rng: np.random.Generator, customer: int, at: int, turn: int) -> int:
    """Buys several times a day for weeks: twice at first, then more and more."""
    for day in range(-10, 14):
        for _ in range(min(2 + (day + 10) // 4, 5 + turn % 3)):
            _buy(teller, rng, customer, at - at % DAY + day * DAY + hours(rng, 7, 17))
    return at + 14 * DAY


def _shared(teller: Teller, rng: np.random.Generator, customer: int, at: int, turn: int) -> int:
    """A device in a shop: a dozen customers within some hours, one of whose cards is refused once."""
    device = f"d{teller.number()}"
    for number in range(12):
        p = purchase(teller, rng, teller.person(), at + number * 9 * MINUTE)
        if number == turn % 12:
            fail(teller, p, p.placed_at + 10 * SECOND, p.cents, device=device)
        fulfil(teller, p)
        capture(teller, p, p.placed_at + MINUTE, p.cents, device=device)
    teller.decoy("shared_device", f"device:{device}", at, at + 2 * HOUR)
    return at


_HARMLESS = {
    "traveller": _traveller,
    "new_phone": _new_phone,
    "forgotten_password": _forgotten,
    "move": _move,
    "gift_spree": _gifts,
    "business_customer": _business,
    "shared_device": _shared,
}
