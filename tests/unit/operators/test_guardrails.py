"""Guardrails of a customer: in the case stage, as people see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.clock import DAY, HOUR
from config.events import RELEASE, Event
from config.policies.bundle import Bundle
from config.policies.versions import Versions
from operators.case_state import CaseState
from operators.cases import CaseLogic, CaseSettings
from operators.decide import Decider
from operators.guard import GUARD
from operators.guardrails import ACTS_MAX, Act, judge
from tests.support.approvals import Desk, event_of, late, signed
from tests.support.findings import Stage
from tests.support.policies import bundle_of, rule

NOTIFY = rule("notify", "confidence >= 0.5", "act", "notify", owner="team-b")


def limit(**given: Any) -> dict[str, Any]:
    return {"description": "d", "per": "customer", "most": 1, "within": "2d", "owner": "team-g"} | given


def bundle(folder: Path, *rules: dict[str, Any], **limits: Any) -> Bundle:
    return bundle_of(folder, *(rules or (NOTIFY,)), guardrails={"limits": limits})


def on(order: int, at: int, **given: Any) -> Event:
    return late(at, entity=f"order:{order}", **given)


def outcomes(desk: Desk) -> list[str]:
    return [each["outcome"] for each in desk.of("decision")]


def test_a_customer_gets_no_more_than_the_limit_and_the_decision_says_why_and_who_may_change_it(tmp_path: Path) -> None:
    desk = Desk(bundle(tmp_path, **{"one-each": limit()}), mode="act")
    desk.feed(on(1, HOUR))
    desk.stage.restart()
    desk.feed(on(2, 2 * HOUR))
    assert outcomes(desk) == ["act", "recommend"]
    first, second = desk.of("decision")
    assert "guardrails" not in first
    assert second["guardrails"] == [
        {
            "guardrail": "one-each",
            "owner": "team-g",
            "then": "recommend",
            "limit": 1,
            "spent": 1,
            "asked": 1,
            "free_at": HOUR + 2 * DAY,
        }
    ]
    assert second["reason"] == (
        "notify. Guardrail one-each: 1 of 1 actions within 2d are spent for this customer, and this takes 1, too much "
        "until 1970-01-03T01:00:00Z; team-g may change that (guardrail one-each of the policy)."
    )
    assert len(desk.of("action")) == 1


def test_what_was_done_counts_until_the_very_end_of_the_span_and_is_then_forgotten(tmp_path: Path) -> None:
    loaded = bundle(tmp_path, **{"one-each": limit()})
    before, after = Desk(loaded, mode="act"), Desk(loaded, mode="act")
    for desk, at in ((before, HOUR + 2 * DAY - 1), (after, HOUR + 2 * DAY)):
        desk.feed(on(1, HOUR), on(2, at))
    assert outcomes(before) == ["act", "recommend"]
    assert outcomes(after) == ["act", "act"]
    after.feed(until=200 * DAY)
    assert after.stage.group.state_of("c1") is None


def test_only_what_the_limit_speaks_of_counts_and_is_held_back(tmp_path: Path) -> None:
    rules = rule("credit", "money_at_risk >= 50.0", "act", "credit"), NOTIFY
    loaded = bundle(tmp_path, *rules, money=limit(counts="money", most=99, of={"moves_money": True}))
    desk = Desk(loaded, mode="act")
    desk.feed(on(1, HOUR), on(2, 2 * HOUR), on(3, 3 * HOUR))
    assert outcomes(desk) == ["act", "act", "act"]


@pytest.mark.parametrize(("second", "held"), [(29.0, False), (29.01, True)])
def test_money_may_come_to_just_the_limit(second: float, held: bool, tmp_path: Path) -> None:
    loaded = bundle(tmp_path, money=limit(counts="money", most=99, of={"moves_money": True}))
    acts = [Act(HOUR, "a", "credit", 70_000_000), Act(HOUR, "b", "notify", 0)]
    found = judge(loaded.guardrails, "credit", round(second * 1e6), acts, 2 * HOUR)
    assert [(each.limit, each.spent, each.asked) for each in found] == ([(99.0, 70.0, second)] if held else [])


def test_the_owner_of_a_guardrail_that_can_be_overruled_is_asked(tmp_path: Path) -> None:
    desk = Desk(bundle(tmp_path, **{"one-each": limit(then="approve", owner="team-b")}), mode="act")
    desk.feed(on(1, HOUR))
    request = desk.ask(on(2, 2 * HOUR))
    assert outcomes(desk) == ["act", "approve"]
    assert request["roles"] == ["team-b"]
    assert request["action"]["overrules"] == ["one-each"]
    assert "Guardrail one-each" in request["reason"]
    desk.answer(request, "maria", 3 * HOUR)
    action = desk.of("action")[-1]
    assert (action["entity"], action["overrules"]) == ("order:2", ["one-each"])
    assert action["approval"]["approvers"] == ["maria"]


def test_nobody_consents_for_two(tmp_path: Path) -> None:
    ask = rule("ask", "confidence >= 0.5", "approve", "notify")
    desk = Desk(bundle(tmp_path, ask, NOTIFY, **{"none": limit(most=0, then="approve")}), mode="act")
    desk.feed(on(1, HOUR))
    assert outcomes(desk) == ["recommend"]
    both = {"none": limit(most=0, then="approve"), "nor": limit(most=0, then="approve", owner="team-h")}
    desk = Desk(bundle(tmp_path / "both", **both), mode="act")
    desk.feed(on(1, HOUR))
    assert outcomes(desk) == ["recommend"]
    assert [each["guardrail"] for each in desk.of("decision")[0]["guardrails"]] == ["none", "nor"]


def test_a_hard_guardrail_is_not_asked_about_beside_a_soft_one_of_the_same_owner(tmp_path: Path) -> None:
    desk = Desk(bundle(tmp_path, **{"soft": limit(most=0, then="approve"), "hard": limit(most=0)}), mode="act")
    desk.feed(on(1, HOUR))
    assert (outcomes(desk), desk.of("approval.requested")) == (["recommend"], [])


def test_no_consent_overrules_a_hard_guardrail(tmp_path: Path) -> None:
    ask = rule("ask", "confidence >= 0.5", "approve", "notify")
    desk = Desk(bundle(tmp_path, ask, **{"one-each": limit()}), mode="act")
    first, second = desk.ask(on(1, HOUR)), desk.ask(on(2, HOUR + 1))
    desk.answer(first, "maria", 2 * HOUR)
    desk.answer(second, "maria", 3 * HOUR)
    assert len(desk.of("action")) == 1
    (refused,) = desk.of("approval.refused")
    assert refused["reason"] == "stale"
    assert "Guardrail one-each: 1 of 1 actions" in refused["detail"]
    assert desk.ended == ["granted", "withdrawn"]


def test_consent_to_pass_over_one_guardrail_is_none_for_another(tmp_path: Path) -> None:
    soft = {"then": "approve", "owner": "team-b"}
    loaded = bundle(tmp_path, **{"one": limit(most=1, **soft), "two": limit(most=2, **soft)})
    desk = Desk(loaded, mode="act")
    desk.feed(on(1, HOUR))
    second, third = desk.ask(on(2, 2 * HOUR)), desk.ask(on(3, 2 * HOUR + 1))
    assert second["action"]["overrules"] == third["action"]["overrules"] == ["one"]
    desk.answer(second, "maria", 3 * HOUR)
    desk.answer(third, "maria", 4 * HOUR)
    (refused,) = desk.of("approval.refused")
    assert refused["differences"] == [{"name": "guardrails", "asked": ["one"], "now": ["one", "two"]}]
    assert "Guardrail two" in refused["detail"]
    again = desk.of("approval.requested")[-1]
    assert again["action"]["overrules"] == ["one", "two"]
    desk.feed(event_of(signed(again, "maria", 5 * HOUR), 5 * HOUR))
    assert len(desk.of("action")) == 3


def test_what_is_only_recommended_or_done_about_a_cause_counts_for_no_customer(tmp_path: Path) -> None:
    desk = Desk(bundle(tmp_path, **{"one-each": limit()}), mode="recommend")
    desk.feed(on(1, HOUR), on(2, 2 * HOUR))
    state = desk.stage.group.state_of("c1")
    assert state is not None
    assert state.acts == []
    desk = Desk(bundle(tmp_path, **{"one-each": limit()}), mode="act")
    desk.feed(on(1, HOUR, customer=""), on(2, 2 * HOUR, customer=""))
    assert outcomes(desk) == ["act", "act"]


def test_a_log_that_is_full_lets_nothing_pass(tmp_path: Path) -> None:
    loaded = bundle(tmp_path, many=limit(most=1000))
    acts = [Act(HOUR, str(number), "notify", 0) for number in range(ACTS_MAX)]
    assert judge(loaded.guardrails, "notify", 0, acts[1:], HOUR) == []
    (held,) = judge(loaded.guardrails, "notify", 0, acts, HOUR)
    assert "and no more; team-g may change that" in held.why
    turn = {"description": "d", "of": {"remedies": ["credit"]}}
    loaded = guarded(tmp_path / "other", sequences={"credit-then-quiet": AFTER}, turns={"one": turn})
    for remedy, name in (("notify", "credit-then-quiet"), ("credit", "one")):
        # What must not be followed on, or is under way still, may have been forgotten.
        assert [each.guardrail for each in judge(loaded.guardrails, remedy, 0, acts, 2 * HOUR)] == [name]
    assert judge(loaded.guardrails, "ticket", 0, acts, 2 * HOUR) == []


def test_an_action_that_a_limit_of_all_speaks_of_goes_to_the_guard_and_any_other_is_released(tmp_path: Path) -> None:
    rules = rule("ticket", "severity == 'high'", "act", "ticket"), NOTIFY
    loaded = bundle(tmp_path, *rules, every=limit(per="all", of={"contacts_customer": True}))
    desk = Desk(loaded, mode="act")
    made = desk.stage.feed([on(1, HOUR), on(2, 2 * HOUR, severity="high")], DAY)
    actions = [(to, event.type) for to, event in made if event.type.startswith("action")]
    assert actions == [(GUARD, "action.proposed"), (RELEASE, "action")]


def test_a_candidate_in_shadow_looks_as_far_back_as_its_own_guardrails_and_holds_back_nothing(tmp_path: Path) -> None:
    live = bundle(tmp_path / "live")
    beside = bundle(tmp_path / "beside", **{"one-each": limit()})
    stage = Stage(CaseLogic(Decider(Versions((live,)), "act", beside), CaseSettings()))
    made = stage.feed([on(1, HOUR), on(2, 2 * HOUR)], DAY)
    told = {kind: [event.data["outcome"] for _, event in made if event.type == kind] for kind in ("decision", "shadow")}
    assert told == {"decision": ["act", "act"], "shadow": ["act", "recommend"]}


def test_what_only_a_candidate_remembers_bears_on_no_decision(tmp_path: Path) -> None:
    short, long = limit(most=1000, within="1h"), limit(most=1000, within="30d")
    live, beside = (bundle(tmp_path / name, many=given) for name, given in (("live", short), ("beside", long)))
    orders = [on(number, number * HOUR) for number in range(ACTS_MAX + 1)]
    stage = Stage(CaseLogic(Decider(Versions((live,)), "act", beside), CaseSettings()))
    made = stage.feed(orders, (ACTS_MAX + 1) * HOUR)
    assert {event.data["outcome"] for _, event in made if event.type == "decision"} == {"act"}
    assert [event.data["outcome"] for _, event in made if event.type == "shadow"][-1] == "recommend"


def test_state_of_before_has_done_nothing() -> None:
    assert CaseState().acts == []


def told_of(action: dict[str, Any], at: int, state: str, seq: int = 1) -> Event:
    data = {"action_id": action["action_id"], "case_id": action["case_id"], "verdict": None, "seq": seq, "state": state}
    return Event(at, f"o{at}", "c1", "action.outcome", data, "outcomes/0", at)


def test_what_is_refused_when_its_case_has_begun_something_else_since_counts_no_more(tmp_path: Path) -> None:
    """As whatever comes too late to be carried out is."""
    rules = rule("ticket", "severity == 'high'", "act", "ticket"), NOTIFY
    desk = Desk(bundle(tmp_path, *rules, **{"one-each": limit(of={"contacts_customer": True})}), mode="act")
    desk.feed(on(1, HOUR), on(2, 2 * HOUR), on(1, 6 * HOUR, severity="high", occurrence="2"))
    first, second = desk.of("action")
    assert (first["remedy"], second["remedy"]) == ("notify", "ticket")
    desk.feed(told_of(first, 7 * HOUR, "refused"))
    assert len(desk.of("outcome.ignored")) == 1
    assert [(each["at"], each["entity"]) for each in desk.of("action")][2:] == [(7 * HOUR, "order:2")]


def test_what_was_told_to_be_over_is_not_refused_afterwards(tmp_path: Path) -> None:
    desk = Desk(bundle(tmp_path, **{"one-each": limit()}), mode="act")
    desk.feed(on(1, HOUR), on(2, 2 * HOUR))
    (first,) = desk.of("action")
    desk.feed(told_of(first, 3 * HOUR, "verified"), told_of(first, 3 * HOUR + 1, "refused", 2))
    assert len(desk.of("action")) == 1


def test_an_action_under_way_is_waited_for_although_its_case_is_over(tmp_path: Path) -> None:
    turn = {"description": "d", "of": {"contacts_customer": True}}
    desk = Desk(guarded(tmp_path, turns={"one": turn}), mode="act")
    desk.feed(on(1, HOUR), until=2 * HOUR)
    (first,) = desk.of("action")
    end = on(1, 2 * HOUR, resolves=True, occurrence="once until now")
    desk.feed(end, until=3 * HOUR)
    state = desk.stage.group.state_of("c1")
    assert state is not None
    assert state.open == {}
    state.closed.clear()  # as a day later
    desk.feed(told_of(first, 4 * HOUR, "dispatched"), on(2, 6 * HOUR), until=7 * HOUR)
    assert len(desk.of("action")) == 1
    desk.feed(told_of(first, 8 * HOUR, "verified", 2), until=9 * HOUR)
    assert [each["entity"] for each in desk.of("action")] == ["order:1", "order:2"]


AFTER = {"description": "d", "after": {"remedies": ["credit"]}, "forbids": {"remedies": ["notify"]}, "within": "2d"}
CREDIT = rule("credit", "money_at_risk >= 50.0", "approve", "credit")


def guarded(folder: Path, *rules: dict[str, Any], **sections: Any) -> Bundle:
    return bundle_of(folder, *(rules or (NOTIFY,)), guardrails=sections)


@pytest.mark.parametrize(("at", "held"), [(HOUR, True), (HOUR + 2 * DAY - 1, True), (HOUR + 2 * DAY, False)])
def test_what_must_not_follow_on_something_does_not_until_the_span_is_over(at: int, held: bool, tmp_path: Path) -> None:
    loaded = guarded(tmp_path, sequences={"credit-then-quiet": AFTER})
    acts = [Act(0, "0", "credit", 0), Act(HOUR, "a", "credit", 0), Act(at, "b", "ticket", 0)]
    found = judge(loaded.guardrails, "notify", 0, acts, at)
    assert [(each.guardrail, each.free_at) for each in found] == (
        [("credit-then-quiet", HOUR + 2 * DAY)] if held else []
    )
    assert judge(loaded.guardrails, "ticket", 0, acts, at) == []
    assert all("1970-01-01T01:00:00Z, until 1970-01-03T01:00:00Z; team-a may change that" in each.why for each in found)


def test_of_many_actions_the_one_that_is_under_way_is_not_forgotten(tmp_path: Path) -> None:
    turn = {"description": "d", "of": {"contacts_customer": True}}
    rules = rule("ticket", "severity == 'high'", "act", "ticket"), NOTIFY
    remembers = limit(within="2h", of={"remedies": ["credit"]})
    desk = Desk(guarded(tmp_path, *rules, turns={"one": turn}, limits={"credits": remembers}), mode="act")
    desk.feed(on(0, HOUR), until=2 * HOUR)
    state = desk.stage.group.state_of("c1")
    assert state is not None
    state.acts[0].until = 30 * HOUR  # it was heard of
    state.acts += [Act(2 * HOUR + number, f"t{number}", "ticket", 0) for number in range(ACTS_MAX - 1)]
    desk.feed(on(1, 3 * HOUR, severity="high"), until=4 * HOUR)
    assert len(desk.of("action")) == 2
    desk.feed(on(2, 5 * HOUR), until=6 * HOUR)
    assert "the remedy notify for this customer is still being carried out" in desk.of("decision")[-1]["reason"]


def test_in_a_freeze_nothing_is_done_and_afterwards_what_still_helps_is(tmp_path: Path) -> None:
    frozen = {"description": "d", "begins": "1970-01-01T00:00:00Z", "ends": "1970-01-01T12:00:00Z", "owner": "team-f"}
    desk = Desk(guarded(tmp_path, freezes={"release": frozen}), mode="act")
    desk.feed(on(1, HOUR), on(2, 2 * HOUR))
    assert outcomes(desk) == ["recommend", "recommend"]
    assert (
        "nothing of the kind is done now, until 1970-01-01T12:00:00Z; team-f may change"
        in (desk.of("decision")[0]["reason"])
    )
    desk.stage.restart()
    desk.feed(until=DAY)
    assert [(each["at"], each["entity"]) for each in desk.of("action")] == [
        (DAY // 2, "order:1"),
        (DAY // 2, "order:2"),
    ]


def test_a_freeze_lets_pass_what_it_allows_and_holds_for_what_is_done_about_causes_too(tmp_path: Path) -> None:
    frozen = {"description": "d", "begins": "1970-01-01T00:00:00Z", "allows": {"remedies": ["ticket"]}}
    guardrails = guarded(tmp_path, freezes={"release": frozen}).guardrails
    assert [each.free_at for each in judge(guardrails, "notify", 0, None, HOUR)] == [None]
    assert judge(guardrails, "ticket", 0, None, HOUR) == []


def test_one_is_done_for_a_customer_after_the_other_the_most_urgent_first(tmp_path: Path) -> None:
    turn = {"description": "d", "of": {"contacts_customer": True}}
    desk = Desk(guarded(tmp_path, turns={"one": turn}), mode="act")
    desk.feed(on(1, HOUR), on(2, HOUR, severity="high"), on(3, HOUR, severity="critical"), until=2 * HOUR)
    assert [(each["at"], each["entity"]) for each in desk.of("action")] == [(HOUR + 1, "order:3")]
    held = [each for each in desk.of("decision") if each["outcome"] == "recommend"]
    assert len(held) == 2
    assert "the remedy notify for this customer is still being carried out" in held[0]["reason"]
    desk.stage.restart()
    desk.feed(until=2 * DAY)
    assert [(each["at"], each["entity"]) for each in desk.of("action")] == [
        (HOUR + 1, "order:3"),
        (5 * HOUR + 1, "order:2"),
        (9 * HOUR + 1, "order:1"),
    ]


def test_the_next_has_its_turn_when_it_is_told_that_the_one_before_is_over(tmp_path: Path) -> None:
    turn = {"description": "d", "of": {"contacts_customer": True}}
    desk = Desk(guarded(tmp_path, turns={"one": turn}), mode="act")
    desk.feed(on(1, HOUR), on(2, HOUR + 2), until=2 * HOUR)
    (first,) = desk.of("action")
    told = {"action_id": first["action_id"], "case_id": first["case_id"], "verdict": None, "seq": 1}
    desk.feed(Event(2 * HOUR, "o1", "c1", "action.outcome", told | {"state": "dispatched"}, "outcomes/0", 1))
    assert len(desk.of("action")) == 1
    done = told | {"state": "verified", "verdict": "verified", "seq": 2}
    desk.feed(Event(3 * HOUR, "o2", "c1", "action.outcome", done, "outcomes/0", 2), until=4 * HOUR)
    assert [(each["at"], each["entity"]) for each in desk.of("action")][1:] == [(3 * HOUR + 1, "order:2")]


@pytest.mark.parametrize("ids", ["abc", "acb", "bac", "bca", "cab", "cba"])
def test_at_one_instant_the_most_urgent_is_next_whatever_came_first(ids: str, tmp_path: Path) -> None:
    turn = {"description": "d", "of": {"contacts_customer": True}}
    desk = Desk(guarded(tmp_path, turns={"one": turn}), mode="act")
    desk.feed(on(1, HOUR), until=2 * HOUR)
    (first,) = desk.of("action")
    low, high = on(2, 3 * HOUR), on(3, 3 * HOUR, severity="critical")
    events = zip((low, told_of(first, 3 * HOUR, "verified"), high), ids, strict=True)
    desk.feed(*(msgspec.structs.replace(event, id=identity) for event, identity in events), until=4 * HOUR)
    assert [(each["at"], each["entity"]) for each in desk.of("action")][1:] == [(3 * HOUR + 1, "order:3")]


def test_what_was_refused_counts_no_more_and_is_shown_to_a_person(tmp_path: Path) -> None:
    desk = Desk(bundle(tmp_path, **{"one-each": limit()}), mode="act")
    desk.feed(on(1, HOUR), on(2, 2 * HOUR))
    (first,) = desk.of("action")
    told = {"action_id": first["action_id"], "case_id": first["case_id"], "verdict": None, "seq": 1, "state": "refused"}
    desk.feed(Event(3 * HOUR, "o1", "c1", "action.outcome", told, "outcomes/0", 1))
    assert [each["entity"] for each in desk.of("action")] == ["order:1", "order:2"]
    assert [each["outcome"] for each in desk.of("decision") if each["case_id"] == first["case_id"]] == [
        "act",
        "recommend",
    ]
