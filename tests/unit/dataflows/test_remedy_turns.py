"""Who waits for a full target, and when his turn comes: in order, over turns, restarts and shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.clock import HOUR, MINUTE, SECOND
from dataflows.remedy_rows import shard_of
from dataflows.remedy_shard import Shard
from operators.saga_moves import QUEUED_MOST
from sinks.ledger_queries import find_action
from tests.support.playbooks import AT, action, playbook
from tests.support.shards import BEFORE, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, {"tell": playbook(tmp_path)})
    yield made
    made.ledger.close()


def order(number: int, **more: Any) -> Any:
    return action(f"a{number}", entity=f"order:{number}", target=f"crm:order:{number}", **more)


def test_a_turn_hands_over_no_more_than_a_target_has_room_for(stage: Stage) -> None:
    places = stage.hands.places("crm", 3)
    stage.take(*(order(number) for number in range(10)))
    stage.turn()
    assert stage.hands.asked == [f"a{number} measure measure" for number in range(3)]
    asked = []
    while stage.shard.waits_for_answers:
        assert places.taken == len(stage.hands.calls) <= 3
        call, _ = stage.hands.calls[0]
        asked.append(f"{call.verb} {call.action_id}")
        stage.answers(call.action_id, "measured" if call.verb == "measure" else "done", state=BEFORE)
    everybody = range(10)
    assert asked == [f"measure a{number}" for number in everybody] + [f"do a{number}" for number in everybody]
    assert places.taken == 0


def test_what_waited_in_vain_for_a_slow_target_is_not_escalated_with_nothing_sent(stage: Stage) -> None:
    stage.take(order(1))
    stage.turn()
    stage.begins("a1")
    for _ in range(5):
        assert stage.answers("a1", "expired").verb == "do"
        row = find_action(stage.ledger, "a1")
        assert (row["attempts"], [one["status"] for one in row["effects"]]) == (0, ["absent"])
        stage.turn(2)
    stage.answers("a1", "done")
    assert stage.states() == {"a1": "acknowledged"}
    assert find_action(stage.ledger, "a1")["attempts"] == 1


def test_an_action_of_which_nothing_left_keeps_nobody_from_its_entity(stage: Stage) -> None:
    stage.take(action("a0"), action("a1"))
    stage.turn()
    stage.begins("a0")
    stage.begins("a1")
    assert stage.hands.asked == ["a0 do send_message"]
    stage.answers("a0", "expired")
    assert stage.hands.asked == ["a1 do send_message"]
    stage.turn(2)
    assert stage.hands.asked == ["a1 do send_message"]
    stage.answers("a1", "done")
    assert stage.hands.asked == ["a0 do send_message"]


def test_who_looks_again_whether_he_has_to_wait_keeps_his_turn(stage: Stage) -> None:
    stage.hands.places("crm", 1)
    stage.take(order(1), order(2))
    stage.turn()
    stage.turn(MINUTE / SECOND)
    stage.take(order(3))
    stage.turn(QUEUED_MOST / SECOND)
    assert stage.hands.asked == ["a1 measure measure"]
    stage.answers("a1", "measured", state=BEFORE)
    stage.turn()
    assert stage.hands.asked == ["a2 measure measure"]


def test_who_gives_up_leaves_his_place_to_the_next(stage: Stage) -> None:
    stage.hands.places("crm", 1)
    stage.take(order(1), order(2, valid_until=AT + MINUTE), order(3))
    stage.turn()
    stage.turn(2 * MINUTE / SECOND)
    assert stage.states()["a2"] == "refused"
    stage.answers("a1", "measured", state=BEFORE)
    stage.turn()
    assert stage.hands.asked == ["a3 measure measure"]


def test_nobody_keeps_a_place_while_nothing_may_begin(tmp_path: Path) -> None:
    held = [False]
    stage = Stage(tmp_path, {"tell": playbook(tmp_path)}, held=lambda now: held[0])
    places = stage.hands.places("crm", 1)
    stage.take(order(1), order(2))
    stage.turn()
    held[0] = True
    stage.answers("a1", "measured", state=BEFORE)
    stage.turn()
    assert (stage.hands.asked, places.taken) == ([], 0)
    held[0] = False
    stage.turn(1.5)
    assert len(stage.hands.asked) == 1
    stage.ledger.close()


def test_after_a_restart_those_who_waited_for_their_turn_ask_at_once(stage: Stage) -> None:
    stage.hands.places("crm", 1)
    stage.take(order(1), order(2))
    stage.turn()
    stage.restart()
    stage.turn()
    assert stage.hands.asked == ["a1 measure measure", "a2 measure measure"]


def test_after_a_restart_a_verification_that_waited_for_room_goes_on_at_once(stage: Stage) -> None:
    stage.take(order(1))
    stage.turn()
    stage.begins("a1")
    stage.answers("a1", "done")
    stage.hands.places("crm", 0)
    stage.turn(30 * 60)
    assert stage.hands.asked == []
    stage.restart()
    stage.turn()
    assert stage.hands.asked == ["a1 query send_message"]


def test_a_restart_does_not_shorten_what_a_target_asked_to_wait(stage: Stage) -> None:
    stage.take(order(1))
    stage.turn()
    stage.begins("a1")
    stage.answers("a1", "not-sent", failed=True, retry_after=HOUR)
    stage.restart()
    stage.turn()
    stage.turn(59 * 60)
    assert stage.hands.asked == []
    stage.turn(60)
    assert stage.hands.asked == ["a1 do send_message"]


def test_shards_that_share_a_target_come_one_after_the_other(stage: Stage) -> None:
    """Whose turn it is does not depend on which of them is answered."""
    names = ["shard-000", "shard-001"]
    made = [order(number) for number in range(40)]
    mine, others = ([one for one in made if shard_of(one, names) == name][:4] for name in names)
    stage.hands.places("crm", 1)
    stage.take(*mine)
    other = Shard(names[1], stage.means, stage.now)
    position = stage.ledger.position("test")
    new = [stage.new(one)._replace(shard=names[1]) for one in others]
    other.take(stage.ledger.take_in("test", position, position + len(new), new), stage.now)
    stage.turn()
    other.turn(stage.now)
    asked = []
    for _ in range(8):
        ((call, _),) = stage.hands.calls
        asked.append(call.action_id)
        assert other.waits_for_answers
        stage.answers(call.action_id, "measured", state=BEFORE)
        while stage.turn() + other.turn(stage.now):
            pass
    assert asked == [one.action_id for one in [*mine, *others]]


def test_a_probe_that_never_left_proves_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"tell": playbook(tmp_path)}, targets={"breaker": {"failures": 1, "open_first": "10s"}})
    stage.take(order(1), order(2))
    stage.turn()
    stage.begins("a1")
    stage.begins("a2")
    stage.answers("a1", "not-sent", failed=True)
    stage.answers("a2", "expired")
    assert stage.shard.breakers["crm/send_message"] == "open"
    stage.turn(15)
    (probe,) = [call.action_id for call, _ in stage.hands.calls]
    stage.answers(probe, "expired")
    assert stage.shard.breakers["crm/send_message"] == "half-open"
    stage.turn(2)
    assert len(stage.hands.calls) == 1
    stage.ledger.close()


def test_who_has_a_place_and_finds_his_entity_taken_leaves_it_to_others(stage: Stage) -> None:
    places = stage.hands.places("crm", 2)
    stage.take(action("a0"), action("a1"))
    stage.turn()
    stage.hands.places("crm", 0)
    stage.begins("a0")
    stage.begins("a1")
    assert (stage.hands.asked, places.taken) == ([], 0)
    stage.hands.places("crm", 2)
    stage.turn()
    assert (stage.hands.asked, places.taken) == (["a0 do send_message"], 1)
    stage.answers("a0", "done")
    assert stage.hands.asked == ["a1 do send_message"]


def test_who_looks_again_whether_his_entity_is_free_keeps_his_turn(stage: Stage) -> None:
    stage.take(action("a0"))
    stage.turn()
    stage.begins("a0")
    stage.answers("a0", "not-sent", retry_after=QUEUED_MOST + 3 * MINUTE // 2)
    for name in ("a1", "a2"):
        stage.take(action(name))
        stage.turn(MINUTE / SECOND)
        stage.begins(name)
    stage.turn((QUEUED_MOST - MINUTE) / SECOND)
    stage.turn(MINUTE / 2 / SECOND)
    assert stage.hands.asked == ["a0 do send_message"]
    stage.answers("a0", "done")
    assert stage.hands.asked == ["a1 do send_message"]
