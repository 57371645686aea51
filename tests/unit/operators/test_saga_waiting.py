"""A saga whose calls wait for their turn: what never left is no attempt, and patience is with targets only."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from config.clock import HOUR, MINUTE, SECOND
from config.playbooks.model import Playbook
from operators.saga_moves import QUEUED_MOST
from operators.saga_state import Saga, decode, encode
from tests.support.playbooks import AT, action, playbook, step
from tests.support.sagas import BEFORE, CREDIT, Story, done


@pytest.fixture
def one(tmp_path: Path) -> Playbook:
    return playbook(tmp_path)


def test_what_never_left_is_tried_again_and_is_no_attempt(one: Playbook) -> None:
    story = Story(one).state(BEFORE)
    for _ in range(7):
        assert story.asked[-1] == "do send_message"
        assert story.saga.acts_now
        story.says("expired")
        assert not story.saga.acts_now
        (effect,) = story.saga.effects
        assert (effect.status, effect.do.attempts, effect.do.sent_at) == ("absent", 0, 0)
        assert 0.8 * SECOND <= story.saga.wake_at - story.now <= 1.2 * SECOND
        story.wakes()
    story.says("done")
    assert story.told == [("acknowledged", None)]
    assert story.saga.effects[0].do.attempts == 1


def test_what_never_left_counts_beside_what_was_not_sent_for_another_reason(one: Playbook) -> None:
    story = Story(one).state(BEFORE)
    for _ in range(3):
        story.says("expired").wakes().says("not-sent").wakes()
    assert story.told == [("escalated", None)]
    assert "tried 3 times in vain" in story.saga.reason


def test_it_does_not_go_on_for_ever(one: Playbook) -> None:
    story = Story(one, action(valid_until=AT + MINUTE)).state(BEFORE)
    while story.saga.is_open:
        story.says("expired").wakes()
    assert story.told == [("refused", None)]
    assert story.now <= AT + MINUTE + 2 * SECOND
    assert "It was worth doing until" in story.saga.reason
    assert "the owner of tell in the policy may change" in story.saga.reason


def test_an_action_of_which_nothing_ever_left_has_done_nothing_yet(one: Playbook) -> None:
    stale = Story(one).state(BEFORE).says("expired")
    stale.unfit = "It is stale."
    assert stale.wakes().told == [("refused", None)]
    taken_back = Story(one).state(BEFORE).says("expired").undone()
    assert taken_back.told == [("refused", None)]


def test_what_never_left_says_nothing_of_what_was_sent_before(one: Playbook) -> None:
    story = Story(one).state(BEFORE).says("unknown").wakes().says("absent")
    assert story.asked[-1] == "do send_message"
    story.says("expired")
    assert (story.statuses, story.saga.effects[0].do.attempts) == (["unknown"], 1)
    story.wakes().says("done")
    assert story.statuses == ["done"]


def test_taking_back_what_never_left_is_no_attempt_within_its_deadline(tmp_path: Path) -> None:
    book = playbook(tmp_path, step(inverse={"operation": "withdraw_message", "within": "1h"}))
    story = done(book).undone().says("done")
    for _ in range(9):
        assert story.call.verb == "undo"
        story.says("expired").wakes()
    assert story.saga.effects[0].undo.attempts == 1
    story.says("done").says("undone")
    assert story.told[-1] == ("compensated", None)
    late = done(book).undone().says("done").says("not-sent").wakes()
    late.now += 2 * HOUR
    while late.saga.is_open:
        late.says("expired").wakes() if late.call.verb == "undo" and late.saga.asked else late.wakes()
    assert late.told[-1] == ("escalated", None)
    assert "3 times in vain" in late.saga.reason


def test_a_look_that_waits_for_its_turn_loses_no_patience(one: Playbook) -> None:
    story = Story(one)
    for _ in range(80):
        story.says("expired").wakes()
    assert story.now > AT + MINUTE
    story.queued = True
    story.says("expired").wakes()
    assert story.saga.queued
    assert story.saga.wake_at == story.now + QUEUED_MOST
    story.now += 5 * MINUTE
    story.saga.wake_at, story.queued = story.now, False
    story.move(lambda saga: saga.on_time())
    assert story.asked[-1] == "measure measure"
    story.state(BEFORE)
    assert (story.saga.baseline, story.asked[-1]) == (BEFORE, "do send_message")


def test_a_look_that_waits_for_its_turn_waits_while_the_action_is_valid(one: Playbook) -> None:
    story = Story(one, action(valid_until=AT + 15 * MINUTE))
    story.queued = True
    story.says("expired")
    while story.saga.is_open:
        story.wakes()
    assert story.told == [("refused", None)]
    assert story.now == AT + 15 * MINUTE + 1


def test_a_verdict_does_not_wait_for_a_full_target_beyond_its_patience(one: Playbook) -> None:
    story = done(one)
    story.queued = True
    for _ in range(20):
        if story.saga.is_open and not story.told[-1][1]:
            story.wakes()
    assert story.told[-1] == ("escalated", "inconclusive")
    ends = AT + 30 * MINUTE + HOUR
    assert ends < story.now <= ends + QUEUED_MOST
    expired = done(one).wakes()
    while not expired.told[-1][1]:
        expired = expired.says("expired") if expired.saga.asked else expired.wakes()
    assert expired.told[-1] == ("escalated", "inconclusive")
    assert expired.now <= ends + 10 * MINUTE


def test_who_waits_for_his_turn_says_so_and_then_does_not(tmp_path: Path) -> None:
    story = Story(playbook(tmp_path, step(), step("credit", **CREDIT))).state(BEFORE)
    story.queued = True
    story.says("done")
    assert story.saga.queued
    story.queued = False
    story.wakes()
    assert (story.saga.queued, story.asked[-1]) == (False, "do credit")


def test_a_saga_of_before_queues_were_noted_looks_at_once_after_a_restart() -> None:
    fields = msgspec.msgpack.decode(encode(Saga("a1", phase="forward", wake_at=AT)))
    assert decode(msgspec.msgpack.encode(fields)).queued is False
    old = [fields[0], 1, *fields[2:-1]]
    saga = decode(msgspec.msgpack.encode(old))
    assert (saga.queued, saga.version) == (True, 2)
    verifying = [*old[:3], "verify", *old[4:]]
    assert decode(msgspec.msgpack.encode(verifying)).queued is False


def test_nobody_waits_for_a_target_beyond_what_the_action_is_worth(one: Playbook) -> None:
    story = Story(one, action(valid_until=AT + MINUTE)).state(BEFORE).says("not-sent", retry_after=HOUR)
    assert story.saga.wake_at == AT + MINUTE + 1
    assert story.wakes().told == [("refused", None)]


def test_questions_wait_as_long_as_a_target_asks_for_within_bounds(one: Playbook) -> None:
    story = Story(one).state(BEFORE).says("unknown").wakes().says("unavailable", retry_after=MINUTE)
    assert story.saga.wake_at == story.now + MINUTE
    story.wakes().says("unavailable", retry_after=HOUR)
    assert story.saga.wake_at == story.now + 5 * MINUTE
    before = Story(one).says("unavailable", retry_after=HOUR)
    assert before.saga.wake_at == AT + MINUTE + 1
    assert before.wakes().asked[-1] == "do send_message"


def test_what_never_left_before_the_action_was_worth_nothing_was_not_tried(one: Playbook) -> None:
    story = Story(one, action(valid_until=AT + MINUTE)).state(BEFORE)
    story.now += 2 * MINUTE
    story.says("expired")
    assert story.saga.effects[0].do.attempts == 0
    assert story.wakes().told == [("refused", None)]
