"""What else of a world's troubles may be found: right, but neither asked for nor counted as false.

Whoever complains of a late order also adds to the complaints about its lane, its seller and its product; whoever is
unhappy with an order that went well complains of it all the same. Nobody asks an agent to find these; if one does, it
is not wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from config.clock import DAY, HOUR
from replay.world.business import Business, Kind
from replay.world.issues import Plan
from replay.world.labels import Echo
from replay.world.model import PRODUCTS_PER_SELLER, Spec, lane_name
from replay.world.orders import Orders

AFTERMATH = 2 * HOUR
"""An outage is still news for so long after it ended."""
BURST_SPAN = 7 * DAY
BURST_CUSTOMERS = 4
"""So many customers who complain of one lane, seller or product within `BURST_SPAN` are a burst, whatever the cause."""
BURST_LASTS = 7 * DAY


def touched(spec: Spec, plan: Plan, met: list[set[int]]) -> list[Echo]:
    """Return whom outages touched: whoever used a slow service may be told of it, minded or not."""
    if not spec.scenario.told:
        return []
    return [
        Echo(
            kind="customer.touched_by_outage", entity=f"customer:c{customer:07}", since=outage.since,
            until=outage.until + AFTERMATH,
        )
        for outage, customers in zip(plan.outages, met, strict=True)
        for customer in sorted(customers)
    ]  # fmt: skip


def echoes(spec: Spec, orders: Orders, business: Business) -> list[Echo]:
    """Return what else may be found of the orders of the columns."""
    if not spec.scenario.told:
        return []
    complaints = _complaints(orders, business)
    made = [
        Echo(kind="order.complaint_likely", entity=f"order:o{row:08}", since=int(orders.placed_at[row]), until=at)
        for at, row in complaints
    ]
    late = [(at, row) for at, row in complaints if orders.delivered_at[row] > orders.broken_at[row]]
    return made + bursts([(at, int(orders.customer[row]), _about(orders, row)) for at, row in late])


def bursts(complaints: Iterable[tuple[int, int, list[str]]]) -> list[Echo]:
    """Return when each entity has a burst: complaints of several customers within days.

    Args:
        complaints: (when, customer, entities complained of), by time.
    """
    by_entity: dict[str, list[tuple[int, int]]] = {}
    for at, customer, entities in complaints:
        for entity in entities:
            by_entity.setdefault(entity, []).append((at, customer))
    made: list[Echo] = []
    for entity, said in by_entity.items():
        first = 0
        for last, (at, _) in enumerate(said):
            while said[first][0] <= at - BURST_SPAN:
                first += 1
            if len({customer for _, customer in said[first : last + 1]}) >= BURST_CUSTOMERS:
                since = made.pop().since if made and made[-1].entity == entity and made[-1].until >= at else at
                made.append(Echo(kind="complaint.burst", entity=entity, since=since, until=at + BURST_LASTS))
    return made


def _complaints(o: Orders, business: Business) -> list[tuple[int, int]]:
    """Return (when, row of the order) of the first complaint about each order, by time."""
    angry = (business.kind == Kind.REVIEWED) & (business.code <= 2) | (business.kind == Kind.TICKET_OPENED)
    angry |= business.kind == Kind.CONTACTED
    rows = np.flatnonzero(angry & (business.order >= 0))
    _, first = np.unique(business.order[rows], return_index=True)
    return sorted((int(business.at[i]), int(business.order[i])) for i in rows[first].tolist())


def _about(o: Orders, row: int) -> list[str]:
    products = [int(p) for p in o.products[row] if p >= 0]
    sellers = sorted({p // PRODUCTS_PER_SELLER for p in products})
    lane = f"lane:{lane_name(int(o.lane[row]))}"
    return [lane, *(f"product:p{p:05}" for p in products), *(f"seller:s{s:03}" for s in sellers)]
