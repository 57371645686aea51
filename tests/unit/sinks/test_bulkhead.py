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
from sinks.bulkhead import Bulkheads, Places
from tests.support.playbooks import AT
from tests.support.remedies import targets_file

PATIENCE_S = 30.0


def call(target: str, number: int = 0, verb: str = "do") -> Call:
    return Call(f"a{number}", 1, verb, target, "x", "k", "e", AT, SECOND, AT + SECOND)  # type: ignore[arg-type]


def unheard(who: str) -> None:
    """Whose turn it is nobody wants to know."""


def hand_over(bulkheads: Bulkheads, one: Call, answer: Callable[[Reply], None]) -> bool:
    """Hand a call over where there is a place for it; return whether there is."""
    has_room = bulkheads.take_place(one.target, one.action_id, unheard)
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


def test_places_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    freed: list[str] = []
    places = Places(1, 1)
    assert [places.take(who, freed.append) for who in "abcde"] == [True, True, False, False, False]
    assert places.take("a", freed.append)
    for who in "ab":
        places.use(who)
    assert not places.take("c", freed.append)
    places.give_up("d")
    places.leave()
    assert (freed, places.taken) == (["c"], 2)
    assert places.take("c", freed.append)
    places.give_up("c")
    assert (freed, places.taken) == (["c", "e"], 2)
    places.give_up("e")
    places.leave()
    assert places.taken == 0


def test_a_target_has_no_more_places_than_it_gets_through_in_a_second() -> None:
    places = Places(4, 4_000)
    assert places.most < 100  # before anything is known of its pace
    for _ in range(100):
        assert places.take("a", unheard)
        places.use("a")
        places.leave(0.001)
    assert places.most == pytest.approx(4 + 4_000, abs=200)
    for _ in range(30):
        assert places.take("a", unheard)
        places.use("a")
        places.leave(2.0)
    slow = places.most
    assert 4 <= slow <= 8
    for _ in range(30):
        assert places.take("a", unheard)
        places.use("a")
        places.leave(None)
    assert places.most == slow
    assert Places(4, 2).most == 6


def test_what_never_left_says_nothing_of_the_pace_of_its_target(tmp_path: Path) -> None:
    class Late:
        def carry_out(self, one: Call) -> Reply:
            return Reply(one.action_id, one.turn, "expired")

        def close(self) -> None:
            pass

    class Quick(Late):
        def carry_out(self, one: Call) -> Reply:
            return Reply(one.action_id, one.turn, "done")

    targets = load_targets(targets_file(tmp_path, "http://x", concurrency=2, waiting=1_000))
    bulkheads = Bulkheads(targets, {"crm": Late(), "billing": Quick()})
    answers: SimpleQueue[Reply] = SimpleQueue()
    for name in ("crm", "billing"):
        for number in range(40):
            assert hand_over(bulkheads, call(name, number), answers.put)
            answers.get(timeout=PATIENCE_S)
    numbers = range(1_000)
    room = {name: sum(bulkheads.take_place(name, f"b{n}", unheard) for n in numbers) for name in ("crm", "billing")}
    assert room["crm"] < 100 < room["billing"]
    bulkheads.close()


def test_a_metric_that_cannot_be_written_costs_no_answer_and_no_place(
    bulkheads: Bulkheads, executors: dict[str, Executor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*told: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sinks.bulkhead.CALL_SECONDS.observe", full)
    monkeypatch.setattr("sinks.bulkhead.CALLS_HELD.set", full)
    answers: SimpleQueue[Reply] = SimpleQueue()
    executors["crm"].let.release(9)
    for number in range(9):
        assert hand_over(bulkheads, call("crm", number), answers.put)
        assert answers.get(timeout=PATIENCE_S).action_id == f"a{number}"
