from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.clock import DAY, HOUR, MINUTE
from config.events import Event
from config.keys import Keys
from config.policies.bundle import Bundle
from operators.case_state import CaseState
from operators.flags import FLAG
from tests.support.approvals import DUTY, Desk, event_of, late, signed
from tests.support.findings import end_of, finding
from tests.support.policies import bundle_of, rule

CREDIT = rule("credit", "money_at_risk >= 50.0", "approve", "credit", parameters={"amount": "{money_at_risk}"})
TICKET = rule("ticket", "confidence >= 0.5", "approve", "ticket", parameters={"severity": "{severity}"})


@pytest.fixture
def ticket(tmp_path: Path) -> Bundle:
    return bundle_of(tmp_path / "ticket", TICKET)


@pytest.fixture
def credit(tmp_path: Path) -> Bundle:
    return bundle_of(tmp_path / "credit", CREDIT, TICKET)


def test_a_request_names_the_exact_action_the_policy_and_who_may_answer_until_when(ticket: Bundle) -> None:
    desk = Desk(ticket)
    request = desk.ask(late(harm_at=HOUR + 30 * MINUTE))
    (decision,) = desk.of("decision")
    assert desk.of("action") == []
    assert request["action"]["parameters"] == {"severity": "medium"}
    assert request["action"]["decision_id"] == request["decision_id"] == decision["decision_id"]
    assert request["action"]["facts"] == decision["facts"]
    assert (request["bundle"], request["requester"]) == (ticket.hash, "agent:fulfilment")
    assert (request["roles"], request["people"], request["case_key"]) == (["team-b"], 1, "c1")
    assert (request["at"], request["expires_at"]) == (HOUR, HOUR + 30 * MINUTE)


def test_one_person_consents_to_what_can_be_undone_and_the_action_is_released(ticket: Bundle) -> None:
    desk = Desk(ticket)
    request = desk.ask()
    desk.stage.restart()
    desk.answer(request, "maria")
    (action,) = desk.of("action")
    assert action["approval"] == {"request_id": request["request_id"], "approvers": ["maria"]}
    assert (action["action_id"], action["parameters"]) == (request["action"]["action_id"], {"severity": "medium"})
    decision = desk.of("decision")[-1]
    assert (decision["outcome"], decision["decision_id"]) == ("act", action["decision_id"])
    assert decision["approval"] == action["approval"]
    assert decision["reason"].endswith("Approved by maria.")
    (counted,) = desk.of("approval.counted")
    assert (counted["answer"], counted["still_needed"], counted["waited_us"]) == ("approve", 0, HOUR)
    assert desk.ended == ["granted"]


def test_two_different_people_have_to_consent_to_what_cannot_be_undone(credit: Bundle) -> None:
    desk = Desk(credit)
    request = desk.ask(late(money_at_risk=80.0))
    assert request["people"] == 2
    desk.answer(request, "maria")
    assert desk.of("approval.counted")[-1]["still_needed"] == 1
    assert desk.refused(request, "maria", 3 * HOUR) == "same-person"
    assert desk.of("action") == []
    desk.answer(request, "joao", 4 * HOUR)
    assert desk.of("action")[0]["approval"]["approvers"] == ["maria", "joao"]


def test_when_more_is_at_risk_than_was_asked_about_more_people_are_asked_anew(tmp_path: Path) -> None:
    notify = rule("notify", "true", "approve", "notify")
    desk = Desk(bundle_of(tmp_path, notify, approvals={"two_people_from": 100}))
    request = desk.ask(late(money_at_risk=80.0))
    assert request["people"] == 1
    again = desk.ask(late(2 * HOUR, kind="order.stuck", money_at_risk=100.0))
    assert (desk.ended, again["people"]) == (["withdrawn"], 2)
    assert desk.refused(request, "maria", 3 * HOUR) == "closed"
    desk.answer(again, "maria", 4 * HOUR)
    assert desk.of("action") == []
    # What has become less is asked of no more people than it was.
    desk.feed(late(5 * HOUR, kind="order.stuck", money_at_risk=90.0, occurrence="later"))
    desk.answer(again, "joao", 5 * HOUR + MINUTE)
    assert desk.of("action")[0]["approval"]["approvers"] == ["maria", "joao"]


