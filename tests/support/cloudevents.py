"""Records as producers write them, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from operators.batch import RawBatch

TIME = "2024-05-01T12:00:00Z"
AT = 1_714_564_800_000_000

REQUEST: dict[str, Any] = {
    "service": "checkout",
    "route": "/pay",
    "status": 200,
    "duration_ms": 12.5,
    "customer_id": "c1",
}
ORDER: dict[str, Any] = {
    "order_id": "o1",
    "customer_id": "c1",
    "customer_state": "SP",
    "promised_at": "2024-05-09T00:00:00Z",
    "items": [{"product_id": "p1", "seller_id": "s1", "seller_state": "RJ", "price": 10.0, "freight": 2.5}],
}


def cloud_event(type_name: str, data: Any, **attributes: Any) -> bytes:
    """Return a structured CloudEvent; an attribute given as `...` is left out."""
    envelope = {
        "specversion": "1.0",
        "id": "1",
        "source": "/test",
        "type": type_name,
        "time": TIME,
        "datacontenttype": "application/json",
        "data": data,
        **attributes,
    }
    return orjson.dumps({name: value for name, value in envelope.items() if value is not ...})


def request(**changes: Any) -> bytes:
    """Return a `request.completed` record with changed data."""
    return cloud_event("request.completed", {**REQUEST, **changes})


def raw_batch(
    values: Sequence[bytes | None], *, topic: str = "telemetry", keys: Sequence[bytes | None] = (), **columns: Any
) -> RawBatch:
    """Return a batch of partition 0 with offsets from 100."""
    count = len(values)
    return RawBatch(
        topic=topic,
        partition=0,
        offsets=columns.get("offsets", list(range(100, 100 + count))),
        timestamps=columns.get("timestamps", [1_714_564_800_000] * count),
        keys=list(keys) if keys else [None] * count,
        values=list(values),
        headers=columns.get("headers", []),
    )
