"""Builders of what a review looks at: histories of orders, what was found on them, and a document to show."""

from __future__ import annotations

from typing import Any

import msgspec

from config.clock import DAY
from replay.review.histories import Data, History
from replay.review.wrong import Row, Wrong
from tests.support.findings import finding

CUSTOMER = "customer-77"
"""Nobody may read this in a review."""


def history(**facts: Any) -> History:
    """Return an order placed at 0, promised for day 10, delivered on day 8, answered with five stars on day 9."""
    known: Data = {
        **{"placed_at": 0, "promised_at": 10 * DAY, "delivered_at": 8 * DAY, "answered_at": 9 * DAY, "score": 5},
        **{"sellers": 1, "seller_states": ["SP"], "state": "RJ", "worth": 100.0, "freight": 20.0},
        **facts,
    }
    told = {name: value for name, value in known.items() if value is not None}
    if told.get("score", 5) <= 2:
        told.setdefault("complained_at", told["answered_at"])
    return History([(0, "order.placed", "order placed")], told, CUSTOMER)


def found(number: int, at: int, **given: Any) -> Row:
    """Return the body of a finding on an order."""
    fields: dict[str, Any] = {"entity": f"order:{number}", "at": at, "customer": CUSTOMER, **given}
    body: Row = msgspec.to_builtins(finding(**fields))
    return body


def wrong(**given: Any) -> Wrong:
    """Return a false alarm on order 1."""
    fields: dict[str, Any] = {
        **{"verdict": "false alarm", "entity": "order:1", "at": DAY, "since": 0, "until": 9 * DAY, "finding": None},
        **{"what": "All was well.", "cost": 1.0, "error": 0.5, "kind": "order.stuck", "like": "delivered on time"},
        **given,
    }
    return Wrong(**fields)
