"""A shard in trouble: targets that come back, clocks that are put back, answers that never come, flags unheard of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.clock import MINUTE, SECOND
from dataflows.remediation import ShardPart
from dataflows.remedy_shard import UNANSWERED_MOST
from tests.support.playbooks import AT, action, playbook
from tests.support.shards import Stage

HOUR_S = 3_600.0


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    breaker = {"failures": 1, "open_first": "30s"}
    made = Stage(tmp_path, {"tell": playbook(tmp_path)}, targets={"breaker": breaker})
    yield made
    made.ledger.close()


def order(number: int, **more: Any) -> Any:
    return action(f"a{number}", entity=f"order:{number}", target=f"crm:order:{number}", **more)


def acts(stage: Stage) -> list[str]:
    return [call.action_id for call, _ in stage.hands.calls if call.verb == "do"]


def begin(stage: Stage, count: int) -> None:
    """Have so many actions ask for what they do."""
    stage.take(*(order(number) for number in range(count)))
    stage.turn()
    for number in range(count):
        stage.begins(f"a{number}")


def test_who_waits_for_a_breaker_goes_on_as_soon_as_it_closes(stage: Stage) -> None:
    begin(stage, 1)
    stage.take(*(order(number) for number in range(1, 5)))
    stage.turn()
    stage.answers("a0", "not-sent", failed=True)
    for number in range(1, 5):
        stage.begins(f"a{number}")
    assert acts(stage) == []
    stage.turn(40)
    (probe,) = acts(stage)
    stage.answers(probe, "done")
    stage.turn()
    assert len(acts(stage)) == 4
    assert stage.shard.breakers["crm/send_message"] == "closed"


def test_who_waited_for_a_breaker_and_is_over_is_not_woken_by_it(stage: Stage) -> None:
    begin(stage, 1)
    stage.take(order(1, valid_until=AT + MINUTE))
    stage.turn()
    stage.answers("a0", "not-sent", failed=True)
    stage.begins("a1")
    stage.turn(2 * MINUTE / SECOND)
    assert stage.states()["a1"] == "refused"
    stage.answers("a0", "done")
    assert stage.turn() == 0


def test_what_was_sent_before_a_breaker_opened_is_no_probe(stage: Stage) -> None:
    begin(stage, 3)
    stage.answers("a0", "not-sent", failed=True)
    stage.turn(40)
    assert acts(stage) == ["a1", "a2", "a0"]
    assert stage.shard.breakers["crm/send_message"] == "half-open"
    for late, result in (("a1", "done"), ("a2", "not-sent")):
        stage.answers(late, result, failed=result != "done")  # type: ignore[arg-type]
        assert stage.shard.breakers["crm/send_message"] == "half-open"
    stage.answers("a0", "done")
    assert stage.shard.breakers["crm/send_message"] == "closed"


def test_a_clock_that_is_put_back_holds_nothing_up(stage: Stage) -> None:
    begin(stage, 2)
    stage.answers("a0", "not-sent", failed=True)
    stage.answers("a1", "done")
    stage.turn(1)
    stage.turn(-HOUR_S)
    stage.ledger.wish_undone(["a1"], "policy b1 was wrong", stage.now)
    stage.turn(2)
    assert stage.hands.asked == ["a1 query send_message"]
    stage.turn(40)
    assert acts(stage) == ["a0"]


def test_a_clock_that_is_put_back_shortens_no_wait(stage: Stage) -> None:
    begin(stage, 1)
    stage.answers("a0", "done")
    stage.turn(60)
    stage.turn(-HOUR_S)
    stage.turn(28 * 60)
    assert stage.hands.asked == []
    stage.turn(2 * 60)
    assert stage.hands.asked == ["a0 query send_message"]


def test_what_nobody_answers_is_asked_about_in_the_end(stage: Stage) -> None:
    begin(stage, 1)
    asked, _ = stage.hands.calls[0]
    stage.turn(UNANSWERED_MOST / SECOND)
    assert stage.states() == {"a0": "dispatched"}
    stage.turn(10)
    assert stage.states() == {"a0": "unknown"}
    stage.turn(10)
    assert stage.hands.asked == ["a0 do send_message", "a0 query send_message"]
    assert (asked.turn, stage.shard.open) == (2, 1)
    stage.answers("a0", "done")  # far too late
    assert stage.states() == {"a0": "unknown"}
    stage.answers("a0", "done")
    assert stage.states() == {"a0": "acknowledged"}


def test_what_may_not_begin_is_not_moved_again_and_again(tmp_path: Path) -> None:
    held = [False]
    stage = Stage(tmp_path, {"tell": playbook(tmp_path)}, held=lambda now: held[0])
    begin(stage, 1)
    stage.take(order(1))
    stage.turn()
    held[0] = True
    stage.begins("a1")
    assert acts(stage) == ["a0"]
    assert [stage.turn(1), stage.turn(1), stage.turn(1)] == [0, 0, 0]
    held[0] = False
    stage.turn(1)
    assert acts(stage) == ["a0", "a1"]
    stage.ledger.close()


def test_a_shard_that_always_has_something_to_do_lets_others_come() -> None:
    class Busy:
        turns = 0

        def take(self, new: list[Any], now: int) -> None:
            pass

        def turn(self, now: int) -> int:
            self.turns += 1
            return 1

    busy, passed = Busy(), iter(range(1_000))
    part = ShardPart(busy, None, lambda: next(passed) / 100)  # type: ignore[arg-type]
    part.write_batch([[]])
    assert 10 < busy.turns < 40
