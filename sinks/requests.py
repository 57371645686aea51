"""What people were asked, folded from the outputs of kind `approval`: who may answer, who did, how it ended."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import sqlalchemy as sa

from config.errors import UsageError
from sinks.open_requests import APPROVAL
from sinks.schema import outputs
from sinks.store import Store

Row = dict[str, Any]


def requests(store: Store) -> list[Row]:
    """Return all requests, oldest first: what was asked, and what came of it.

    Beside what was put out: `roles` (who may answer by now), `approvers`, `answers`, `refusals` and `escalations`
    (their data, in order), `end` (None while it is open), `ended_at` and `why`.
    """
    query = (
        sa.select(outputs.c.type, outputs.c.body)
        .where(outputs.c.kind == APPROVAL)
        .order_by(outputs.c.event_at, outputs.c.part, outputs.c.seq)
    )
    found: dict[str, Row] = {}
    with store.read() as connection:
        for type_, body in connection.execute(query):
            _fold(found, type_, orjson.loads(body))
    return list(found.values())


def requests_by_end(store: Store) -> Row:
    """Return the number of requests by how they ended, `open` for those that wait."""
    return dict(sorted(Counter(row["end"] or "open" for row in requests(store)).items()))


def asked_at(store: Store) -> dict[str, int]:
    """Return when people were asked, microseconds of event time, by request."""
    query = sa.select(outputs.c.body).where(outputs.c.kind == APPROVAL, outputs.c.type == "approval.requested")
    with store.read() as connection:
        found = (orjson.loads(body) for body in connection.execution_options(yield_per=1_000).execute(query).scalars())
        return {row["request_id"]: row["at"] for row in found}


def find_request(store: Store, request_id: str) -> Row:
    """Return the request whose id is, or begins with, `request_id`.

    Raises:
        UsageError: There is none, or more than one.
    """
    found = [row for row in requests(store) if request_id and row["request_id"].startswith(request_id)]
    if not found:
        raise UsageError(
            f"There is no request {request_id!r}.", remedy="`forestall approvals list` shows those that are open."
        )
    if len(found) > 1:
        raise UsageError(f"More than one request begins with {request_id!r}.", remedy="Give more of the id.")
    return found[0]


def _fold(found: dict[str, Row], type_: str, data: Row) -> None:
    if type_ == "approval.requested":
        found[data["request_id"]] = data | {
            "roles": list(data["roles"]),
            "approvers": [],
            "answers": [],
            "refusals": [],
            "escalations": [],
            "end": None,
            "ended_at": None,
            "why": "",
        }
        return
    row = found.get(data["request_id"])
    if row is None:
        return  # a refusal may name a request that there never was
    if type_ == "approval.counted":
        row["answers"].append(data)
        if data["answer"] == "approve":
            row["approvers"].append(data["approver"])
    elif type_ == "approval.refused":
        row["refusals"].append(data)
    elif type_ == "approval.escalated":
        row["escalations"].append(data)
        if data["to"] not in row["roles"]:
            row["roles"].append(data["to"])
    elif type_ == "approval.closed":
        row.update(end=data["end"], ended_at=data["at"], why=data["why"])
