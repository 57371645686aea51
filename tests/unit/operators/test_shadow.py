"""What is decided in shadow is recorded, and has no other effect whatsoever."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.agents.load import Budget
from config.clock import DAY, HOUR
from config.events import BROADCAST, RELEASE, Event
from config.findings import Finding
from config.policies.bundle import Bundle
from config.policies.load import load_default
from config.policies.modes import Entry
from config.policies.rules import Names
from config.policies.versions import Versions
from operators.case_state import CaseState
from operators.cases import CaseLogic, CaseSettings
from operators.cause import CauseLogic
from operators.decide import Decider
from operators.guard import GUARD
from tests.support.examples import examples
from tests.support.findings import Stage, end_of, finding, fleet_finding

BUNDLE = load_default()
NAMES = Names(BUNDLE.facts, {}, BUNDLE.remedies)
BUDGETS = {name: Budget(share=0.2, spare=0.5) for name in ("fulfilment", "fraud", "billing")}
UNTIL = 90 * DAY


def mode(of: Any, when: str = "", **given: str) -> Entry:
    segment = NAMES.condition("here", when)[0] if when else None
    fields = {"agent": "*", "kind": "*", "rule": "*"} | given
    return Entry(of, fields["agent"], fields["kind"], fields["rule"], segment, "for now", "risk-board")


def stage(*modes: Entry, bundle: Bundle = BUNDLE) -> Stage:
    policy = Versions((replace(bundle, modes=modes),))
    return Stage(CaseLogic(Decider(policy, "act"), CaseSettings(), budgets=BUDGETS))


def released(on: Stage, findings: list[Finding]) -> list[Event]:
    emitted = on.feed([each.event("c1") for each in findings], UNTIL)
    assert {to for to, _ in emitted} <= {RELEASE, GUARD}
    return [event for _, event in emitted]


def without_shadow(events: list[Event]) -> list[Event]:
    return [event for event in events if event.type != "shadow"]


def state_of(on: Stage, key: str = "c1") -> CaseState:
    return on.group.state_of(key) or CaseState()


def live(state: CaseState) -> CaseState:
    """Return a state without what shadow keeps for itself."""

    def plain(case: Any) -> Any:
        return msgspec.structs.replace(case, shadows=0, shadowed=[])

    return msgspec.structs.replace(
        state,
        apart=None,
        open={name: plain(case) for name, case in state.open.items()},
        closed={name: msgspec.structs.replace(c, case=plain(c.case)) for name, c in state.closed.items()},
    )


EXPECTED = {"expected_at": "1970-01-09T00:00:00Z"}
SURE = finding(at=DAY, confidence=0.95, severity="high", harm_at=3 * DAY, features=EXPECTED)


def test_alive_it_acts_counts_a_contact_has_a_plan_and_takes_budget() -> None:
    on = stage()
    events = on.feed([SURE.event("c1")], 2 * DAY)
    state = state_of(on)
    (case,) = state.open.values()
    assert [event.type for _, event in events] == [
        "finding",
        "case.opened",
        "case.updated",
        "decision",
        "action.proposed",
    ]
    assert (case.plan is not None, case.used, len(state.contacts)) == (True, ["notify_new_date"], 1)
    assert state_of(on, BROADCAST).budgets["fulfilment"].cases == 1


@pytest.mark.parametrize("rule", ["fulfilment/*", "*"])
def test_in_shadow_it_does_none_of_that_and_is_recorded_and_marked(rule: str) -> None:
    on = stage(mode("shadow", when="confidence > 0.5", rule=rule))
    events = [event for _, event in on.feed([SURE.event("c1")], 2 * DAY)]
    assert [event.type for event in events] == ["finding", "case.opened", "decision", "shadow"]
    decision, shadow = events[2].data, events[3].data
    assert (decision["outcome"], decision["rule"]) == (("observe", "none") if rule == "*" else ("recommend", "default"))
    assert (shadow["shadow"], shadow["outcome"], shadow["remedy"]) == (True, "act", "notify_new_date")
    assert (shadow["bundle"], shadow["facts"], shadow["case_id"]) == (
        BUNDLE.hash,
        decision["facts"],
        decision["case_id"],
    )
    assert events[3].id == shadow["shadow_id"] != decision["decision_id"]
    state = state_of(on)
    (case,) = state.open.values()
    assert (case.plan, case.used, state.contacts) == (None, [], {})
    spent = state_of(on, BROADCAST).budgets
    assert spent == {} if rule == "*" else spent["fulfilment"].cases == 1


def test_agent_in_shadow_opens_no_case_that_anybody_sees() -> None:
    on = stage(mode("shadow", agent="fulfilment"))
    events = [event for _, event in on.feed([SURE.event("c1")], 2 * DAY)]
    assert [event.type for event in events] == ["finding", "shadow"]
    assert events[1].data["outcome"] == "act"
    assert live(state_of(on)) == CaseState()
    assert state_of(on, BROADCAST) == CaseState()


def test_agent_that_is_off_is_not_even_recorded() -> None:
    on = stage(mode("off", agent="fulfilment"))
    assert [event.type for _, event in on.feed([SURE.event("c1")], 2 * DAY)] == ["finding"]


def test_shadow_is_recorded_again_only_when_it_says_something_else() -> None:
    on = stage(mode("shadow", when="confidence > 0.5"))
    worse = finding(at=2 * DAY, kind="order.promise_passed", confidence=0.95, severity="high")
    noted = finding(at=DAY + HOUR, kind="order.ship_by_missed", confidence=0.6, severity="low")
    ends = [end_of(noted, 3 * DAY), end_of(SURE, 4 * DAY), end_of(worse, 5 * DAY)]
    events = [event for event in released(on, [SURE, noted, worse, *ends]) if event.type == "shadow"]
    said = [(event.at // DAY, event.data["outcome"], event.data["remedy"]) for event in events]
    assert said == [(1, "act", "notify_new_date"), (1, "act", "notify_new_date"), (2, "act", "open_ticket")]
    assert len({event.id for event in events}) == len(said)


def test_what_was_found_alive_ends_alive_and_what_was_found_in_shadow_ends_there() -> None:
    shadowed = replace(BUNDLE, version="2", effective_from=2 * DAY, modes=(mode("shadow", agent="fulfilment"),))
    on = Stage(CaseLogic(Decider(Versions((BUNDLE, shadowed)), "act"), CaseSettings()))
    later = finding(at=2 * DAY, entity="order:2", occurrence="later")
    ends = [end_of(SURE, 3 * DAY), end_of(later, 3 * DAY)]
    events = [event for _, event in on.feed([each.event("c1") for each in (SURE, later, *ends)], 4 * DAY)]
    assert [event.type for event in events if event.type.startswith("case")] == [
        "case.opened",
        "case.updated",  # a moment later, with what was decided
        "case.resolved",
    ]
    state = state_of(on)
    assert state.apart is not None
    assert (state.open, state.apart.open) == ({}, {})


def test_what_is_kept_apart_is_forgotten_in_time_and_survives_a_restart() -> None:
    on = stage(mode("shadow", agent="fulfilment"))
    on.feed([SURE.event("c1")], 2 * DAY)
    assert on.group.keys == 1
    on.restart()
    worse = finding(at=2 * DAY, kind="order.promise_passed", confidence=0.95, severity="high")
    emitted = [event for _, event in on.feed([worse.event("c1")], 3 * DAY)]
    assert [event.type for event in emitted] == ["finding", "shadow"]
    assert emitted[1].data["facts"]["findings"] == 2
    on.feed([], UNTIL)
    assert on.group.keys == 0


FINDINGS = st.builds(
    finding,
    agent=st.sampled_from(["fulfilment", "fraud", "billing"]),
    kind=st.sampled_from(["order.promise_at_risk", "order.promise_passed", "account.takeover"]),
    entity=st.sampled_from(["order:1", "order:2"]),
    occurrence=st.sampled_from("abc"),
    at=st.integers(0, 40).map(lambda days: days * DAY),
    severity=st.sampled_from(["low", "high", "critical"]),
    confidence=st.sampled_from([0.3, 0.6, 0.8, 0.95]),
    harm_at=st.none() | st.integers(0, 50 * DAY),
    money_at_risk=st.sampled_from([0.0, 600.0]),
    features=st.fixed_dictionaries({}, optional={"expected_at": st.just("1970-03-03T00:00:00Z")}),
)
HISTORIES = st.lists(st.tuples(FINDINGS, st.none() | st.integers(1, 30)), max_size=14)


def told(history: list[tuple[Finding, int | None]]) -> list[Finding]:
    """Return each finding once, with the end of it where it has one."""
    known = {each.finding_id: (each, hours) for each, hours in history}
    ends = [end_of(each, each.at + hours * HOUR) for each, hours in known.values() if hours is not None]
    return [each for each, _ in known.values()] + ends


@given(HISTORIES)
@examples(60)
def test_job_with_an_agent_in_shadow_is_the_job_without_that_agent(history: list[tuple[Finding, int | None]]) -> None:
    findings = told(history)
    shadowed, absent = stage(mode("shadow", agent="fraud")), stage(mode("shadow", agent="fraud"))
    events = released(shadowed, findings)
    others = released(absent, [each for each in findings if each.agent != "fraud"])
    assert [event for event in without_shadow(events) if event.data.get("agent") != "fraud"] == others
    assert live(state_of(shadowed)) == state_of(absent)
    assert state_of(shadowed, BROADCAST) == state_of(absent, BROADCAST)


@given(HISTORIES, st.sampled_from([{"rule": "fulfilment/*"}, {"when": "money_at_risk > 500.0"}, {"rule": "*/chase"}]))
@examples(60)
def test_job_with_rules_or_a_segment_in_shadow_is_the_job_where_they_are_off(
    history: list[tuple[Finding, int | None]], given_: dict[str, str]
) -> None:
    findings = told(history)
    shadowed, off = stage(mode("shadow", **given_)), stage(mode("off", **given_))
    events, others = released(shadowed, findings), released(off, findings)
    assert [_unsaid(event) for event in without_shadow(events)] == [_unsaid(event) for event in others]
    assert live(state_of(shadowed)) == live(state_of(off))
    assert state_of(shadowed, BROADCAST) == state_of(off, BROADCAST)


def _unsaid(event: Event) -> Event:
    """Return an event without the name of the mode in its reason."""
    if event.type != "decision":
        return event
    data = event.data | {"reason": event.data["reason"].replace("mode shadow", "mode off")}
    return msgspec.structs.replace(event, data=data)


def causes(is_shadowed: bool) -> Stage:
    return Stage(CauseLogic(is_live=lambda agent, kind, now: not is_shadowed or agent != "outage"))


def test_fleet_finding_of_an_agent_in_shadow_is_passed_on_and_nobody_is_told_of_it() -> None:
    key = "service:checkout"
    touched = Event(2 * HOUR - 1, "t", key, "touched", {"customers": ["c1", "c2"]})
    found, end = fleet_finding(at=2 * HOUR), end_of(fleet_finding(at=2 * HOUR), 3 * HOUR)
    events = [touched, found.event(key), end.event(key)]
    assert {event.key for _, event in causes(False).feed(events, DAY)} == {key, "c1", "c2"}
    emitted = causes(True).feed(events, DAY)
    assert [(to, event.key, event.data["finding_id"]) for to, event in emitted] == [
        ("case", key, found.finding_id),
        ("case", key, end.finding_id),
    ]


def test_findings_of_an_agent_in_shadow_count_for_no_cause_and_leave_no_memory() -> None:
    def hurt(customer: int) -> Event:
        at = customer * HOUR
        by = finding(customer=f"c{customer}", entity=f"order:{customer}", at=at, agent="outage", causes=["lane:a"])
        return by.event("lane:a")

    events = [hurt(customer) for customer in range(40)]
    assert [event.data["kind"] for _, event in causes(False).feed(events, 2 * DAY) if event.type == "finding"] == [
        "lane.degraded"
    ]
    on = causes(True)
    assert on.feed(events, 2 * DAY) == []
    assert on.group.keys == 0


def test_no_cause_is_found_while_causes_are_in_shadow() -> None:
    by_lane = [
        finding(customer=f"c{n}", entity=f"order:{n}", at=n * HOUR, causes=["lane:a"]).event("lane:a")
        for n in range(40)
    ]
    on = Stage(CauseLogic(is_live=lambda agent, kind, now: (agent, kind) != ("cause", "lane.degraded")))
    assert on.feed(by_lane, 2 * DAY) == []
