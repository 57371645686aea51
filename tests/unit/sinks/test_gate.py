from __future__ import annotations

import threading

import pytest

from sinks import gate
from sinks.gate import Gate, GateTicks, register


def ticks(finished: bool = False) -> GateTicks:
    return Gate(lambda: finished).build("gate", 0, 1)


def test_callbacks_are_called_once_in_order_at_the_next_tick() -> None:
    called: list[int] = []
    part = ticks()
    register(lambda: called.append(1))
    register(lambda: called.append(2))
    assert called == []
    assert part.next_batch() == []
    part.next_batch()
    assert called == [1, 2]


def test_callbacks_registered_while_ticking_wait_for_the_next_tick() -> None:
    called: list[str] = []
    part = ticks()
    register(lambda: register(lambda: called.append("late")))
    part.next_batch()
    assert called == []
    part.next_batch()
    assert called == ["late"]


def test_workers_do_not_call_each_others_callbacks() -> None:
    called: list[str] = []
    part = ticks()
    other = threading.Thread(target=register, args=(lambda: called.append("other"),))
    other.start()
    other.join()
    part.next_batch()
    assert called == []


def test_callbacks_of_a_dead_run_on_the_same_thread_are_forgotten() -> None:
    called: list[str] = []
    ticks()
    register(lambda: called.append("dead"))
    ticks().next_batch()
    assert called == []


def test_gate_ends_when_the_run_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "POLL_S", 0.0)
    assert ticks(finished=False).next_batch() == []
    with pytest.raises(StopIteration):
        ticks(finished=True).next_batch()


def test_gate_asks_about_ten_times_a_second_not_at_every_tick() -> None:
    asked: list[int] = []

    def finished() -> bool:
        asked.append(1)
        return False

    part = Gate(finished).build("gate", 0, 1)
    for _ in range(100):
        part.next_batch()
    assert len(asked) <= 1


def test_gate_sleeps_between_ticks() -> None:
    part = ticks()
    assert part.next_awake() is None
    part.next_batch()
    awake = part.next_awake()
    assert awake is not None
    assert awake.tzinfo is not None
