"""The view `order_progress`: how far an order has come, by its own records (`config/features/order_progress.yaml`)."""

from __future__ import annotations

from config.clock import DAY
from operators.journey_state import Order

VIEW = "order_progress"
WITH_SELLER, WITH_CARRIER, DELIVERED = 0, 1, 2

Row = dict[str, float | None]
"""Numbers by name, in the order of the view; None where one does not apply."""


def order_progress(order: Order, now: int) -> Row:
    """Return the view of `order` at `now`: only what its records told by then.

    Numbers are rounded to four places, so that what is stored and shown is what the model saw.
    """
    promised_at, ship_by, begun = order.promised_at, order.ship_by, order.handed_over_at
    delivered_at = order.delivered_at
    if delivered_at is not None:
        stage = DELIVERED
    else:
        stage = WITH_SELLER if begun is None else WITH_CARRIER
    return {
        "stage": float(stage),
        "left_days": _days(promised_at, now),
        "ship_overdue_days": _days(now if begun is None else begun, ship_by),
        "transit_days": _days(now, begun) if stage == WITH_CARRIER else None,
        "delivered_late_days": _days(delivered_at, promised_at),
        "delivered_after_days": _days(delivered_at, order.placed_at),
        "since_delivered_days": _days(now, delivered_at),
        "items": float(order.items),
        "products": float(order.products_count),
        "sellers": float(len(order.sellers)),
    }


def _days(until: int | None, since: int | None) -> float | None:
    return None if until is None or since is None else round((until - since) / DAY, 4)