def test_one_no_is_enough_and_the_remedy_is_asked_for_again_only_when_the_case_gets_worse(credit: Bundle) -> None:
    desk = Desk(credit)
    request = desk.ask(late(money_at_risk=80.0))
    desk.answer(request, "maria")
    desk.answer(request, "joao", 3 * HOUR, answer="reject")
    assert desk.ended == ["rejected"]
    assert desk.of("decision")[-1]["outcome"] == "observe"
    assert "joao (team-b) said no" in desk.of("decision")[-1]["reason"]
    desk.feed(late(4 * HOUR, occurrence="again", money_at_risk=90.0))
    assert len(desk.of("approval.requested")) == 1
    again = desk.ask(late(5 * HOUR, occurrence="worse", money_at_risk=90.0, severity="high"))
    assert again["request_id"] != request["request_id"]
    assert desk.of("action") == []


def test_what_nobody_answers_is_denied_when_it_expires(ticket: Bundle) -> None:
    desk = Desk(ticket)
    request = desk.ask()
    desk.feed(until=HOUR + DAY + 1)
    (closed,) = desk.of("approval.closed")
    assert (closed["end"], closed["at"]) == ("expired", HOUR + DAY)
    assert desk.of("decision")[-1]["outcome"] == "observe"
    assert desk.refused(request, "maria", 2 * DAY) == "expired"
    desk.feed(late(3 * DAY, occurrence="again"))
    assert len(desk.of("approval.requested")) == 1


def test_an_answer_given_after_the_end_does_not_count_though_it_is_dated_before(ticket: Bundle) -> None:
    desk = Desk(ticket)
    request = desk.ask()
    assert desk.refused(request, "maria", 2 * HOUR, answered_at=HOUR + DAY) == "expired"
    made = desk.feed(event_of(signed(request, "maria", 2 * HOUR), 2 * DAY))
    assert [event.data["reason"] for event in made if event.type == "approval.refused"] == ["expired"]
    assert desk.of("action") == []


@pytest.mark.parametrize(
    ("by", "changes", "reason"),
    [
        ("maria", {"request_id": "0" * 32}, "unknown-request"),
        ("agent:fulfilment", {}, "own-request"),
        ("nobody", {}, "unknown-person"),
        ("maria", {"signer": "joao"}, "forged"),
        ("rui", {}, "revoked"),
        ("eva", {}, "not-yet-valid"),
        ("ana", {}, "wrong-role"),
        ("ana", {"role": DUTY}, "wrong-role"),
        ("maria", {"digest": "0" * 32}, "other-request"),
    ],
)
def test_an_answer_that_may_not_count_is_refused_with_its_reason(
    ticket: Bundle, by: str, changes: dict[str, Any], reason: str
) -> None:
    desk = Desk(ticket)
    request = desk.ask()
    assert desk.refused(request, by, **changes) == reason
    (refusal,) = desk.of("approval.refused")
    assert refusal["approver"] == by
    assert "signature" not in refusal
    assert desk.of("action") == []
    desk.answer(request, "maria", 3 * HOUR)
    assert len(desk.of("action")) == 1


@pytest.mark.parametrize("field", ["request_id", "digest", "answer", "approver", "role", "answered_at", "case_key"])
def test_an_answer_that_was_changed_after_it_was_signed_is_refused(ticket: Bundle, field: str) -> None:
    desk = Desk(ticket)
    first, second = desk.ask(late()), desk.ask(late(HOUR + 1, entity="order:2"))
    answer = signed(first, "maria", 2 * HOUR, answer="reject" if field == "answer" else "approve")
    instead = {
        "request_id": second["request_id"],
        "digest": second["digest"],
        "answer": "approve",
        "approver": "joao",
        "role": DUTY,
        "answered_at": 2 * HOUR - 1,
        "case_key": "c2",
    }
    changed = msgspec.structs.replace(answer, **{field: instead[field]})
    made = desk.feed(event_of(changed, 2 * HOUR))
    assert [event.data["reason"] for event in made] == ["unknown-request" if field == "case_key" else "forged"]
    assert desk.of("action") == []


