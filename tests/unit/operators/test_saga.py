"""The saga, one story each: what it asks, what it makes of the answers, how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.actions import Approval
from config.clock import DAY, HOUR, MINUTE, SECOND
from config.effects import Reply, effect_key, undo_key
from config.playbooks.model import Playbook
from operators.saga import BASELINE_TRIES
from operators.saga_moves import QUERY_FOR
from tests.support.playbooks import AT, action, playbook, step
from tests.support.sagas import BEFORE, CREDIT, HELPED, Story, done


@pytest.fixture
def one(tmp_path: Path) -> Playbook:
    return playbook(tmp_path)


@pytest.fixture
def two(tmp_path: Path) -> Playbook:
    return playbook(tmp_path, step(), step("credit", **CREDIT))


def test_an_action_that_helps_is_settled(one: Playbook) -> None:
    story = Story(one).state(BEFORE)
    assert story.call.key == effect_key("a1", "message")
    assert (story.call.target, story.call.entity, story.call.parameters) == ("crm", "customer:alice", {"order": "o1"})
    assert (story.call.timeout, story.call.expires) == (5 * SECOND, AT + 5 * SECOND)
    story.says("done")
    assert story.saga.wake_at == AT + 30 * MINUTE
    story.wakes().says("done").state(HELPED)
    assert story.asked == ["measure measure", "do send_message", "query send_message", "measure measure"]
    assert story.told == [("acknowledged", None), ("settled", "verified")]
    assert (story.saga.collateral, story.saga.is_open) == (False, False)
    assert list(story.saga.times) == ["intended", "approved", "dispatched", "acknowledged", "verified", "settled"]


def test_what_does_not_help_is_taken_back_in_reverse_order(two: Playbook) -> None:
    story = done(two).wakes().says("done").says("done").state(BEFORE)
    assert story.asked[-1] == "query credit"
    story.says("done")
    assert story.call.verb == "undo"
    assert (story.call.operation, story.call.undoes) == ("reverse_credit", effect_key("a1", "credit"))
    assert story.call.key == undo_key("a1", "credit")
    story.says("done").says("undone").says("done").says("done").says("undone")
    assert story.asked[-6:] == [
        "query credit",
        "undo reverse_credit",
        "query credit",
        "query send_message",
        "undo withdraw_message",
        "query send_message",
    ]
    assert story.statuses == ["undone", "undone"]
    assert story.told[-2:] == [("ineffective", "ineffective"), ("compensated", "ineffective")]


def test_a_person_is_asked_where_nobody_can_tell_whether_it_helped(one: Playbook) -> None:
    story = done(one).wakes().says("done")
    while story.saga.asked or story.saga.is_open:
        story = story.says("unavailable") if story.saga.asked else story.wakes()
    assert story.told[-1] == ("escalated", "inconclusive")
    assert story.statuses == ["done"]
    assert AT + 90 * MINUTE < story.now < AT + 100 * MINUTE
    assert "duty-manager" in story.saga.reason


def test_without_a_baseline_the_verdict_is_inconclusive(one: Playbook) -> None:
    story = Story(one)
    for _ in range(BASELINE_TRIES):
        story.says("unavailable").wakes()
    assert story.asked[-1] == "do send_message"
    story.says("done").wakes().says("done").state(HELPED)
    assert story.told[-1] == ("escalated", "inconclusive")
    assert story.saga.collateral is None


def test_the_next_rung_is_taken_when_the_first_does_not_help(tmp_path: Path) -> None:
    book = playbook(tmp_path, step(), step("ticket", operation="open_ticket", rung=2))
    story = done_rung(Story(book).state(BEFORE))
    assert story.call.operation == "open_ticket"
    story.says("done").wakes().says("done").says("done").state(HELPED)
    assert story.asked[-3:] == ["query send_message", "query open_ticket", "measure measure"]
    assert story.told[-1] == ("settled", "verified")
    late = Story(book, action(valid_until=AT + MINUTE)).state(BEFORE)
    done_rung(late)
    assert late.asked[-1] == "query send_message"
    late.says("done").says("done").says("undone")
    assert late.told[-1] == ("compensated", "ineffective")


def done_rung(story: Story) -> Story:
    return story.says("done").wakes().says("done").state(BEFORE)


@pytest.mark.parametrize(("others_acted", "ends"), [(False, "escalated"), (True, "settled")])
def test_what_else_changed_is_told_unless_others_may_have_done_it(one: Playbook, others_acted: bool, ends: str) -> None:
    story = done(one)
    story.others_acted = others_acted
    story.wakes().says("done").state(HELPED | {"credits": 5})
    assert story.others == [("customer:alice", AT)]
    assert story.told[-1] == (ends, "verified")
    assert story.saga.collateral is (None if others_acted else True)
    assert ("credits" in story.saga.reason) is (not others_acted)


def test_a_lie_is_found_out(one: Playbook) -> None:
    story = done(one).wakes().says("absent").state(BEFORE)
    assert story.told[-2:] == [("ineffective", "ineffective"), ("escalated", "ineffective")]
    assert story.statuses == ["absent"]
    assert "is not there" in story.saga.reason


def test_what_is_not_known_is_asked_and_not_repeated(one: Playbook) -> None:
    story = Story(one).state(BEFORE).says("unknown")
    assert (story.saga.state, story.saga.asked) == ("unknown", None)
    story.wakes()
    assert story.asked[-2:] == ["do send_message", "query send_message"]
    story.says("done")
    assert story.saga.state == "acknowledged"
    assert story.asked.count("do send_message") == 1


def test_what_is_not_there_yet_is_sent_again_under_its_key(one: Playbook) -> None:
    story = Story(one).state(BEFORE)
    first = story.call
    story.says("unknown").wakes().says("absent")
    assert story.asked[-2:] == ["query send_message", "do send_message"]
    assert (story.call.key, story.call.parameters) == (first.key, first.parameters)
    for _ in range(2):
        story.says("unknown").wakes().says("absent")
    # Three attempts were made: now it is waited until none of them can have an effect any more.
    assert story.saga.asked is None
    assert story.saga.wake_at is not None
    assert story.saga.wake_at == story.saga.effects[0].do.open_until + 1 > story.now
    story.wakes().says("absent")
    assert story.told[-1] == ("escalated", None)
    assert story.statuses == ["absent"]
    assert "3 times in vain" in story.saga.reason


def test_a_target_without_keys_is_not_sent_anything_again_before_it_is_certain(one: Playbook) -> None:
    story = Story(one, keyed=False).state(BEFORE).says("unknown").wakes().says("absent")
    assert story.asked.count("do send_message") == 1
    open_until = story.saga.effects[0].do.open_until
    assert open_until == AT + 10 * SECOND
    story.wakes().says("absent")
    assert story.now > open_until
    assert story.asked[-1] == "do send_message"


def test_a_target_that_tells_nothing_gets_one_attempt_and_then_a_person(one: Playbook) -> None:
    story = Story(one, queryable=False).state(BEFORE).says("unknown").wakes()
    assert story.told == [("escalated", None)]
    assert story.statuses == ["unknown"]
    assert story.asked.count("do send_message") == 1
    assert not story.saga.is_open
    assert not any(asked.startswith("query") for asked in story.asked)


def test_a_refusal_counts_only_when_no_earlier_request_can_take_effect(one: Playbook) -> None:
    story = Story(one).state(BEFORE).says("unknown").wakes().says("absent").says("refused", detail="no")
    assert story.statuses == ["unknown"]
    story.wakes().says("absent")
    assert story.asked.count("do send_message") == 2
    story.wakes().says("done")
    assert (story.saga.state, story.statuses) == ("acknowledged", ["done"])
    other = Story(one).state(BEFORE).says("unknown").wakes().says("absent").says("refused", detail="no")
    other.wakes().says("absent").wakes().says("absent")
    assert (other.told[-1], other.statuses) == (("refused", None), ["refused"])


def test_what_was_not_sent_does_not_make_certain_what_was_sent_before(one: Playbook) -> None:
    story = Story(one).state(BEFORE).says("unknown").wakes().says("absent").says("not-sent")
    assert story.statuses == ["unknown"]
    story.wakes().says("done")
    assert story.statuses == ["done"]


def test_what_was_not_sent_is_tried_again_later(one: Playbook) -> None:
    story = Story(one).state(BEFORE).says("not-sent", retry_after=40 * SECOND)
    assert story.saga.wake_at == AT + 40 * SECOND
    story.wakes().says("not-sent")
    wait = story.saga.wake_at - story.now
    assert 1.5 * SECOND < wait < 2.5 * SECOND
    story.wakes().says("not-sent").wakes()
    assert story.told[-1] == ("escalated", None)
    assert (story.statuses, story.asked.count("do send_message")) == (["absent"], 3)


def test_what_a_target_refuses_is_refused(one: Playbook) -> None:
    story = Story(one).state(BEFORE).says("refused", detail="status 422")
    assert story.told == [("refused", None)]
    assert "crm refused send_message: status 422" in story.saga.reason


def test_earlier_steps_are_taken_back_when_a_later_one_is_refused(two: Playbook) -> None:
    story = Story(two).state(BEFORE).says("done").says("refused").says("done")
    assert story.asked[-2:] == ["query send_message", "undo withdraw_message"]
    story.says("done").says("undone")
    assert story.told == [("compensated", None)]
    assert story.statuses == ["undone", "refused"]


def test_only_what_is_there_is_taken_back(two: Playbook) -> None:
    story = Story(two).state(BEFORE).says("done").says("refused").says("absent")
    assert story.told == [("refused", None)]
    assert story.statuses == ["absent", "refused"]
    undone_by_others = Story(two).state(BEFORE).says("done").says("refused").says("undone")
    assert undone_by_others.statuses == ["undone", "refused"]
    assert not any(asked.startswith("undo") for asked in story.asked + undone_by_others.asked)


def test_taking_back_what_was_lost_is_asked_about_too(one: Playbook) -> None:
    story = done(one).undone().says("done").says("unknown").wakes()
    assert story.call.verb == "query"
    assert story.call.key == undo_key("a1", "message")
    story.says("absent")
    assert (story.call.verb, story.call.key) == ("undo", undo_key("a1", "message"))
    story.restarts().wakes()
    assert story.call.verb == "query"
    story.says("done").says("undone")
    assert story.told[-1] == ("compensated", None)


def test_a_lie_about_taking_back_is_found_out_and_it_is_tried_again(one: Playbook) -> None:
    story = done(one).undone().says("done")
    for _ in range(3):
        assert story.asked[-1] == "undo withdraw_message"
        story.says("done")
        assert story.asked[-1] == "query send_message"
        story.says("done")
    assert story.told[-1] == ("escalated", None)
    assert (story.statuses, "3 times in vain" in story.saga.reason) == (["done"], True)


def test_what_is_left_standing_unseen_is_asked_about_after_the_end(two: Playbook) -> None:
    story = Story(two, action(valid_until=AT + MINUTE)).state(BEFORE).says("done").says("unknown")
    while not story.told:
        story = story.says("unavailable") if story.saga.asked else story.wakes()
    assert story.told == [("escalated", None)]
    story.wakes().says("absent")
    assert story.statuses == ["absent", "unknown"]
    story.says("done")
    assert (story.statuses, story.saga.is_open) == (["absent", "done"], False)
    assert story.told == [("escalated", None)] * 3


def test_what_cannot_be_taken_back_is_left_and_told(tmp_path: Path) -> None:
    firm = playbook(tmp_path, step("refund", inverse=None, irreversible="money is gone"), step(), name="firm")
    story = Story(firm, action(remedy="firm")).state(BEFORE).says("done").says("refused").says("done")
    assert story.told == [("escalated", None)]
    assert story.statuses == ["done", "refused"]
    assert "Not taken back: send_message: money is gone." in story.saga.reason


def test_taking_back_has_a_deadline_and_a_precondition(tmp_path: Path) -> None:
    inverse = {"operation": "withdraw_message", "within": "1h"}
    late = done(playbook(tmp_path, step(inverse=inverse)))
    late.now += 2 * HOUR
    late.undone().says("done")
    assert late.told[-1] == ("escalated", None)
    assert "that could be done for 1h only" in late.saga.reason
    never = done(playbook(tmp_path, step(inverse=inverse | {"precondition": "kind == 'another'"})))
    never.undone().says("done")
    assert "kind == 'another'" in never.saga.reason


def test_taking_back_is_given_up_after_so_many_attempts(one: Playbook) -> None:
    story = done(one).undone().says("done")
    for _ in range(3):
        assert story.call.verb == "undo"
        story.says("not-sent").wakes()
    assert story.told[-1] == ("escalated", None)
    assert "3 times in vain" in story.saga.reason


def test_an_action_is_refused_when_it_is_too_late_or_must_not_be(one: Playbook) -> None:
    late = Story(one, action(valid_until=AT - 1))
    assert (late.told, late.asked) == ([("refused", None)], [])
    assert "2023-11-14" in late.saga.reason
    blocked = Story(one).state(BEFORE)
    blocked.inadmissible = "The kill switch is on."
    blocked.says("not-sent").wakes()
    assert (blocked.told, blocked.saga.reason) == ([("refused", None)], "The kill switch is on.")
    begun = Story(one).state(BEFORE)
    begun.unfit = "It is stale."
    assert begun.says("not-sent").wakes().asked.count("do send_message") == 2
    never = Story(one)
    never.unfit = "It is stale."
    assert never.restarts().saga.reason == "It is stale."


def test_nothing_is_sent_again_when_it_is_too_late_but_is_asked_about(one: Playbook) -> None:
    story = Story(one, action(valid_until=AT + SECOND)).state(BEFORE).says("unknown").waits(2 * SECOND)
    assert story.call.verb == "query"
    story.says("absent").wakes().says("absent")
    assert story.told[-1] == ("refused", None)
    assert story.asked.count("do send_message") == 1


def test_a_step_whose_precondition_does_not_hold_is_not_taken(tmp_path: Path) -> None:
    story = Story(playbook(tmp_path, step(precondition="kind == 'another'"))).state(BEFORE)
    assert story.told == [("refused", None)]
    assert "customer-operations may change the playbook" in story.saga.reason


def test_an_action_that_does_not_fit_its_playbook_is_refused(tmp_path: Path) -> None:
    book = playbook(tmp_path, inputs={"new_date": {"type": "instant"}})
    for parameters in ({}, {"new_date": "soon"}, {"new_date": 1.5}):
        story = Story(book, action(parameters=parameters))
        assert (story.told, story.asked) == ([("refused", None)], [])
        assert "new_date" in story.saga.reason
    assert Story(book, action(parameters={"new_date": "2026-01-01T00:00:00Z"})).asked == ["measure measure"]
    nobody = Story(playbook(tmp_path), action(customer="")).state(BEFORE)
    assert nobody.told == [("refused", None)]
    assert Story(None).told == [("escalated", None)]


def test_consent_is_needed_where_the_playbook_says_so(tmp_path: Path) -> None:
    book = playbook(tmp_path, approval="always")
    assert Story(book).told == [("refused", None)]
    assert Story(book, action(approval=Approval("r1", ["bob"]))).asked == ["measure measure"]


def test_an_open_breaker_is_waited_for_but_not_for_ever(one: Playbook) -> None:
    story = Story(one)
    story.blocked["crm", "send_message"] = AT + 10 * MINUTE
    story.state(BEFORE)
    assert (story.saga.wake_at, story.saga.effects) == (AT + 10 * MINUTE, [])
    del story.blocked["crm", "send_message"]
    assert story.wakes().asked[-1] == "do send_message"
    late = Story(one)
    late.blocked["crm", "send_message"] = AT + DAY
    late.state(BEFORE).wakes()
    assert (late.told, late.now) == ([("refused", None)], AT + 4 * HOUR + 1)


def test_a_baseline_that_is_blocked_does_not_hold_the_action_up(one: Playbook) -> None:
    story = Story(one)
    story.blocked["crm", "measure"] = AT + DAY
    story.says("unavailable").wakes().wakes()
    assert story.asked[-1] == "do send_message"
    assert story.now <= AT + 2 * MINUTE


def test_after_a_restart_what_was_sent_is_asked_about_first(one: Playbook) -> None:
    story = Story(one).restarts().state(BEFORE).restarts()
    assert story.asked == ["measure measure", "measure measure", "do send_message"]
    assert story.saga.state == "unknown"
    story.wakes().says("done").wakes().restarts()
    assert story.asked[-2:] == ["query send_message", "query send_message"]


def test_an_answer_to_an_earlier_call_says_nothing(one: Playbook) -> None:
    story = Story(one).state(BEFORE).restarts().wakes()
    story.move(lambda saga: saga.on_reply(Reply("a1", story.saga.turn - 1, "refused")))
    assert story.statuses == ["unknown"]
    story.says("done")
    story.says("refused")
    assert story.statuses == ["done"]


def test_a_person_is_asked_when_a_target_tells_nothing_for_a_day_and_it_is_asked_on(one: Playbook) -> None:
    story = Story(one).state(BEFORE).says("unknown")
    while not story.told:
        story = story.says("unavailable") if story.saga.asked else story.wakes()
    assert story.told == [("escalated", None)]
    assert QUERY_FOR < story.now - AT < QUERY_FOR + HOUR
    assert story.statuses == ["unknown"]
    story.wakes().says("done")
    assert story.statuses == ["done"]
    assert story.told == [("escalated", None)] * 2
    assert not story.saga.is_open


def test_after_the_end_nothing_is_sent_again_however_long_a_request_may_take_effect(one: Playbook) -> None:
    story = done(one, settle=2 * QUERY_FOR).undone().says("done").says("unknown")
    while story.told[-1:] != [("escalated", None)]:
        story = story.says("unavailable") if story.saga.asked else story.wakes()
    story.wakes().says("absent")
    assert story.asked.count("undo withdraw_message") == 1
    story.wakes().says("absent")
    assert (story.statuses, story.saga.is_open) == (["done"], False)


def test_an_action_can_be_undone_at_any_time(one: Playbook) -> None:
    settled = done(one).wakes().says("done").state(HELPED)
    assert not settled.saga.is_open
    settled.undone().says("done").says("done").says("undone")
    assert settled.told[-2:] == [("settled", "verified"), ("compensated", "verified")]
    settled.undone()
    assert not settled.saga.is_open
    before = Story(one).undone().state(BEFORE)
    assert (before.told, before.asked) == ([("refused", None)], ["measure measure"])
    during = Story(one).state(BEFORE).undone().says("done").says("done").says("done").says("undone")
    assert (during.told, during.statuses) == ([("compensated", None)], ["undone"])
    refused = Story(one).state(BEFORE).says("refused").undone()
    assert (refused.told, refused.saga.is_open) == ([("refused", None)], False)


def test_what_was_undone_is_confirmed_first_though_it_was_seen_before(one: Playbook) -> None:
    settled = done(one).wakes().says("done").state(HELPED).undone()
    assert settled.call.verb == "query"
    settled.says("undone")
    assert (settled.told[-1], settled.statuses) == (("compensated", "verified"), ["undone"])
    assert not any(asked.startswith("undo ") for asked in settled.asked)


def test_waits_are_drawn_by_the_action(one: Playbook) -> None:
    def wait(action_id: str) -> int | None:
        story = Story(one, action(action_id)).state(BEFORE).says("not-sent")
        return story.saga.wake_at

    assert wait("a1") == wait("a1")
    assert len({wait(f"a{number}") for number in range(9)}) > 5
