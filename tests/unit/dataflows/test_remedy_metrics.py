"""Metrics of a shard: what came to which state, what is open, of what nothing is known, which breakers are open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.clock import SECOND
from config.effects import Call, Reply
from config.targets import Targets
from sinks.bulkhead import Bulkheads
from tests.support.metrics import Series, counting, total, value
from tests.support.playbooks import AT, action, playbook, step
from tests.support.shards import BEFORE, HELPED, Stage

__all__ = ["counting"]

SHARD = {"shard": "shard-000"}


@pytest.fixture
def stage(tmp_path: Path, counting: Callable[[], Series]) -> Iterator[Stage]:
    breaker = {"failures": 2, "window": "1m", "open_first": "10s", "open_most": "5m", "probes": 1}
    made = Stage(tmp_path, {"tell": playbook(tmp_path)}, targets={"breaker": breaker})
    yield made
    made.ledger.close()


def order(number: int, **more: Any) -> Any:
    return action(f"a{number}", entity=f"order:{number}", target=f"crm:order:{number}", **more)


def states(found: Series) -> dict[str, float]:
    return {
        dict(labels)["state"]: number
        for (name, labels), number in found.items()
        if name == "forestall_actions_total" and dict(labels)["remedy"] == "tell"
    }


def test_each_state_is_counted_once_also_over_restarts(stage: Stage, counting: Callable[[], Series]) -> None:
    stage.take(order(1), order(2, valid_until=AT - 1))
    stage.turn()
    stage.begins("a1")
    assert states(counting()) == {"intended": 2, "refused": 1, "approved": 1, "dispatched": 1}
    assert value(counting(), "forestall_actions_open", **SHARD) == 1
    stage.restart()
    stage.turn()
    stage.turn(2)
    stage.answers("a1", "done")
    stage.turn(30 * 60)
    stage.answers("a1", "done")
    stage.answers("a1", "measured", state=HELPED)
    ended = {"unknown": 1, "acknowledged": 1, "verified": 1, "settled": 1}
    assert states(counting()) == {"intended": 2, "refused": 1, "approved": 1, "dispatched": 1} | ended
    assert value(counting(), "forestall_actions_open", **SHARD) == 0


def test_it_is_told_since_when_nothing_is_known_of_an_effect(stage: Stage, counting: Callable[[], Series]) -> None:
    stage.take(order(1), order(2))
    stage.turn()
    stage.begins("a1")
    stage.turn(7)
    stage.begins("a2")

    def unknown() -> tuple[float, float]:
        found = counting()
        names = ("forestall_effects_unknown", "forestall_unknown_oldest_timestamp_seconds")
        return value(found, names[0], **SHARD), value(found, names[1], **SHARD)

    assert unknown() == (2, AT / SECOND)
    stage.restart()
    assert unknown() == (2, AT / SECOND)
    stage.turn()
    stage.turn(2)
    stage.answers("a1", "done")
    assert unknown() == (1, AT / SECOND + 7)
    stage.answers("a2", "done")
    assert unknown() == (0, 0)


def test_what_nobody_will_ever_tell_is_not_waited_for(tmp_path: Path, counting: Callable[[], Series]) -> None:
    """It was put before a person; a restart would know nothing of it either."""
    stage = Stage(tmp_path, {"tell": playbook(tmp_path)}, targets={"queryable": False})
    stage.take(order(1))
    stage.turn()
    stage.begins("a1")
    assert value(counting(), "forestall_effects_unknown", **SHARD) == 1
    stage.answers("a1", "unknown")
    stage.turn(3600)
    assert stage.states() == {"a1": "escalated"}
    assert stage.shard.open == 0
    assert value(counting(), "forestall_effects_unknown", **SHARD) == 0
    assert value(counting(), "forestall_unknown_oldest_timestamp_seconds", **SHARD) == 0
    stage.ledger.close()


def test_breakers_are_told_by_state(stage: Stage, counting: Callable[[], Series]) -> None:
    def breakers() -> dict[str, float]:
        named = {"target": "crm", "operation": "send_message"}
        return {state: total(counting(), "forestall_breakers", state=state, **named) for state in ("open", "closed")}

    stage.take(order(1), order(2))
    stage.turn()
    for name in ("a1", "a2"):
        stage.begins(name)
        stage.answers(name, "not-sent", failed=True)
    assert breakers() == {"open": 1, "closed": 0}


def test_calls_are_timed_by_what_came_of_them(stage: Stage, counting: Callable[[], Series]) -> None:
    class Answers:
        def carry_out(self, call: Call) -> Reply:
            held.append(value(counting(), "forestall_calls_held", target="crm"))
            return Reply(call.action_id, call.turn, "done" if call.verb == "do" else "absent")

        def close(self) -> None:
            pass

    held: list[float] = []
    crm = replace(stage.targets.by_name["crm"], waiting=20)
    hands = Bulkheads(Targets(stage.targets.file, "tests", {"crm": crm}), {"crm": Answers()})
    replies: list[Reply] = []
    for verb, operation in (("do", "send_message"), ("query", "send_message")):
        whose = {"operation": operation, "key": "k", "entity": "order:1", "at": AT, "timeout": SECOND, "expires": AT}
        assert hands.take_place("crm", verb, replies.append)  # type: ignore[arg-type]
        hands.submit(Call(verb, 1, verb, "crm", **whose), replies.append)  # type: ignore[arg-type]
    while len(replies) < 2:
        pass
    room = [hands.take_place("crm", f"b{number}", str) for number in range(200)]  # type: ignore[arg-type]
    assert value(counting(), "forestall_actions_in_line", target="crm") == room.count(False) > 0
    for number in range(200):
        hands.give_up("crm", f"b{number}")
    assert value(counting(), "forestall_actions_in_line", target="crm") == 0
    hands.close()
    found = counting()
    counted = {"target": "crm", "operation": "send_message", "result": "done"}
    assert value(found, "forestall_call_seconds_count", **counted) == 1
    assert value(found, "forestall_call_seconds_count", **counted | {"operation": "query", "result": "absent"}) == 1
    assert (min(held) >= 1, value(found, "forestall_calls_held", target="crm")) == (True, 0)


def test_effects_that_were_to_be_taken_back_are_counted_once_by_what_came_of_it(
    tmp_path: Path, counting: Callable[[], Series]
) -> None:
    tell = playbook(tmp_path, step(inverse={"operation": "withdraw_message", "within": "2h"}))
    stage = Stage(tmp_path, {"tell": tell})

    def taken_back() -> dict[str, float]:
        named = {"remedy": "tell", "target": "crm"}
        results = ("undone", "refused", "impossible")
        return {each: total(counting(), "forestall_compensations_total", result=each, **named) for each in results}

    stage.take(order(1), order(2), order(3))
    stage.turn()
    for name in ("a1", "a2", "a3"):
        stage.begins(name)
        stage.answers(name, "done")
    stage.turn(30 * 60)
    for name in ("a1", "a2", "a3"):
        stage.answers(name, "done")
        stage.answers(name, "measured", state=BEFORE)
    assert taken_back() == {"undone": 0, "refused": 0, "impossible": 0}
    for name in ("a1", "a2"):
        stage.answers(name, "done")
        assert f"{name} undo withdraw_message" in stage.hands.asked
    stage.answers("a1", "done")
    stage.answers("a2", "refused")
    stage.restart()
    stage.turn()
    assert taken_back() == {"undone": 1, "refused": 1, "impossible": 0}
    stage.turn(100 * 60)  # its inverse was possible for two hours
    stage.answers("a3", "done")  # too late: it is asked again
    stage.turn(60)
    stage.answers("a3", "done")
    assert taken_back() == {"undone": 1, "refused": 1, "impossible": 1}
    assert (stage.states()["a2"], stage.states()["a3"]) == ("escalated", "escalated")
    stage.ledger.close()