def test_an_answer_that_comes_again_is_refused_while_the_request_is_open_and_after(credit: Bundle) -> None:
    desk = Desk(credit)
    request = desk.ask(late(money_at_risk=80.0))
    answer = signed(request, "maria", 2 * HOUR)
    for at in (2 * HOUR, 3 * HOUR):
        desk.feed(event_of(answer, at))
    desk.answer(request, "joao", 4 * HOUR)
    desk.feed(event_of(answer, 5 * HOUR))
    assert [each["reason"] for each in desk.of("approval.refused")] == ["replayed", "replayed"]
    assert desk.refused(request, "joao", 6 * HOUR, answer="reject") == "closed"
    assert len(desk.of("action")) == 1


def test_what_is_not_wanted_any_more_is_taken_back_and_an_answer_to_it_tells_why(credit: Bundle) -> None:
    desk = Desk(credit)
    old = desk.ask(late(money_at_risk=80.0))
    new = desk.ask(late(2 * HOUR, occurrence="again", money_at_risk=95.0))
    assert (old["action"]["parameters"], new["action"]["parameters"]) == ({"amount": 80.0}, {"amount": 95.0})
    assert desk.ended == ["withdrawn"]
    assert desk.refused(old, "maria", 3 * HOUR) == "closed"
    assert "Something else is wanted now" in desk.of("approval.refused")[-1]["detail"]
    assert new["action"]["action_id"] == old["action"]["action_id"]


def test_consent_to_a_state_that_is_past_is_refused_as_stale_with_the_difference(tmp_path: Path) -> None:
    fresh = {
        "evidence_age_hours": {"type": "number", "description": "d"},
        "kind": {"type": "string", "description": "d"},
    }
    hours = {"hours": "{evidence_age_hours}"}
    desk = Desk(bundle_of(tmp_path, rule("t", "true", "approve", "ticket", parameters=hours), facts=fresh))
    request = desk.ask()
    made = desk.answer(request, "maria", 4 * HOUR)
    (refusal,) = [event.data for event in made if event.type == "approval.refused"]
    assert (refusal["reason"], refusal["differences"]) == (
        "stale",
        [{"name": "parameters.hours", "asked": 0.0, "now": 3.0}],
    )
    assert desk.of("action") == []
    again = desk.of("approval.requested")[-1]
    assert again["action"]["parameters"] == {"hours": 3.0}
    assert {each["decision_id"]: each["parameters"] for each in desk.of("decision")}[again["decision_id"]] == {
        "hours": 3.0
    }
    desk.feed(event_of(signed(again, "maria", 4 * HOUR + 1), 4 * HOUR + 1))
    assert len(desk.of("action")) == 1


def test_consent_under_another_version_of_the_policy_is_refused(tmp_path: Path, ticket: Bundle) -> None:
    later = bundle_of(tmp_path / "2", TICKET, version="2.0.0", effective_from="1970-01-01T02:00:00Z")
    desk = Desk(ticket, later)
    request = desk.ask()
    made = desk.answer(request, "maria", 3 * HOUR)
    (refusal,) = [event.data for event in made if event.type == "approval.refused"]
    assert refusal["reason"] == "other-policy"
    assert refusal["differences"] == [{"name": "bundle", "asked": ticket.hash, "now": later.hash}]
    assert desk.ended == ["withdrawn"]
    desk.answer(desk.of("approval.requested")[-1], "maria", 4 * HOUR)
    assert len(desk.of("action")) == 1


