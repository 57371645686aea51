from __future__ import annotations

from typing import Any

from config.clock import HOUR, SECOND
from sinks.approval_load import by_person, by_role

Row = dict[str, Any]


def request(at: int, role: str = "desk", end: str | None = None, *answers: Row, **more: Any) -> Row:
    return {"at": at, "roles": [role, "duty"], "end": end, "answers": list(answers), "escalations": []} | more


def answer(by: str, at: int, said: str = "approve") -> Row:
    return {"approver": by, "at": at, "answer": said}


def test_requests_count_for_the_role_that_was_asked_first() -> None:
    asked = [
        request(0, "desk", "granted", escalations=[{"to": "duty"}]),
        request(2 * HOUR),
        request(HOUR),
        request(0, "risk", "expired"),
    ]
    none = {"asked": 1, "granted": 0, "rejected": 0, "expired": 0, "withdrawn": 0, "open": 0, "escalated": 0}
    assert by_role(asked, 4 * HOUR) == [
        none | {"role": "desk", "asked": 3, "granted": 1, "open": 2, "escalated": 1, "oldest_hours": 3.0},
        none | {"role": "risk", "expired": 1, "oldest_hours": None},
    ]


def test_who_agrees_always_and_at_once_is_seen() -> None:
    asked = [
        request(0, "desk", "granted", answer("quick", SECOND), answer("slow", HOUR)),
        request(HOUR, "desk", "granted", answer("quick", HOUR + 30 * SECOND)),
        request(0, "desk", "rejected", answer("slow", 2 * HOUR, "reject"), answer("quick", 31 * SECOND)),
    ]
    assert by_person(asked, 30 * SECOND) == [
        {"person": "quick", "answers": 3, "agreed": 3, "quick": 2, "share": 1.0, "median_s": 30.0},
        {"person": "slow", "answers": 2, "agreed": 1, "quick": 0, "share": 0.5, "median_s": 3600.0},
    ]


def test_nobody_asked_is_nobody_told_of() -> None:
    assert (by_role([], 0), by_person([], SECOND)) == ([], [])
