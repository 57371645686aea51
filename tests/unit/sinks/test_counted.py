"""What an outbox holds and what was released are counted, by what the entries say."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from config.clock import SECOND
from sinks import counted
from sinks.chain import Entry, canonical
from sinks.counted import STORE, OutboxMetrics, count_released, until_durable
from tests.support.metrics import Series, counting, total, value

__all__ = ["counting"]
AT = 1_700_000_000 * SECOND


def entry(seq: int, type_: str, **data: Any) -> Entry:
    return Entry(seq, type_, f"id-{seq}", AT, "key", canonical(data), bytes(32))


ENTRIES = [
    entry(1, "finding", agent="billing", kind="refund.overdue", entity="order:1"),
    entry(2, "case.opened", case_id="c"),
    entry(3, "decision", outcome="approve", rule="r"),
    entry(4, "case.updated", case_id="c"),
    entry(5, "finding", agent="billing", kind="refund.overdue", entity="order:2"),
    entry(6, "late", topic="orders"),
    entry(7, "dead_letter", reason="not-json"),
    entry(8, "drift.begun", feature="order_progress.items"),
    entry(9, "drift.ended", feature="order_progress.items"),
    entry(10, "autonomy.changed", agent="billing", cause="earned", level="autonomous"),
    entry(11, "autonomy.counted", verified=True, failed=False, false=False),
    entry(12, "autonomy.counted", verified=False, failed=True, false=True),
    entry(13, "autonomy.counted", verified=False, failed=False, false=False),
    entry(14, "autonomy.ignored", ignored="it is unknown"),
    entry(15, "decision", outcome="recommend", guardrails=[{"guardrail": "one"}, {"guardrail": "two"}]),
    entry(16, "guardrail.withheld", guardrails=[{"guardrail": "two"}]),
]


def test_a_release_into_the_store_is_counted_by_what_it_means(counting: Callable[[], Series]) -> None:
    count_released(STORE, ENTRIES, time.perf_counter())
    found = counting()
    kinds = {"finding": 2, "case": 2, "decision": 2, "late": 1, "dead_letter": 1, "drift": 2, "autonomy": 5}
    kinds["guardrail"] = 1
    assert {k: value(found, "forestall_released_total", sink="store", kind=k) for k in kinds} == kinds
    assert value(found, "forestall_findings_total", agent="billing", kind="refund.overdue") == 2
    assert value(found, "forestall_decisions_total", outcome="approve") == 1
    assert value(found, "forestall_case_events_total", change="opened") == 1
    assert value(found, "forestall_feature_drifts_total", feature="order_progress.items") == 1
    levels = {"agent": "billing", "cause": "earned", "level": "autonomous"}
    assert value(found, "forestall_autonomy_changes_total", **levels) == 1
    for result in ("verified", "false", "unclear", "ignored"):
        assert value(found, "forestall_autonomy_outcomes_total", result=result) == 1
    assert total(found, "forestall_autonomy_outcomes_total") == 4
    held = dict.fromkeys([("one", "decision"), ("two", "decision"), ("two", "action")], 1)
    assert {k: value(found, "forestall_held_back_total", guardrail=k[0], kind=k[1]) for k in held} == held
    assert value(found, "forestall_release_seconds_count", sink="store") == 1
    # Late records and dead letters are of the past by their nature: they tell nothing of how quick the job is.
    assert value(found, "forestall_end_to_end_seconds_count") == 7


def test_a_release_to_a_topic_counts_no_finding_twice(counting: Callable[[], Series]) -> None:
    count_released("findings", ENTRIES[:1], time.perf_counter())
    found = counting()
    assert value(found, "forestall_released_total", sink="findings", kind="finding") == 1
    assert total(found, "forestall_findings_total") == total(found, "forestall_end_to_end_seconds_count") == 0


def test_the_age_of_an_outbox_is_that_of_its_oldest_entry(
    counting: Callable[[], Series], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(counted, "time", SimpleNamespace(time=lambda: now))
    outbox = OutboxMetrics("part-000")

    def state() -> tuple[float, float]:
        found = counting()
        entries = value(found, "forestall_outbox_entries", part="part-000")
        return entries, value(found, "forestall_outbox_oldest_timestamp_seconds", part="part-000")

    outbox.holds(0, 3)
    now = 1001.0
    outbox.holds(0, 5)
    assert state() == (5, 1000.0)
    outbox.holds(2, 5)  # one that was written with others that are released is as old as they
    assert state() == (3, 1000.0)
    outbox.holds(3, 5)
    assert state() == (2, 1001.0)
    outbox.holds(5, 5)
    assert state() == (0, 0.0)


def test_snapshots_and_their_durability_are_timed(counting: Callable[[], Series]) -> None:
    called: list[int] = []
    durable = until_durable(lambda: called.append(1))
    outbox = OutboxMetrics("part-000")
    outbox.saved(500, 0.25)
    outbox.saved(200, 0.25)
    assert called == []
    durable()
    assert called == [1]
    found = counting()
    assert value(found, "forestall_state_bytes", step="outbox") == 200
    assert value(found, "forestall_snapshot_seconds_sum", step="outbox") == 0.5
    assert value(found, "forestall_durable_seconds_count") == 1
