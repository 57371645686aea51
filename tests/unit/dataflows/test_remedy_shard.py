"""A shard of the remediation flow: what it writes down before it asks, who waits for whom, what a restart does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.clock import MINUTE
from config.effects import Call, Reply
from config.errors import FencedError
from dataflows.remedy_rows import breaker_row
from operators.breaker import Breaker
from sinks.ledger_queries import actions_by_state, effects_by_status, find_action
from tests.support.playbooks import AT, action, playbook, step
from tests.support.shards import BEFORE, HELPED, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, {"tell": playbook(tmp_path)})
    yield made
    made.ledger.close()


def order(number: int, **more: Any) -> Any:
    return action(f"a{number}", entity=f"order:{number}", target=f"crm:order:{number}", **more)


def test_an_action_goes_its_way_and_is_let_go_of(stage: Stage) -> None:
    stage.take(order(1))
    assert stage.turn() == 1
    stage.begins("a1")
    stage.answers("a1", "done")
    assert stage.states() == {"a1": "acknowledged"}
    assert stage.shard.next_at == AT + 30 * MINUTE
    stage.turn(30 * 60)
    stage.answers("a1", "done")
    stage.answers("a1", "measured", state=HELPED)
    assert stage.states() == {"a1": "settled"}
    assert not stage.shard.waits_for_answers
    assert stage.shard.open == 0
    assert not stage.shard.has_open_acts
    assert [outcome.state for outcome in stage.told] == ["acknowledged", "settled"]
    row = find_action(stage.ledger, "a1")
    assert [one["state"] for one in row["outcomes"]] == ["acknowledged", "settled"]
    assert [one["seq"] for one in row["outcomes"]] == [1, 2]
    assert row["outcomes"][1]["effects"][0]["status"] == "done"
    assert (row["dispatched_at"], row["judged_at"], row["ended_at"]) == (AT, AT + 30 * MINUTE, AT + 30 * MINUTE)
    assert (row["verdict"], row["collateral"], row["attempts"]) == ("verified", False, 1)


def test_it_is_written_down_before_it_is_asked(stage: Stage) -> None:
    seen: list[tuple[str, dict[str, int]]] = []

    def look(call: Call) -> None:
        seen.append((call.verb, effects_by_status(stage.ledger)))

    stage.hands.before = look
    stage.take(order(1))
    stage.turn()
    stage.begins("a1")
    stage.answers("a1", "unknown")
    stage.turn(2)
    assert seen == [("measure", {}), ("do", {"unknown": 1}), ("query", {"unknown": 1})]


def test_after_a_crash_what_was_sent_is_asked_about(stage: Stage) -> None:
    stage.take(order(1), order(2), order(3))
    stage.turn()
    stage.begins("a1")
    stage.begins("a2")
    stage.answers("a2", "done")
    stage.restart()
    stage.turn()
    assert stage.hands.asked == ["a3 measure measure"]
    stage.turn(2)
    assert stage.hands.asked == ["a3 measure measure", "a1 query send_message"]
    stage.answers("a1", "done")
    assert stage.states() == {"a1": "acknowledged", "a2": "acknowledged", "a3": "approved"}
    # The answers to what was asked before the crash are nobody's any more.
    assert stage.shard.open == 3


def test_actions_that_were_taken_in_and_never_begun_are_begun(stage: Stage) -> None:
    stage.take(order(1))
    stage.restart()
    stage.turn()
    assert stage.hands.asked == ["a1 measure measure"]


def test_actions_on_one_entity_take_turns(stage: Stage) -> None:
    stage.take(*(action(f"a{number}") for number in range(3)))
    stage.turn()
    for number in range(3):
        stage.begins(f"a{number}")
    assert stage.hands.asked == ["a0 do send_message"]
    stage.answers("a0", "unknown")
    stage.turn(1.5)
    stage.answers("a0", "done")
    stage.turn()
    assert stage.hands.asked == ["a1 do send_message"]
    stage.restart()
    stage.turn()
    stage.turn(1.5)
    assert stage.hands.asked == ["a1 query send_message"]
    stage.answers("a1", "absent")
    stage.answers("a1", "refused")
    stage.turn(11)
    stage.answers("a1", "absent")
    stage.turn()
    assert stage.states()["a1"] == "refused"
    assert stage.hands.asked == ["a2 do send_message"]


def test_while_an_effect_is_taken_back_others_wait_for_the_entity(stage: Stage) -> None:
    stage.take(action("a0"))
    stage.turn()
    stage.begins("a0")
    stage.answers("a0", "done")
    stage.ledger.wish_undone(["a0"], "rolled back", stage.now)
    stage.turn(1.5)
    stage.answers("a0", "done")
    stage.take(action("a1"))
    stage.turn()
    stage.begins("a1")
    assert stage.hands.asked == ["a0 undo withdraw_message"]
    stage.answers("a0", "done")
    stage.answers("a0", "undone")
    stage.turn()
    assert stage.states()["a0"] == "compensated"
    assert stage.hands.asked == ["a1 do send_message"]


def test_an_answer_that_comes_twice_is_not_taken_for_one_to_the_next_call(stage: Stage) -> None:
    stage.take(order(1))
    stage.turn()
    stage.begins("a1")
    call, answer = stage.hands.calls[0]
    stage.answers("a1", "unknown")
    stage.turn(2)
    assert stage.hands.asked == ["a1 query send_message"]
    answer(Reply("a1", call.turn, "refused"))
    stage.turn()
    assert stage.shard.waits_for_answers
    stage.answers("a1", "done")
    assert stage.states() == {"a1": "acknowledged"}


def test_who_waits_for_an_entity_and_gives_up_lets_the_next_go(stage: Stage) -> None:
    stage.take(action("a0"), action("a1", valid_until=AT + MINUTE), action("a2"))
    stage.turn()
    for name in ("a0", "a1", "a2"):
        stage.begins(name)
    stage.turn(2 * 60)
    stage.answers("a0", "done")
    stage.turn()
    assert stage.states()["a1"] == "refused"
    assert stage.hands.asked == ["a2 do send_message"]


def test_a_full_target_is_waited_for(stage: Stage) -> None:
    stage.hands.places("crm", 1)
    stage.take(order(1), order(2), order(3))
    stage.turn()
    assert stage.hands.asked == ["a1 measure measure"]
    stage.answers("a1", "measured", state=BEFORE)
    stage.turn()
    assert stage.hands.asked == ["a2 measure measure"]
    stage.answers("a2", "measured", state=BEFORE)
    stage.answers("a3", "measured", state=BEFORE)
    # First come, first served: those who have looked before them stand behind those who have not looked yet.
    assert stage.hands.asked == ["a1 do send_message"]


def test_a_target_that_fails_is_not_asked_any_more_and_tried_again_later(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"tell": playbook(tmp_path)}, targets={"breaker": {"failures": 3, "open_first": "30s"}})
    stage.take(*(order(number) for number in range(5)))
    stage.turn()
    for number in range(4):
        stage.begins(f"a{number}")
    for number in range(3):
        stage.answers(f"a{number}", "not-sent", failed=True)
    assert stage.shard.breakers["crm/send_message"] == "open"
    stage.answers("a3", "done")
    stage.begins("a4")
    stage.turn(10)
    assert stage.hands.asked == []
    stage.restart()
    assert stage.shard.breakers["crm/send_message"] == "open"
    stage.turn(40)
    assert [asked for asked in stage.hands.asked if " do " in asked] == ["a0 do send_message"]
    stage.answers("a0", "done")
    stage.turn(61)
    assert stage.shard.breakers["crm/send_message"] == "closed"
    assert len([asked for asked in stage.hands.asked if " do " in asked]) == 3
    stage.ledger.close()


def test_what_other_shards_know_of_a_target_counts_within_a_second(stage: Stage) -> None:
    other = stage.ledger.open_shard("shard-001")
    breaker = Breaker("crm/send_message", "open", until=AT + 2 * MINUTE)
    other.commit(breaker_rows=[breaker_row(breaker)])
    stage.take(order(1))
    stage.turn()
    stage.begins("a1")
    assert stage.hands.asked == []
    assert stage.shard.next_at == AT + 2 * MINUTE
    breaker.state = "closed"
    other.commit(breaker_rows=[breaker_row(breaker)])
    stage.turn(2 * 60)
    assert stage.hands.asked == ["a1 do send_message"]


def test_wishes_are_heeded_whether_an_action_is_open_or_not(stage: Stage) -> None:
    stage.take(order(1), order(2))
    stage.turn()
    stage.begins("a1")
    stage.answers("a1", "done")
    stage.turn(30 * 60)
    stage.answers("a1", "done")
    stage.answers("a1", "measured", state=HELPED)
    assert stage.shard.open == 1
    stage.ledger.wish_undone(["a1", "a2"], "policy b1 was wrong", stage.now)
    stage.turn(1)
    assert stage.hands.asked == ["a2 measure measure", "a1 query send_message"]
    stage.answers("a1", "done")
    stage.answers("a1", "done")
    stage.answers("a1", "undone")
    assert stage.states()["a1"] == "compensated"
    stage.answers("a2", "measured", state=BEFORE)
    assert stage.states()["a2"] == "refused"
    assert find_action(stage.ledger, "a2")["reason"] == "policy b1 was wrong"
    stage.turn(2)
    assert stage.hands.asked == []


def test_after_a_restart_a_wish_is_heeded_once_what_was_sent_before_is_known_of(stage: Stage) -> None:
    stage.take(order(1))
    stage.turn()
    stage.begins("a1")
    stage.answers("a1", "done")
    stage.ledger.wish_undone(["a1"], "rolled back", stage.now)
    stage.restart()
    stage.turn()
    stage.turn(1.5)
    assert stage.hands.asked == ["a1 query send_message"]
    for said in ("done", "done", "undone"):
        stage.answers("a1", said)
    assert stage.states() == {"a1": "compensated"}
    assert not stage.shard.waits_for_answers


def test_a_shard_that_was_taken_over_writes_nothing_more(stage: Stage) -> None:
    stage.take(order(1))
    old = stage.shard
    stage.restart()
    with pytest.raises(FencedError):
        old.turn(stage.now)
    assert stage.hands.asked == []
    assert actions_by_state(stage.ledger) == {"intended": 1}


def test_others_that_acted_on_the_entity_are_looked_up(tmp_path: Path) -> None:
    stage = Stage(
        tmp_path, {"tell": playbook(tmp_path), "note": playbook(tmp_path, step(operation="add_note"), name="note")}
    )
    for others in (False, True):
        name = "b" if others else "a"
        stage.take(action(name, entity=f"order:{name}", customer=f"customer:{name}"))
        if others:
            stage.take(action("c", remedy="note", entity="order:c", customer="customer:b"))
        stage.turn()
        for one in [name, *(["c"] if others else [])]:
            stage.begins(one)
            stage.answers(one, "done")
        stage.turn(30 * 60)
        stage.answers(name, "done")
        stage.answers(name, "measured", state=HELPED | {"credits": 5})
    assert {one: state for one, state in stage.states().items() if one != "c"} == {"a": "escalated", "b": "settled"}
    stage.ledger.close()


def test_an_action_whose_playbook_is_gone_is_put_before_a_person(stage: Stage) -> None:
    stage.take(order(1, remedy="none"))
    stage.turn()
    assert stage.states() == {"a1": "escalated"}


def test_what_was_ended_before_it_was_handed_over_is_not_begun_again(stage: Stage) -> None:
    """What was taken in stands in the ledger at once, and reaches its shard a little later."""
    late = stage.taken_in(order(1), order(2))
    stage.ledger.wish_undone(["a1"], "policy b1 was wrong", stage.now)
    stage.turn(1)
    assert stage.states()["a1"] == "refused"
    stage.shard.take(late, stage.now)
    stage.turn()
    assert stage.hands.asked == ["a2 measure measure"]
    assert stage.states() == {"a1": "refused", "a2": "approved"}
    assert [outcome.action_id for outcome in stage.told] == ["a1"]


def test_what_a_shard_found_when_it_was_opened_is_not_begun_again_when_it_is_handed_over(stage: Stage) -> None:
    late = stage.taken_in(order(1, valid_until=AT - 1))
    stage.restart()
    stage.turn()
    stage.shard.take(late, stage.now)
    stage.turn()
    assert stage.states() == {"a1": "refused"}
    assert len(stage.told) == 1


def test_many_wishes_are_heeded_a_transaction_at_a_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.remedy_shard.HEED_MAX", 2)
    names = [f"a{number}" for number in range(5)]
    stage.taken_in(*(order(number) for number in range(5)))
    stage.ledger.wish_undone(names, "policy b1 was wrong", stage.now)
    assert [stage.turn(1), stage.turn(), stage.turn(), stage.turn()] == [2, 2, 1, 0]
    assert set(stage.states().values()) == {"refused"}