def test_a_flag_set_in_the_meantime_keeps_consent_from_counting(credit: Bundle) -> None:
    desk = Desk(credit)
    request = desk.ask(late(money_at_risk=80.0))
    flag = {"scope": "*", "mode": "reversible-only", "set_by": "on-call", "reason": "drill"}
    desk.feed(Event(2 * HOUR, "flag", "\0", FLAG, flag))
    desk.answer(request, "maria", 3 * HOUR)
    (refusal,) = desk.of("approval.refused")
    assert refusal["reason"] == "stale"
    assert "on-call, who can take it back" in refusal["detail"]
    assert {"name": "outcome", "asked": "approve", "now": "recommend"} in refusal["differences"]
    desk.feed(Event(4 * HOUR, "lifted", "\0", FLAG, flag | {"mode": "normal"}))
    for at, by in ((5 * HOUR, "maria"), (6 * HOUR, "joao")):
        desk.answer(request, by, at)
    assert len(desk.of("action")) == 1


def test_what_a_job_may_not_do_by_itself_it_does_with_consent_but_not_while_another_remedy_goes_on(
    tmp_path: Path,
) -> None:
    act = rule("act", "money_at_risk < 50.0", "act", "ticket")
    desk = Desk(bundle_of(tmp_path, act, CREDIT), mode="approve")
    request = desk.ask()
    desk.answer(request, "maria")
    assert len(desk.of("action")) == 1
    desk.feed(late(3 * HOUR, occurrence="again", money_at_risk=80.0))
    assert desk.of("decision")[-1]["outcome"] == "recommend"
    assert len(desk.of("approval.requested")) == 1
    desk.feed(late(3 * DAY, occurrence="third", money_at_risk=80.0))
    assert desk.of("approval.requested")[-1]["remedy"] == "credit"


def test_a_case_that_is_over_takes_its_request_back(ticket: Bundle) -> None:
    desk = Desk(ticket)
    found = finding(kind="order.late", at=HOUR, confidence=0.95)
    request = desk.ask(found.event("c1"))
    desk.feed(end_of(found, 2 * HOUR).event("c1"))
    assert desk.ended == ["withdrawn"]
    assert desk.refused(request, "maria", 3 * HOUR) == "closed"
    assert "The case is over" in desk.of("approval.refused")[-1]["detail"]


@pytest.mark.parametrize(("answer", "end"), [("approve", "granted"), ("reject", "rejected")])
def test_a_person_is_asked_where_the_policy_could_not_decide_and_either_answer_ends_it(
    tmp_path: Path, answer: str, end: str
) -> None:
    desk = Desk(bundle_of(tmp_path, rule("t", "eta != null && eta > 0.0"), facts=FAILING))
    request = desk.ask(late(features={"eta": "soon"}))
    assert (request["remedy"], request["action"], request["roles"], request["people"]) == ("", None, [DUTY], 1)
    desk.answer(request, "ana", answer=answer)
    assert desk.ended == [end]
    assert desk.of("action") == []
    desk.feed(late(3 * HOUR, occurrence="again", features={"eta": "soon"}))
    assert len(desk.of("approval.requested")) == 1


FAILING = {
    "kind": {"type": "string", "description": "d"},
    "eta": {"type": "number", "nullable": True, "feature": "eta", "description": "d"},
}


def test_without_keys_nobody_can_consent(ticket: Bundle) -> None:
    desk = Desk(ticket, keys=Keys())
    assert desk.refused(desk.ask(), "maria") == "unknown-person"
    assert "whoever sets up the key file" in desk.of("approval.refused")[0]["detail"]


def test_all_is_forgotten_in_the_end_and_an_answer_to_nothing_leaves_no_trace(ticket: Bundle) -> None:
    desk = Desk(ticket)
    request = desk.ask()
    desk.answer(request, "maria")
    desk.feed(until=120 * DAY)
    assert desk.stage.group.keys == 0
    assert desk.refused(request, "joao", 121 * DAY) == "unknown-request"
    assert desk.stage.group.keys == 0


def test_state_of_before_there_were_requests_can_be_read() -> None:
    old = msgspec.to_builtins(CaseState())
    del old["requests"], old["answered"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=CaseState) == CaseState()
