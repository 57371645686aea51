"""What is recorded of orders and customers: the events of the topics `orders` and `crm`, and of the lanes, as columns.

The whole table is made at once: it is a tenth of a full world and takes some 100 bytes an event while it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from config.clock import DAY, HOUR, SECOND
from replay.world.issues import Plan
from replay.world.model import MILLISECOND, SINCE, Ints, Spec, draws, pick
from replay.world.orders import NEVER, Orders


class Kind(IntEnum):
    """Which event a row of the table is."""

    PLACED = 0
    APPROVED = 1
    CANCELLED = 2
    CAPTURED = 3
    PAYMENT_FAILED = 4
    REFUND_REQUESTED = 5
    REFUND_POSTED = 6
    INVOICED = 7
    HANDED_OVER = 8
    DELIVERED = 9
    REVIEWED = 10
    TICKET_OPENED = 11
    TICKET_CLOSED = 12
    CONTACTED = 13
    USED = 14
    SIGNED_IN = 15
    CHANGED = 16
    HANDOVER_MEASURED = 17
    TRANSIT_MEASURED = 18


CRM_FIRST = Kind.REVIEWED
LANES_FIRST = Kind.HANDOVER_MEASURED

WORRY = 20 * HOUR
"""Some who wait in vain ask so long before the promised day is over."""


@dataclass(frozen=True)
class Business:
    """Parallel columns, one row per event, in order of time (µs)."""

    at: Ints
    kind: npt.NDArray[np.int8]
    order: npt.NDArray[np.int32]
    """Row of the order, or -1."""
    customer: npt.NDArray[np.int32]
    code: npt.NDArray[np.int32]
    """A kind's own: the score of a review, the number of a ticket, seconds on the way; else 0."""

    def __len__(self) -> int:
        return len(self.at)


class _Table:
    """Collects blocks of rows of one kind."""

    def __init__(self, until: int) -> None:
        self._until = until
        self._blocks: list[tuple[Ints, *tuple[npt.NDArray[np.int32], ...]]] = []

    def add(self, kind: Kind, at: Ints, order: Ints, customer: Ints, code: Ints | int = 0) -> None:
        """Add rows; those beyond the end of the world are left out."""
        kept = (at >= SINCE) & (at < self._until)
        others = (np.broadcast_to(column, at.shape) for column in (int(kind), order, customer, code))
        self._blocks.append((at[kept], *(column[kept].astype(np.int32) for column in others)))

    def sorted(self) -> Business:
        """Return all rows in order of time; equal times in order of kind, order and customer."""
        at, kind, order, customer, code = (np.concatenate(column) for column in zip(*self._blocks, strict=True))
        by = np.lexsort((customer, order, kind, at))
        at -= at % MILLISECOND
        return Business(at[by], kind[by].astype(np.int8), order[by], customer[by], code[by])


def business(spec: Spec, plan: Plan, all_orders: Orders) -> Business:
    """Return all events about orders and customers; in a telemetry mix only what the lanes measure."""
    table = _Table(spec.until)
    _lanes(table, all_orders)
    if spec.mix == "full":
        _shop(table, spec, all_orders)
        _reviews(table, spec, all_orders)
        _desk(table, spec, plan, all_orders)
    return table.sorted()


def _lanes(table: _Table, o: Orders) -> None:
    """What the carrier measures of an order when each of its two ways has ended; `code` is the seconds it took."""
    row = np.arange(len(o))
    handed, done = o.handed_over_at < NEVER, o.delivered_at < NEVER
    seconds = (o.handed_over_at - o.approved_at)[handed] // SECOND
    table.add(Kind.HANDOVER_MEASURED, o.handed_over_at[handed], row[handed], o.customer[handed], seconds)
    seconds = (o.delivered_at - o.handed_over_at)[done] // SECOND
    table.add(Kind.TRANSIT_MEASURED, o.delivered_at[done], row[done], o.customer[done], seconds)


