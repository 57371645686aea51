"""When outputs were due, and what they waited for."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from config.clock import SECOND, TIME_MAX, TIME_MIN
from sinks import latency
from sinks.latency import SPAN_US, Delays, Reached
from tests.support.metrics import Series, counting, total, value

__all__ = ["counting"]
T = 1_700_000_000 * SECOND


def test_an_event_time_is_passed_when_something_later_is_reached() -> None:
    reached = Reached()
    reached.note(TIME_MIN, T)
    reached.note(100, T + SECOND)
    reached.note(200, T + 2 * SECOND)
    assert [reached.passed(at) for at in (99, 100, 199, 200)] == [T + SECOND, T + 2 * SECOND, T + 2 * SECOND, None]


def test_what_was_passed_before_the_first_note_is_not_known() -> None:
    reached = Reached()
    reached.note(100, T)
    reached.note(200, T + SECOND)
    assert reached.passed(99) is None
    assert reached.passed(100) == T + SECOND


def test_rises_close_together_count_from_the_first_of_them() -> None:
    reached = Reached()
    reached.note(TIME_MIN, T)
    reached.note(100, T + SECOND)
    reached.note(200, T + SECOND + SPAN_US - 1)
    reached.note(300, T + SECOND + SPAN_US)
    assert reached.passed(150) == T + SECOND
    assert reached.passed(250) == T + SECOND + SPAN_US


def test_a_lower_value_changes_nothing() -> None:
    reached = Reached()
    reached.note(TIME_MIN, T)
    reached.note(100, T + SECOND)
    reached.note(50, T + 2 * SECOND)
    assert reached.passed(60) == T + SECOND


def test_notes_are_bounded_and_the_oldest_wait_counts_at_least_from_the_oldest_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latency, "NOTES_MAX", 10)
    reached = Reached()
    for number in range(100):
        reached.note(number, T + number * SECOND)
    assert len(reached._values) <= 10
    first = reached.passed(3)
    assert first is not None
    assert T + 4 * SECOND < first <= T + 99 * SECOND


def test_a_delay_is_told_apart_by_what_was_waited_for(counting: Callable[[], Series]) -> None:
    delays = Delays()
    delays.reached(TIME_MIN, TIME_MIN, TIME_MIN, T)
    # An output of event time 10 s: seen at 12 s, complete in one partition at 17 s, in all at 21 s, out at 22 s.
    at = T + 10 * SECOND
    delays.reached(at + 1, at - 5 * SECOND, TIME_MIN, T + 12 * SECOND)
    delays.reached(at + 5 * SECOND, at + 1, at - SECOND, T + 17 * SECOND)
    delays.reached(at + 9 * SECOND, at + 4 * SECOND, at + 1, T + 21 * SECOND)
    delays.observe([at], T + 22 * SECOND)
    found = counting()
    name = "forestall_event_delay_seconds_sum"
    parts = [value(found, name, cause=cause) for cause in ("arrival", "lateness", "slowest_channel")]
    assert parts == [2.0, 5.0, 4.0]
    assert value(found, "forestall_processing_seconds_sum") == 1.0
    assert value(found, "forestall_end_to_end_seconds_sum") == 12.0 == sum(parts) + 1.0


def test_an_output_of_an_earlier_process_has_a_whole_delay_only(counting: Callable[[], Series]) -> None:
    delays = Delays()
    delays.reached(T + SECOND, T, T, T + 2 * SECOND)
    delays.observe([T - SECOND], T + 3 * SECOND)
    found = counting()
    assert value(found, "forestall_end_to_end_seconds_count") == 1
    assert total(found, "forestall_processing_seconds_count") == 0


def test_an_output_is_due_also_when_another_process_has_raised_the_slowest(
    counting: Callable[[], Series], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = T
    monkeypatch.setattr(latency, "time", SimpleNamespace(time_ns=lambda: now * 1000))
    delays = Delays()
    delays.slowest(TIME_MIN)
    delays.reached(T + 50, T, TIME_MIN, T + SECOND)
    now = T + 2 * SECOND
    delays.slowest(T + 10)
    delays.observe([T + 5], T + 5 * SECOND)
    assert value(counting(), "forestall_processing_seconds_sum") == 3.0


@pytest.mark.parametrize(("stood", "due"), [((TIME_MIN, T), 1), ((T, T - 1), 1), ((T,), 0), ((), 0)])
def test_an_output_that_the_first_batch_makes_due_is_of_this_process(
    counting: Callable[[], Series], stood: tuple[int, ...], due: int
) -> None:
    delays = Delays()
    for watermark in stood:
        delays.begin(watermark, lambda: TIME_MAX)
    delays.reached(T + 2 * SECOND, T + SECOND, T + SECOND, T + 2 * SECOND)
    delays.observe([T - 1], T + 3 * SECOND)
    assert total(counting(), "forestall_processing_seconds_count") == due


def test_the_slowest_is_asked_for_where_outputs_are_out_before_a_source_looks(
    counting: Callable[[], Series], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "time", SimpleNamespace(time_ns=lambda: (T + 2 * SECOND) * 1000))
    delays, slowest = Delays(), TIME_MIN
    delays.begin(TIME_MIN, lambda: slowest)
    delays.reached(T + 50, T + 10, TIME_MIN, T + SECOND)
    slowest = T + 10
    delays.observe([T + 5], T + 3 * SECOND)
    assert value(counting(), "forestall_processing_seconds_sum") == 1.0
