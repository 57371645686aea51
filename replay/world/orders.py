"""The lives of all orders, as columns: when each was placed, approved, handed over, delivered; what held it up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from config.clock import DAY, HOUR, SECOND
from replay.world.issues import Plan
from replay.world.model import MILLISECOND, SINCE, STATES, Fleet, Floats, Ints, Spec, draws, pick, season, spread

NEVER = 2**62
"""The time of what does not happen."""

OWN, STUCK, LANE, BACKLOG = 0, 1, 2, 3
"""What held an order up: nothing but bad luck, it was forgotten, its lane was slow, its seller had a backlog."""


@dataclass(frozen=True)
class Orders:
    """Parallel columns, one row per order in the order of placing. Times are µs; `NEVER` where it does not happen."""

    customer: Ints
    products: Ints
    """(orders, 3) product indices, -1 where there are fewer items."""
    lane: Ints
    placed_at: Ints
    approved_at: Ints
    ship_by: Ints
    """`NEVER` where nobody said."""
    promised_at: Ints
    """The promise is a day, named by its first instant."""
    handed_over_at: Ints
    delivered_at: Ints
    cancelled_at: Ints
    cents: Ints
    """Price and freight of all items."""
    held_by: Ints
    """One of OWN, STUCK, LANE, BACKLOG."""
    held_since: Ints
    """When it went wrong, for those held up; else when it was placed."""

    def __len__(self) -> int:
        return len(self.placed_at)

    @property
    def broken_at(self) -> Ints:
        """When the promised day is over."""
        return self.promised_at + DAY

    def awaited(self, product: int, at: Ints) -> Ints:
        """Return how many units of a product are sold and still lie in the warehouse at each instant."""
        units = (self.products == product).sum(axis=1)
        rows = np.flatnonzero(units)
        left = np.minimum(self.handed_over_at, self.cancelled_at)[rows]
        by_left = np.argsort(left)
        sold = np.concatenate([[0], np.cumsum(units[rows])])
        gone = np.concatenate([[0], np.cumsum(units[rows][by_left])])
        placed, left = self.placed_at[rows], left[by_left]
        awaited: Ints = sold[np.searchsorted(placed, at, "right")] - gone[np.searchsorted(left, at, "right")]
        return awaited


def orders(spec: Spec, fleet: Fleet, plan: Plan) -> Orders:
    """Return the life of every order of the world."""
    n = spec.orders
    rng = draws(spec.seed, "orders")
    placed = _placed(rng, spec, n)
    customer = (rng.random(n) ** 1.4 * spec.customers).astype(np.int64)
    products, seller = _baskets(rng, fleet, n)
    lane = fleet.seller_state[seller] * len(STATES) + fleet.customer_state[customer]
    usual = fleet.transit_hours.ravel()[lane]

    approved = placed + _us(spread(rng, 0.4, 1.0, n).clip(0.01, 20))
    ship_by = np.where(np.arange(n) % 50 == 49, NEVER, approved + 3 * DAY)
    arrives = placed + _us(66 + 2.0 * usual)
    honest = [(lane == slow.lane) & (placed >= slow.since) & (placed < slow.until) for slow in plan.honest]
    for slow, hit in zip(plan.honest, honest, strict=True):
        arrives[hit] += _us(2.0 * (slow.factor - 1) * usual[hit])
    promised = arrives - (arrives - SINCE) % DAY

    held_by = np.full(n, OWN)
    held_since = placed.copy()
    handed_over = approved + _us(spread(rng, 20.0, 0.4, n).clip(2, 70))
    for backlog in plan.backlogs:
        hit = (seller == backlog.seller) & (handed_over > backlog.since) & (approved < backlog.until - DAY)
        handed_over[hit] = backlog.until + _us(rng.uniform(1, 30, int(hit.sum())))
        held_by[hit], held_since[hit] = BACKLOG, np.maximum(placed[hit], backlog.since)
    stuck = (rng.random(n) < _share(spec, "order.ship_by_missed", STUCK_SHARE)) & (held_by == OWN)
    handed_over[stuck] += _us(rng.uniform(4.5, 9, int(stuck.sum())) * 24)
    held_by[stuck], held_since[stuck] = STUCK, approved[stuck]
    handed_over[stuck & (rng.random(n) < 0.15)] = NEVER

    on_road = _us(spread(rng, usual, 0.2 * spec.scenario.noise, n))
    for slow, hit in zip(plan.honest, honest, strict=True):
        on_road[hit] = (on_road[hit] * slow.factor).astype(np.int64)
    for slow in plan.lanes:
        due = handed_over + on_road
        hit = (lane == slow.lane) & (handed_over < slow.until) & (due > slow.since)
        left = np.minimum(due - slow.since, on_road)
        on_road = np.where(hit, on_road + ((slow.factor - 1) * left).astype(np.int64), on_road)
        mine = hit & (held_by == OWN)
        held_by[mine], held_since[mine] = LANE, np.maximum(placed[mine], slow.since)
    delivered = np.where(handed_over == NEVER, NEVER, handed_over + on_road)

    cancelled = np.where(rng.random(n) < CANCELLED_SHARE, approved + _us(rng.uniform(0.2, 4, n)), NEVER)
    gone = (cancelled < handed_over) & (held_by == OWN)
    cancelled[~gone] = NEVER
    handed_over[gone] = delivered[gone] = NEVER
    unlucky = (draws(spec.seed, "bad luck").random(n) < _share(spec, "order.promise_passed", 0.0)) & (held_by == OWN)
    delivered[unlucky & (delivered < NEVER)] += _us(24 * draws(spec.seed, "worse luck").uniform(5, 9, n))[
        unlucky & (delivered < NEVER)
    ]
    costs = fleet.product_cents + fleet.product_freight
    cents = np.where(products >= 0, costs[products], 0).sum(axis=1)
    return Orders(
        customer, products, lane, _ms(placed), _ms(approved), _ms(ship_by), promised, _ms(handed_over),
        _ms(delivered), _ms(cancelled), cents, held_by, held_since,
    )  # fmt: skip


STUCK_SHARE = 0.015
CANCELLED_SHARE = 0.02


def _share(spec: Spec, kind: str, plain: float) -> float:
    """Return the share of orders that fare so; `plain` in a plain world."""
    return spec.scenario.rate(kind) / 1000 if spec.scenario.told else plain


def _placed(rng: np.random.Generator, spec: Spec, n: int) -> Ints:
    """Return when the orders are placed, sorted: at random, as the season goes."""
    hours = np.arange(spec.days * 24) * HOUR + SINCE
    busy = season(hours + HOUR // 2, spec.scenario.season)
    busy = np.where(np.isin((hours - SINCE) // DAY, spec.scenario.season.peaks), 3 * busy, busy)
    edges = np.concatenate([[0.0], np.cumsum(busy)])
    at = np.interp(rng.random(n) * edges[-1], edges, np.append(hours, spec.until).astype(np.float64))
    return np.sort(at.astype(np.int64)).clip(SINCE, spec.until - SECOND)


def _baskets(rng: np.random.Generator, fleet: Fleet, n: int) -> tuple[Ints, Ints]:
    """Return the items (orders, 3) and the seller of the first; one order in twenty mixes sellers."""
    seller = pick(rng, fleet.seller_share, n)
    each = fleet.products // len(fleet.seller_share)
    products = seller[:, None] * each + rng.integers(0, each, (n, 3))
    mixed = rng.random(n) < 0.05
    products[mixed, 1] = rng.integers(0, fleet.products, int(mixed.sum()))
    items = pick(rng, (0.7, 0.22, 0.08), n) + 1
    products[np.arange(3) >= np.where(mixed, np.maximum(items, 2), items)[:, None]] = -1
    return products, seller


def _us(hours: Floats) -> Ints:
    return (hours * HOUR).astype(np.int64)


def _ms(at: Ints) -> Ints:
    """Cut to whole milliseconds, as the records' texts are; NEVER stays."""
    return np.where(at == NEVER, NEVER, at - at % MILLISECOND)
