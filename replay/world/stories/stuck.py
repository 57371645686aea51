"""Orders that get stuck, and products of which more is sold than there is; and full warehouses that look empty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from config.clock import DAY, HOUR, SECOND
from replay.world.goods import Item
from replay.world.model import draws
from replay.world.stories.purchase import (
    Purchase,
    approve,
    cancel,
    capture,
    fulfil,
    hand_over,
    pay,
    place,
    purchase,
    refund,
)
from replay.world.stories.teller import Teller, days, hours

LEVEL_EVERY = 8 * HOUR


def stuck_orders(teller: Teller) -> None:
    """An order is paid and never approved, lies at the seller, or is lost on the road, until the customer asks."""
    rng = draws(teller.spec.seed, "stuck order")
    for i, at in enumerate(teller.occasions("order.stuck", rng, before=9 * DAY)):
        p = purchase(teller, rng, teller.person(), at)
        place(teller, p)
        asks = p.promised_at + DAY + days(rng, 0.1, 1.5)
        onset = p.approved_at
        if i % 3 == 0:
            capture(teller, p, p.placed_at + 60 * SECOND, p.cents)
            asks, onset = p.placed_at + days(rng, 4.2, 6), p.placed_at + 60 * SECOND
        else:
            approve(teller, p)
            pay(teller, p)
        if i % 3 == 2:
            hand_over(teller, p)
            onset = p.handed_over_at
        teller.contact(asks, p.customer, "where is my order", p.order)
        ends = asks + days(rng, 2, 5)
        cancel(teller, p, ends, "lost")
        refund(teller, p, ends + HOUR, ends + 2 * DAY, p.cents)
        harm = "never came, and the customer asked for it"
        teller.issue("order.stuck", p.entity, [p.customer], onset, asks, ends, harm)


def oversold(teller: Teller) -> None:
    """More units are sold than there are; the last to order are sent away, days later."""
    rng = draws(teller.spec.seed, "oversold")
    for at in teller.occasions("inventory.oversold", rng, after=3 * DAY, before=5 * DAY):
        item, on_hand = _rare(teller, rng), 4 + int(rng.integers(4))
        sold = _sell(teller, rng, item, at, on_hand + 5 + int(rng.integers(3)))
        served, refused = sold[:on_hand], sold[on_hand:]
        for p in served:
            fulfil(teller, p)
            pay(teller, p)
        sent_away = []
        for p in refused:
            place(teller, p)
            approve(teller, p)
            pay(teller, p)
            sent_away.append(p.approved_at + days(rng, 1.5, 2.8))
            cancel(teller, p, sent_away[-1], "out of stock")
            refund(teller, p, sent_away[-1] + HOUR, sent_away[-1] + DAY, p.cents)
        _levels(teller, item, at - 2 * DAY, at + 5 * DAY, {"w1": on_hand}, served)
        teller.issue(
            "inventory.oversold", f"product:{item.product}", [p.customer for p in refused], refused[0].placed_at,
            min(sent_away), max(sent_away), "sold, paid and then cancelled, for there was none left",
        )  # fmt: skip


def harmless_stock(teller: Teller) -> None:
    """An empty warehouse beside a full one; few left, but more on the way."""
    for what in ("well_stocked", "restock"):
        rng = draws(teller.spec.seed, what)
        for at in teller.occasions(what, rng, after=3 * DAY, before=5 * DAY):
            item = _rare(teller, rng)
            sold = _sell(teller, rng, item, at, 9)
            for p in sold:
                fulfil(teller, p)
                pay(teller, p)
            if what == "well_stocked":
                _levels(teller, item, at - 2 * DAY, at + 5 * DAY, {"w1": 0, "w2": 30}, sold)
            else:
                _restocked(teller, item, at, sold)
            teller.decoy(what, f"product:{item.product}", at, at + 5 * DAY)


def _rare(teller: Teller, rng: np.random.Generator) -> Item:
    """Return a product that nobody else buys."""
    return replace(teller.item(rng, teller.person()), product=f"p{teller.number()}")


def _sell(teller: Teller, rng: np.random.Generator, item: Item, at: int, count: int) -> list[Purchase]:
    """Plan `count` orders of it, in turn, within half a day."""
    times = sorted(at + hours(rng, 0, 10) for _ in range(count))
    return [purchase(teller, rng, teller.person(), each, items=[item]) for each in times]


def _levels(
    teller: Teller, item: Item, since: int, until: int, on_hand: dict[str, int], served: list[Purchase]
) -> None:
    """Tell what lies in each warehouse, three times a day; what is handed over leaves the fullest."""
    fullest = max(on_hand, key=lambda name: on_hand[name])
    for at in range(since - since % LEVEL_EVERY, until, LEVEL_EVERY):
        left = sum(p.handed_over_at <= at for p in served)
        for name, units in on_hand.items():
            _level(teller, item, at, name, max(0, units - left * (name == fullest)))


def _restocked(teller: Teller, item: Item, at: int, sold: list[Purchase]) -> None:
    """Five units, of which four are sold before twenty more arrive, counted at once; then five more are sold."""
    arrives = sold[3].placed_at + 2 * SECOND
    for tick in sorted([*range(at - 2 * DAY - at % LEVEL_EVERY, at + 5 * DAY, LEVEL_EVERY), arrives]):
        left = sum(p.handed_over_at <= tick for p in sold)
        _level(teller, item, tick, "w1", 5 + (20 if tick >= arrives else 0) - left)


def _level(teller: Teller, item: Item, at: int, warehouse: str, on_hand: int) -> None:
    data = {"product_id": item.product, "warehouse": warehouse, "on_hand": on_hand, "reserved": 0}
    teller.tell(at, "telemetry", "inventory.level", item.product, data)
