"""A recording of a marketplace's orders and reviews, small enough to be run over in a moment."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from config.clock import DAY, HOUR, from_text, to_text
from replay.manifest import Idle
from replay.recording import Recording
from tests.support.cloudevents import cloud_event
from tests.support.recordings import Record, record

START = from_text("2026-01-05T00:00:00Z")
EVERY = 6 * HOUR
LATE_EVERY = 4
"""One order in so many comes four days late, and its customer complains; the last customer says nothing."""


def placed_at(number: int) -> int:
    """Return when the order `m<number>` was placed."""
    return START + number * EVERY


def market(folder: Path, orders: int, idle: Iterable[Idle] = ()) -> Recording:
    """Record orders, promised in ten days and delivered on the eighth or the fourteenth; offsets are even numbers."""
    business: list[tuple[int, bytes]] = []
    crm: list[tuple[int, bytes]] = []
    for number in range(orders):
        at, late = placed_at(number), number % LATE_EVERY == 0
        delivered_at = at + (14 if late else 8) * DAY
        items = [
            {"product_id": "p", "seller_id": f"s{number % 3}", "seller_state": "SP", "price": 10.0, "freight": 1.0}
        ]
        placed = {"customer_state": "RJ", "promised_at": to_text(at + 10 * DAY), "items": items}
        business += [
            _row(at, "order.placed", number, placed),
            _row(at + HOUR, "order.approved", number, {"ship_by": to_text(at + 3 * DAY)}),
            _row(at + 2 * DAY, "shipment.handed_over", number, {}),
            _row(delivered_at, "shipment.delivered", number, {}),
        ]
        if number < orders - 1:
            review = {"review_id": f"r{number}", "score": 1 if late else 5}
            crm.append(_row(delivered_at + DAY, "review.answered", number, review))
    partitions = {("orders", 0): _records(business), ("crm", 0): _records(crm)}
    return record(folder, partitions, recorded_until=placed_at(orders) + 30 * DAY, idle=idle)


def _row(at: int, type_: str, number: int, data: dict[str, Any]) -> tuple[int, bytes]:
    names = {"order_id": f"m{number}", "customer_id": f"c{number}"}
    return at, cloud_event(type_, names | data, id=f"{type_}-{number}", time=to_text(at))


def _records(rows: list[tuple[int, bytes]]) -> list[Record]:
    return [(2 * offset, at // 1000, None, value) for offset, (at, value) in enumerate(sorted(rows))]
