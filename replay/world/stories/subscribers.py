"""Customers who pay every month for a product and use it: what they use, what they are billed, and who leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from config.clock import DAY, HOUR, MINUTE, to_text
from replay.world.model import SINCE, draws
from replay.world.stories.teller import Teller, customer_name, days

PRICES = {"basic": 990, "plus": 1990, "pro": 3990}
"""Cents a month, before tax."""
PLANS = tuple(PRICES)
TAX = 0.19
PERIOD = 30 * DAY
STEADY_MIN = 20


@dataclass
class Subscriber:
    """Who pays for what, since when."""

    customer: int
    name: str
    plan: str
    begins: int
    """Start of a period, µs; periods go on from there both ways."""
    level: float
    """Visits on a usual day."""
    workdays: bool
    """Whether weekends are free of it."""
    use: Callable[[int], float]
    """What is left of the usual use on a day (its start, µs)."""


def subscribers(teller: Teller) -> None:
    """Tell of all subscribers: steady ones, those in trouble, and those who only seem to be."""
    rng = draws(teller.spec.seed, "subscribers")
    for what, told in _ROLES.items():
        own = draws(teller.spec.seed, what)
        after, before = (31, 27) if what == "usage.silent_churn" else (31, 10)
        for i, at in enumerate(teller.occasions(what, own, after=after * DAY, before=before * DAY)):
            _live(teller, rng, told(teller, own, _new(teller, own, at - int(own.integers(5, 25)) * DAY), at, i))
    scenario = teller.spec.scenario
    if any(scenario.rate(what) or scenario.decoy(what) for what in _ROLES):
        for _ in range(max(STEADY_MIN, teller.spec.orders // 100)):
            _live(teller, rng, _billed(teller, _new(teller, rng, SINCE - int(rng.integers(30)) * DAY)))


def _new(teller: Teller, rng: np.random.Generator, begins: int) -> Subscriber:
    plan, level = PLANS[int(rng.integers(3))], float(rng.uniform(4, 30))
    name = f"b{teller.number()}"
    return Subscriber(teller.person(), name, plan, begins, level, bool(rng.random() < 0.4), lambda day: 1.0)


def _live(teller: Teller, rng: np.random.Generator, s: Subscriber) -> None:
    """Tell how a subscriber begins, and uses the product day by day."""
    _change(teller, SINCE + int(rng.integers(1, 600)) * MINUTE, s, "active")
    season, noise = teller.spec.scenario.season, teller.spec.scenario.noise
    gap = teller.spec.days * 3 // 5
    lost = range(gap, gap + teller.spec.scenario.sources.usage_gap_days)
    for number, day in enumerate(range(SINCE, teller.spec.until, DAY)):
        weekend = number % 7 >= 5
        usual = s.level * (0.15 if weekend and s.workdays else 1.0) * (0.5 if number in season.holidays else 1.0)
        used = usual * s.use(day) * float(np.exp(0.25 * noise * rng.standard_normal()))
        if number in lost:
            continue
        data = {"product": "app", "unit": "visits", "value": round(used)}
        teller.of_customer(
            day + 23 * HOUR + int(rng.integers(50)) * MINUTE, "crm", "usage.measured", s.customer, **data
        )


def _change(teller: Teller, at: int, s: Subscriber, status: str) -> None:
    renews = s.begins + (max(0, at - s.begins) // PERIOD + 1) * PERIOD
    teller.of_customer(
        at, "orders", "subscription.changed", s.customer, subscription_id=s.name, plan=s.plan, status=status,
        price=PRICES[s.plan] / 100, currency="EUR", product="app", interval_months=1, renews_at=to_text(renews),
    )  # fmt: skip


def _invoice(teller: Teller, s: Subscriber, period: int, cents: int, plan: str = "", after: int = HOUR) -> str:
    """Bill one period, given by its start; return the invoice's id."""
    name, tax = f"v{teller.number()}", round(cents * TAX)
    teller.of_customer(
        period + after, "orders", "invoice.issued", s.customer, invoice_id=name, amount=(cents + tax) / 100,
        currency="EUR", due_at=to_text(period + 14 * DAY), subscription_id=s.name, plan=plan or s.plan,
        period_start=to_text(period), period_end=to_text(period + PERIOD), tax=tax / 100,
    )  # fmt: skip
    return name


