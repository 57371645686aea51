"""What people are asked and answer is counted, and what is open is known again after a restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.clock import HOUR, SECOND
from sinks.chain import GENESIS, Entry, canonical, link
from sinks.open_requests import OpenRequests
from sinks.store import Store
from tests.support.metrics import Series, counting, total, value

__all__ = ["counting"]

AT = 1_700_000_000 * SECOND


def requested(request_id: str, at: int, *roles: str) -> tuple[str, dict[str, Any]]:
    return "approval.requested", {"request_id": request_id, "at": at, "roles": list(roles)}


OUTPUTS = [
    requested("a", AT, "desk"),
    requested("b", AT + HOUR, "desk"),
    requested("c", AT + 2 * HOUR, "duty"),
    (
        "approval.refused",
        {"request_id": "zzz", "at": AT, "reason": "unknown-request", "role": "x", "answer": "approve"},
    ),
    ("approval.escalated", {"request_id": "b", "at": AT, "to": "duty", "notify": False}),
    (
        "approval.counted",
        {"request_id": "a", "at": AT, "answer": "approve", "role": "desk", "waited_us": 90 * 60 * SECOND},
    ),
    ("approval.closed", {"request_id": "a", "at": AT, "end": "granted"}),
]


def entries(outputs: list[tuple[str, dict[str, Any]]], first: int = 1) -> list[Entry]:
    head, made = GENESIS, []
    for seq, (type_, data) in enumerate(outputs, first):
        body = canonical(data)
        head = link(head, "part-000", seq, type_, f"id-{seq}", AT, "key", body)
        made.append(Entry(seq, type_, f"id-{seq}", AT, "key", body, head))
    return made


def test_requests_answers_and_ends_are_counted_by_role_reason_and_end(counting: Callable[[], Series]) -> None:
    OpenRequests("part-000", []).released(entries(OUTPUTS))
    found = counting()
    assert value(found, "forestall_requests_total", role="desk") == 2
    assert value(found, "forestall_answers_total", role="desk", answer="approve") == 1
    assert value(found, "forestall_refused_answers_total", reason="unknown-request") == 1
    assert value(found, "forestall_escalations_total", role="duty", told="no") == 1
    assert value(found, "forestall_requests_ended_total", outcome="granted") == 1
    assert value(found, "forestall_answer_seconds_sum") == 5_400
    assert value(found, "forestall_requests_open", part="part-000", role="desk") == 1
    assert value(found, "forestall_requests_open", part="part-000", role="duty") == 1
    assert value(found, "forestall_requests_oldest_timestamp_seconds", part="part-000") == (AT + HOUR) / SECOND


def test_what_is_open_is_known_again_after_a_restart_and_not_counted_again(
    counting: Callable[[], Series], tmp_path: Path
) -> None:
    made = entries(OUTPUTS)
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}", create=True) as store:
        store.begin_run(["part-000"], "job")
        store.open_part("part-000", 0, [GENESIS]).release(made[:3])
        before = total(counting(), "forestall_requests_total")
        store.begin_run(["part-000"], "job")
        part = store.open_part("part-000", 3, [made[2].chain])
        found = counting()
        assert total(found, "forestall_requests_open") == 3
        assert total(found, "forestall_requests_total") == before == 3
        part.release(made[3:])
        # What comes again is neither written nor counted again.
        part.release(made[3:])
    found = counting()
    assert total(found, "forestall_requests_open") == 2
    assert value(found, "forestall_requests_ended_total", outcome="granted") == 1


def test_nothing_is_open_when_all_is_over(counting: Callable[[], Series]) -> None:
    requests = OpenRequests("part-000", [])
    requests.released(entries([requested("a", AT, "desk")]))
    requests.released(entries([("approval.closed", {"request_id": "a", "end": "expired"})], 2))
    found = counting()
    assert value(found, "forestall_requests_open", part="part-000", role="desk") == 0
    assert value(found, "forestall_requests_oldest_timestamp_seconds", part="part-000") == 0
