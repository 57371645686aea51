"""Bulkheads: a target that is slow fills its own compartment and nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import pytest

from config.clock import SECOND
from config.effects import Call, Reply
from config.targets import load_targets
from sinks.bulkhead import Bulkheads
from tests.support.playbooks import AT
from tests.support.remedies import targets_file

PATIENCE_S = 30.0


def call(target: str, number: int = 0, verb: str = "do") -> Call:
    return Call(f"a{number}", 1, verb, target, "x", "k", "e", AT, SECOND, AT + SECOND)  # type: ignore[arg-type]


def hand_over(bulkheads: Bulkheads, one: Call, answer: Callable[[Reply], None]) -> bool:
    """Hand a call over where there is a place for it; return whether there is."""
    has_room = bulkheads.take_place(one.target, one.action_id, lambda who: None)
    if has_room:
        bulkheads.submit(one, answer)
    return has_room


class Executor:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.let = threading.Semaphore(0)
        self.began: SimpleQueue[str] = SimpleQueue()
        self.closed = False

    def carry_out(self, one: Call) -> Reply:
        self.began.put(one.action_id)
        assert self.let.acquire(timeout=PATIENCE_S)
        if one.action_id == "a9":
            raise ValueError("card 4111")
        return Reply(one.action_id, one.turn, "done")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def executors() -> dict[str, Executor]:
    return {"crm": Executor(), "billing": Executor()}


@pytest.fixture
def bulkheads(tmp_path: Path, executors: dict[str, Executor]) -> Bulkheads:
    targets = load_targets(targets_file(tmp_path, "http://x", concurrency=2, waiting=1))
    return Bulkheads(targets, executors)


def test_a_slow_target_fills_its_own_compartment_only(bulkheads: Bulkheads, executors: dict[str, Executor]) -> None:
    answers: SimpleQueue[Reply] = SimpleQueue()
    for number in range(3):
        assert hand_over(bulkheads, call("crm", number), answers.put)
    freed: SimpleQueue[str] = SimpleQueue()
    assert not bulkheads.take_place("crm", "a3", freed.put)
    assert {executors["crm"].began.get(timeout=PATIENCE_S) for _ in range(2)} == {"a0", "a1"}
    assert executors["crm"].began.empty()
    assert hand_over(bulkheads, call("billing", 7), answers.put)
    executors["billing"].let.release()
    assert answers.get(timeout=PATIENCE_S).action_id == "a7"
    executors["crm"].let.release()
    assert answers.get(timeout=PATIENCE_S).result == "done"
    assert executors["crm"].began.get(timeout=PATIENCE_S) == "a2"
    assert freed.get(timeout=PATIENCE_S) == "a3"
    executors["crm"].let.release(2)
    assert {answers.get(timeout=PATIENCE_S).result for _ in range(2)} == {"done"}


def test_a_defect_is_an_unknown_outcome_and_tells_no_value(
    bulkheads: Bulkheads, executors: dict[str, Executor]
) -> None:
    answers: SimpleQueue[Reply] = SimpleQueue()
    for number in (9, 1, 2):
        hand_over(bulkheads, call("crm", number), answers.put)
    freed: SimpleQueue[str] = SimpleQueue()
    assert not bulkheads.take_place("crm", "a3", freed.put)
    executors["crm"].let.release(3)
    (reply,) = [one for one in (answers.get(timeout=PATIENCE_S) for _ in range(3)) if one.action_id == "a9"]
    assert (reply.result, reply.detail, reply.failed) == ("unknown", "unexpected ValueError", True)
    assert freed.get(timeout=PATIENCE_S) == "a3"


@pytest.mark.parametrize(("verb", "result"), [("do", "refused"), ("query", "unreadable"), ("measure", "unreadable")])
def test_a_target_that_nobody_named_is_refused_at_once(bulkheads: Bulkheads, verb: str, result: str) -> None:
    answers: list[Reply] = []
    assert hand_over(bulkheads, call("moon", verb=verb), answers.append)
    bulkheads.give_up("moon", "a1")
    assert [(reply.result, "moon" in reply.detail) for reply in answers] == [(result, True)]


def test_closing_waits_for_nobody(bulkheads: Bulkheads, executors: dict[str, Executor]) -> None:
    answers: SimpleQueue[Reply] = SimpleQueue()
    hand_over(bulkheads, call("crm"), answers.put)
    executors["crm"].began.get(timeout=PATIENCE_S)
    bulkheads.close()
    assert executors["crm"].closed
    executors["crm"].let.release()