def _billed(teller: Teller, s: Subscriber, since: int = SINCE, until: int | None = None) -> Subscriber:
    """Bill every period of [since, until) as the plan says."""
    first = s.begins + -(-(since + DAY - s.begins) // PERIOD) * PERIOD
    for period in range(first, teller.spec.until if until is None else until, PERIOD):
        _invoice(teller, s, period, PRICES[s.plan])
    return s


def _churns(teller: Teller, rng: np.random.Generator, s: Subscriber, at: int, turn: int) -> Subscriber:
    """Uses less within days, then nothing, says nothing, and cancels three and a half weeks later."""
    leaves = at + days(rng, 22, 26)
    s.use = lambda day: float(np.clip(1 - (day - at) / (4 * DAY), 0.0, 1.0))
    _billed(teller, s, until=leaves)
    _change(teller, leaves, s, "cancelled")
    harm = "stopped using what was paid for, and left"
    entity = f"customer:{customer_name(s.customer)}"
    teller.issue("usage.silent_churn", entity, [s.customer], at, leaves, leaves + DAY, harm)
    return s


def _mismatched(teller: Teller, rng: np.random.Generator, s: Subscriber, at: int, turn: int) -> Subscriber:
    """Is billed another plan's price, or another plan, or after having left."""
    at -= at % HOUR
    s.begins = at - 3 * PERIOD
    other = PLANS[(PLANS.index(s.plan) + 1 + turn % 2) % 3]
    _billed(teller, s, until=at)
    if turn % 3 == 2:
        left = at - days(rng, 2, 6)
        _change(teller, left, s, "cancelled")
        s.use = lambda day: float(day < left)
        other = s.plan
    wrong = _invoice(teller, s, at, PRICES[other], plan=other if turn % 3 == 1 else "")
    asks = at + HOUR + days(rng, 0.5, 5)
    teller.ticket(asks, s.customer, "invoice")
    harm = "billed what was not agreed, and complained"
    teller.issue("invoice.plan_mismatch", f"invoice:{wrong}", [s.customer], at + HOUR, asks, asks + 5 * DAY, harm)
    if turn % 3 < 2:
        _billed(teller, s, since=at + PERIOD - DAY)
    return s


def _prorated(teller: Teller, rng: np.random.Generator, s: Subscriber, at: int, turn: int) -> Subscriber:
    """Takes a dearer plan within a period; the next invoice is for some days of each."""
    at -= at % HOUR
    s.begins, s.plan = at - 3 * PERIOD, PLANS[turn % 2]
    _billed(teller, s, until=at - PERIOD)
    before = PRICES[s.plan]
    told = Subscriber(s.customer, s.name, PLANS[turn % 2 + 1], s.begins, s.level, s.workdays, s.use)
    _change(teller, at - PERIOD + 12 * DAY, told, "active")
    part = round(before * 12 / 30 + PRICES[told.plan] * 18 / 30)
    name = _invoice(teller, s, at - PERIOD, part, plan=told.plan, after=12 * DAY + 2 * HOUR)
    _billed(teller, told, since=at - DAY)
    teller.decoy("proration", f"invoice:{name}", at - PERIOD, at + 10 * DAY)
    return s


def _credited(teller: Teller, rng: np.random.Generator, s: Subscriber, at: int, turn: int) -> Subscriber:
    at -= at % HOUR
    s.begins = at - 3 * PERIOD
    _billed(teller, s)
    name = _invoice(teller, s, at, -PRICES[s.plan] // 2, after=5 * HOUR)
    teller.decoy("credit_note", f"invoice:{name}", at, at + 10 * DAY)
    return s


def _away(teller: Teller, rng: np.random.Generator, s: Subscriber, at: int, turn: int) -> Subscriber:
    s.use = lambda day: float(not at <= day < at + 7 * DAY)
    teller.decoy("vacation", f"customer:{customer_name(s.customer)}", at, at + 14 * DAY)
    return _billed(teller, s)


def _pauses(teller: Teller, rng: np.random.Generator, s: Subscriber, at: int, turn: int) -> Subscriber:
    s.use = lambda day: float(day < at)
    _billed(teller, s, until=at)
    _change(teller, at, s, "paused")
    teller.decoy("paused", f"customer:{customer_name(s.customer)}", at, teller.spec.until)
    return s


def _low(teller: Teller, rng: np.random.Generator, s: Subscriber, at: int, turn: int) -> Subscriber:
    s.level = 0.7
    teller.decoy("low_user", f"customer:{customer_name(s.customer)}", SINCE, teller.spec.until)
    return _billed(teller, s)


_ROLES = {
    "usage.silent_churn": _churns,
    "invoice.plan_mismatch": _mismatched,
    "proration": _prorated,
    "credit_note": _credited,
    "vacation": _away,
    "paused": _pauses,
    "low_user": _low,
}
