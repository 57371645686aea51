"""How much people are asked, how soon they answer, and how often they agree, folded from requests."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median_low
from typing import Any

from config.clock import HOUR, SECOND

Row = dict[str, Any]

ENDS = ("granted", "rejected", "expired", "withdrawn")


def by_role(requests: Iterable[Row], reached: int) -> list[Row]:
    """Return what each role was asked first: `asked`, how these ended (by name), how many are `open`, the age of the
    oldest of them (`oldest_hours`, None for none), and how many were `escalated` to others.

    Args:
        requests: What `sinks.requests.requests` returns.
        reached: The event time that the store has come to, microseconds.
    """
    rows: dict[str, Row] = {}
    for request in requests:
        role = request["roles"][0]
        fresh: Row = {"role": role} | dict.fromkeys(("asked", *ENDS, "open", "escalated"), 0) | {"oldest_hours": None}
        row = rows.setdefault(role, fresh)
        row["asked"] += 1
        row[request["end"] or "open"] += 1
        row["escalated"] += bool(request["escalations"])
        if request["end"] is None:
            age = round((reached - request["at"]) / HOUR, 1)
            row["oldest_hours"] = max(age, row["oldest_hours"] or 0.0)
    return [rows[role] for role in sorted(rows)]


def by_person(requests: Iterable[Row], quick: int) -> list[Row]:
    """Return how each person answers: `answers`, how many `agreed`, their `share`, the median of the seconds after
    which the answer came (`median_s`), and how many of those that agreed came within `quick` of the question.

    Who agrees nearly always, and within moments, reads nothing of what is asked.

    Args:
        requests: What `sinks.requests.requests` returns.
        quick: Microseconds.
    """
    waits: dict[str, list[int]] = {}
    rows: dict[str, Row] = {}
    for request in requests:
        for answer in request["answers"]:
            person, waited = answer["approver"], answer["at"] - request["at"]
            row = rows.setdefault(person, {"person": person, "answers": 0, "agreed": 0, "quick": 0})
            waits.setdefault(person, []).append(waited)
            row["answers"] += 1
            if answer["answer"] == "approve":
                row["agreed"] += 1
                row["quick"] += waited <= quick
    return [
        row | {"share": round(row["agreed"] / row["answers"], 3), "median_s": median_low(waits[person]) / SECOND}
        for person, row in sorted(rows.items())
    ]