def _shop(table: _Table, spec: Spec, o: Orders) -> None:
    """What the shop itself records of its orders."""
    rng = draws(spec.seed, "shop")
    n, row = len(o), np.arange(len(o))
    for kind, at in (
        (Kind.PLACED, o.placed_at), (Kind.APPROVED, o.approved_at), (Kind.CANCELLED, o.cancelled_at),
        (Kind.CAPTURED, o.approved_at - 5 * SECOND), (Kind.HANDED_OVER, o.handed_over_at),
        (Kind.DELIVERED, o.delivered_at), (Kind.REFUND_REQUESTED, o.cancelled_at + 2 * SECOND),
    ):  # fmt: skip
        table.add(kind, at, row, o.customer)
    refunded = o.cancelled_at + (rng.uniform(10, 70, n) * HOUR).astype(np.int64)
    table.add(Kind.REFUND_POSTED, refunded, row, o.customer)
    failed = rng.random(n) < 0.04
    table.add(Kind.PAYMENT_FAILED, (o.placed_at + 20 * SECOND)[failed], row[failed], o.customer[failed])
    invoiced = (rng.random(n) < 0.25) & (o.handed_over_at < NEVER)
    table.add(Kind.INVOICED, (o.handed_over_at + 60 * SECOND)[invoiced], row[invoiced], o.customer[invoiced])


def _reviews(table: _Table, spec: Spec, o: Orders) -> None:
    """What customers say of their orders: soon after the delivery, or after a broken promise, while they still wait.

    Some are unhappy with an order that went well: a complaint that no agent can foresee from these records.
    """
    rng = draws(spec.seed, "reviews")
    n, row = len(o), np.arange(len(o))
    late = o.delivered_at > o.broken_at
    answers = rng.random(n) < np.where(late, 0.8, 0.55)
    wait = (rng.exponential(1.5, n) * DAY).astype(np.int64) + 2 * HOUR
    at = np.where(late, o.broken_at, np.where(o.delivered_at < NEVER, o.delivered_at, NEVER - 90 * DAY)) + wait
    answers &= o.cancelled_at == NEVER
    well, ill = pick(rng, (3, 3, 8, 26, 60), n) + 1, pick(rng, (50, 25, 12, 8, 5), n) + 1
    score = np.where(late, ill, well)
    table.add(Kind.REVIEWED, at[answers], row[answers], o.customer[answers], score[answers])


def _desk(table: _Table, spec: Spec, plan: Plan, o: Orders) -> None:
    """Tickets, contacts, sign-ins and use: of those who wait, of those an outage hurt, and every day's business."""
    rng = draws(spec.seed, "desk")
    n, row, none = len(o), np.arange(len(o)), np.full(len(o), -1)
    waits = (o.delivered_at > o.broken_at) & (o.cancelled_at == NEVER)
    asks = waits & (rng.random(n) < 0.4)
    asked = o.broken_at - WORRY + (rng.uniform(0, 3, n) * DAY).astype(np.int64)
    ticket = asks & (rng.random(n) < 0.5)
    ordinary = rng.random(n) < 0.03
    opened = np.where(ticket, asked, o.placed_at + (rng.uniform(0.5, 60, n) * HOUR).astype(np.int64))
    ticket |= ordinary
    closed = opened + (rng.uniform(1, 40, n) * HOUR).astype(np.int64)
    table.add(Kind.TICKET_OPENED, opened[ticket], row[ticket], o.customer[ticket], row[ticket])
    table.add(Kind.TICKET_CLOSED, closed[ticket], row[ticket], o.customer[ticket], row[ticket])
    called = asks & ~ticket
    table.add(Kind.CONTACTED, asked[called], row[called], o.customer[called])
    table.add(Kind.SIGNED_IN, o.placed_at - 90 * SECOND, none, o.customer, (rng.random(n) < 0.03).astype(np.int64))
    used = (rng.random(n) < 0.25) & (not spec.scenario.told)  # otherwise subscribers use what they pay for
    table.add(Kind.USED, (o.placed_at + DAY)[used], none[used], o.customer[used], pick(rng, [1] * 40, n)[used])
    changed = rng.random(n) < 0.04
    table.add(Kind.CHANGED, (o.placed_at - 60 * SECOND)[changed], none[changed], o.customer[changed])
    for number, outage in enumerate(plan.outages):
        customers = np.asarray([c for c, _ in outage.complaints], dtype=np.int64)
        at = np.asarray([t for _, t in outage.complaints], dtype=np.int64)
        minus = np.full(len(at), -1)
        codes = n + number * 10_000 + np.arange(len(at))
        even = np.arange(len(at)) % 2 == 0
        table.add(Kind.TICKET_OPENED, at[even], minus[even], customers[even], codes[even])
        table.add(Kind.CONTACTED, at[~even], minus[~even], customers[~even], 1 + outage.service)
