from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from config.clock import DAY, HOUR
from config.errors import RecoveryError
from config.events import RELEASE, Event
from config.findings import Finding
from config.policies.versions import load_policy
from operators.case import case_id, fold, priority
from operators.cases import CaseLogic, CaseSettings
from operators.decide import Decider
from tests.support.findings import Stage, end_of, finding, fleet_finding, process

SETTINGS = CaseSettings(
    case_ttl=timedelta(days=10), memory_ttl=timedelta(days=5), contact_window=timedelta(days=3), dedupe_ttl=timedelta(0)
)


def logic(mode: Any = "recommend") -> CaseLogic:
    return CaseLogic(Decider(load_policy(), mode), SETTINGS)


def events(*findings: Finding, key: str = "c1") -> list[Event]:
    return [found.event(key) for found in findings]


def of_type(emitted: Iterable[tuple[str, Event]], prefix: str) -> list[Event]:
    return [event for _, event in emitted if event.type.startswith(prefix)]


def rows(emitted: Iterable[tuple[str, Event]]) -> dict[str, dict[str, Any]]:
    changes: dict[str, list[dict[str, Any]]] = {}
    for number, event in ((e.data["seq"], e) for e in of_type(emitted, "case.")):
        history = changes.setdefault(event.data["case_id"], [])
        history.append(event.data["change"])
        assert number == len(history)
    return {name: fold(history) for name, history in changes.items()}


def link(cause: str, opening: str, at: int) -> Event:
    return Event(at, f"link {cause} {opening} {at}", "c1", "link", {"cause": cause, "opening": opening})


def test_finding_opens_a_case_and_releases_finding_case_and_decision_in_this_order() -> None:
    found = finding(at=HOUR, harm_at=25 * HOUR, money_at_risk=100.0)
    emitted = process(logic(), events(found), until=2 * HOUR)
    assert [(to, event.type) for to, event in emitted] == [
        (RELEASE, "finding"),
        (RELEASE, "case.opened"),
        (RELEASE, "decision"),
    ]
    assert {event.key for _, event in emitted} == {"c1"}
    assert Finding.of(emitted[0][1]) == found
    opened, decision = emitted[1][1], emitted[2][1]
    identity = case_id("c1", found.finding_id)
    assert opened.data["case_id"] == decision.data["case_id"] == identity
    assert fold([opened.data["change"]]) == {
        "correlation_key": "c1",
        "agent": "fulfilment",
        "kind": "order.promise_at_risk",
        "entity": "order:1",
        "customer": "c1",
        "parent_case": "",
        "status": "open",
        "severity": "medium",
        "confidence": 0.8,
        "priority": 1.32,
        "money_at_risk": 100.0,
        "harm_at": 25 * HOUR,
        "opened_at": HOUR,
        "updated_at": HOUR,
        "resolved_at": None,
        "lead_us": 24 * HOUR,
        "findings": 1,
        "source_families": 1,
        "reopened": 0,
        "held": False,
        "reason": "It will be late.",
        "decision": "recommend",
        "decision_id": decision.id,
    }


def test_same_finding_again_changes_nothing() -> None:
    found = finding(at=HOUR)
    again = finding(at=2 * HOUR, finding_id=found.finding_id)
    assert len(process(logic(), events(found, again), until=DAY)) == 3


def test_same_finding_again_after_its_case_was_resolved_changes_nothing() -> None:
    found = finding(at=HOUR)
    emitted = process(
        logic(), events(found, end_of(found, 2 * HOUR), finding(at=3 * HOUR, finding_id=found.finding_id)), until=DAY
    )
    assert [event.type for event in of_type(emitted, "case.")] == ["case.opened", "case.resolved"]


def test_further_finding_on_the_same_order_updates_its_case() -> None:
    first = finding(at=HOUR, harm_at=3 * DAY)
    worse = finding(at=2 * HOUR, kind="order.promise_passed", severity="high", confidence=0.9, reason="It is late.")
    emitted = process(logic(), events(first, worse), until=DAY)
    (row,) = rows(emitted).values()
    assert (row["kind"], row["severity"], row["confidence"], row["findings"]) == (
        "order.promise_passed",
        "high",
        0.9,
        2,
    )
    assert (row["harm_at"], row["opened_at"], row["updated_at"], row["reason"]) == (
        3 * DAY,
        HOUR,
        2 * HOUR,
        "It is late.",
    )
    assert len(of_type(emitted, "decision")) == 2
    update = of_type(emitted, "case.updated")[0].data["change"]
    assert "entity" not in update
    assert "opened_at" not in update


def test_later_finding_of_the_same_kind_takes_the_place_of_the_earlier() -> None:
    emitted = process(
        logic(),
        events(
            finding(at=1, severity="high", occurrence="a"),
            finding(at=2, severity="low", confidence=0.6, occurrence="b"),
        ),
        until=DAY,
    )
    (row,) = rows(emitted).values()
    assert (row["severity"], row["confidence"], row["findings"]) == ("low", 0.6, 2)


def test_findings_on_two_orders_make_two_cases() -> None:
    emitted = process(logic(), events(finding(at=1), finding(at=2, entity="order:2")), until=DAY)
    assert {row["entity"] for row in rows(emitted).values()} == {"order:1", "order:2"}
    assert of_type(emitted, "decision")[1].data["facts"]["open_cases"] == 2


def test_case_is_resolved_when_all_its_findings_are() -> None:
    risk, passed = finding(at=1), finding(at=2, kind="order.promise_passed", severity="high")
    stage = Stage(logic())
    emitted = stage.feed(events(risk, passed, end_of(passed, 3)), until=5)
    (row,) = rows(emitted).values()
    assert (row["status"], row["severity"], row["findings"]) == ("open", "medium", 2)
    resolved = of_type(stage.feed(events(end_of(risk, 5)), until=6), "case.")
    assert [event.type for event in resolved] == ["case.resolved"]
    assert resolved[0].data["change"] == {
        "status": "resolved",
        "resolved_at": 5,
        "updated_at": 5,
        "reason": "It is over.",
    }


@pytest.mark.parametrize("order", ["1", "2", "3", "4"])
def test_what_one_instant_ends_is_not_decided_about_in_between(order: str) -> None:
    entity, features = f"order:{order}", {"expected_at": DAY}
    risk = finding(at=1, entity=entity, features=features)
    passed = finding(at=2, entity=entity, kind="order.promise_passed", severity="high")
    stage = Stage(logic())
    told = stage.feed(events(risk, passed), until=4)
    assert [event.data["remedy"] for event in of_type(told, "decision")] == ["notify_new_date", "open_ticket"]
    emitted = stage.feed(events(end_of(risk, 5), end_of(passed, 5)), until=9)
    assert of_type(emitted, "decision") == []
    assert of_type(emitted, "case.")[-1].type == "case.resolved"


def test_what_is_left_of_a_case_is_decided_about_a_moment_after_a_part_of_it_ended() -> None:
    risk, passed = finding(at=1), finding(at=2, kind="order.promise_passed", severity="high")
    stage = Stage(logic("act"))
    stage.feed(events(risk, passed), until=4)
    emitted = stage.feed(events(end_of(passed, 5)), until=9)
    (decision,) = of_type(emitted, "decision")
    assert (decision.at, decision.data["facts"]["kind"]) == (6, "order.promise_at_risk")
    assert of_type(emitted, "case.")[-1].data["change"]["decision_id"] == decision.id


def test_end_of_a_finding_that_is_not_open_resolves_nothing() -> None:
    stage = Stage(logic())
    other = finding(kind="order.promise_passed")
    emitted = stage.feed(events(finding(at=1), end_of(other, 2)), until=3)
    assert [event.type for event in of_type(emitted, "case.")] == ["case.opened"]
    assert len(of_type(emitted, "finding")) == 2


def test_end_of_an_unknown_finding_is_released_once_and_leaves_no_state() -> None:
    settings = CaseSettings(dedupe_ttl=timedelta(hours=1))
    stage = Stage(CaseLogic(Decider(load_policy()), settings))
    end = end_of(finding(), 2)
    assert [event.type for _, event in stage.feed(events(end, end), until=3)] == ["finding"]
    stage.feed([], until=HOUR + 3)
    assert stage.group.keys == 0


def test_finding_soon_after_the_case_was_resolved_opens_it_again() -> None:
    first, second = finding(at=1), finding(at=3, kind="order.promise_passed", severity="high", occurrence="again")
    emitted = process(logic(), events(first, end_of(first, 2), second), until=4)
    assert [event.type for event in of_type(emitted, "case.")] == ["case.opened", "case.resolved", "case.reopened"]
    assert of_type(emitted, "case.")[2].data["change"]["resolved_at"] is None
    (row,) = rows(emitted).values()
    assert (row["status"], row["reopened"], row["findings"], row["opened_at"]) == ("open", 1, 2, 1)
    assert [event.data["facts"]["reopened"] for event in of_type(emitted, "decision")] == [0, 1]


def test_case_that_is_opened_again_does_nothing_that_it_has_done() -> None:
    harm = {"kind": "order.promise_passed", "severity": "high", "confidence": 0.95}
    first, second = finding(at=1, **harm), finding(at=3 * HOUR, occurrence="again", **harm)
    emitted = process(logic("act"), events(first, end_of(first, 2 * HOUR), second), until=DAY)
    assert len(of_type(emitted, "action")) == 1


def test_finding_long_after_the_case_was_resolved_opens_another_case() -> None:
    first, second = finding(at=1), finding(at=3 + HOUR, occurrence="again")
    settings = CaseSettings(reopen_within=timedelta(hours=1))
    emitted = process(
        CaseLogic(Decider(load_policy()), settings), events(first, end_of(first, 2), second), until=2 * HOUR
    )
    found = rows(emitted)
    assert list(found) == [case_id("c1", first.finding_id), case_id("c1", second.finding_id)]
    assert [(row["status"], row["reopened"]) for row in found.values()] == [("resolved", 0), ("open", 0)]


def test_finding_after_a_case_has_expired_opens_another_case() -> None:
    emitted = process(logic(), events(finding(at=0), finding(at=10 * DAY + 1, occurrence="again")), until=11 * DAY)
    assert [row["status"] for row in rows(emitted).values()] == ["resolved", "open"]


@pytest.mark.parametrize("end_first", [True, False])
def test_finding_that_ends_as_it_begins_leaves_no_open_case(end_first: bool) -> None:
    found = finding(at=1, finding_id="m")
    end = end_of(found, 1, finding_id="a" if end_first else "z")
    emitted = process(logic(), events(found, end), until=2)
    assert [event.type for event in of_type(emitted, "case.")] == ["case.opened", "case.resolved"]


@pytest.mark.parametrize("end_first", [True, False])
def test_end_of_one_finding_does_not_end_the_next_that_begins_at_that_instant(end_first: bool) -> None:
    first, second = finding(at=1, occurrence="a"), finding(at=2, occurrence="b", finding_id="m")
    end = end_of(first, 2, finding_id="a" if end_first else "z")
    (row,) = rows(process(logic(), events(first, second, end), until=3)).values()
    assert (row["status"], row["reopened"], row["findings"]) == ("open", 0, 2)


def test_evidence_of_other_sources_adds_up_and_of_the_same_does_not() -> None:
    emitted = process(
        logic(),
        events(
            finding(at=1, confidence=0.6),
            finding(at=2, confidence=0.5, kind="order.ship_by_missed"),
            finding(at=3, confidence=0.5, kind="order.complaint_likely", agent="experience"),
        ),
        until=4,
    )
    facts = [event.data["facts"] for event in of_type(emitted, "decision")]
    assert [each["confidence"] for each in facts] == [0.6, 0.6, 0.8]
    assert [each["kind_confidence"] for each in facts] == [0.6, 0.6, 0.6]
    assert [each["source_families"] for each in facts] == [1, 1, 2]


def test_case_expires_after_its_time_to_live_counted_from_the_harm() -> None:
    stage = Stage(logic())
    stage.feed(events(finding(at=0, harm_at=2 * DAY)), until=12 * DAY)
    expired = stage.feed([], until=12 * DAY + 1)
    assert [event.type for _, event in expired] == ["case.resolved"]
    assert expired[0][1].at == 12 * DAY
    assert expired[0][1].data["change"]["reason"].startswith("Expired")


def test_resolved_case_is_forgotten_after_a_while() -> None:
    stage = Stage(logic())
    found = finding(at=0)
    stage.feed(events(found, end_of(found, 1)), until=5 * DAY)
    assert stage.group.keys == 1
    stage.feed([], until=5 * DAY + 2)
    assert stage.group.keys == 0
    assert stage.group.open_timers == 0


def test_priority_is_harm_times_urgency_times_confidence() -> None:
    assert priority("high", 0.0, 1.0, 0, now=0) == 10.0
    assert priority("high", 1_000.0, 0.5, 0, now=5) == 10.0
    assert priority("high", 99_000.0, 0.5, 0, now=5) == 10.0
    assert priority("low", 0.0, 1.0, 24 * HOUR, now=0) == 0.5
    assert priority("low", 0.0, 1.0, 72 * HOUR, now=0) == 0.25
    assert priority("low", 0.0, 1.0, None, now=0) == 0.5


@pytest.mark.parametrize("link_first", [True, False])
def test_case_of_a_customer_becomes_part_of_the_case_of_its_cause(link_first: bool) -> None:
    told, found = link("lane:SP-RJ", "opening", 1 if link_first else 3), finding(at=2, causes=["lane:SP-RJ"])
    other = finding(at=2, entity="order:2", causes=["lane:SP-BA"])
    emitted = process(logic(), [told, *events(found, other)], until=DAY)
    by_entity = {row["entity"]: row for row in rows(emitted).values()}
    assert by_entity["order:1"]["parent_case"] == case_id("lane:SP-RJ", "opening")
    assert by_entity["order:2"]["parent_case"] == ""


def test_cases_opened_after_the_end_of_the_cause_are_not_part_of_it() -> None:
    emitted = process(
        logic(),
        [
            link("lane:SP-RJ", "opening", 1),
            *events(finding(at=2, causes=["lane:SP-RJ"])),
            link("lane:SP-RJ", "", 3),
            *events(finding(at=4, entity="order:2", causes=["lane:SP-RJ"])),
            *events(finding(at=5, kind="order.promise_passed", causes=["lane:SP-RJ"])),
        ],
        until=DAY,
    )
    by_entity = {row["entity"]: row["parent_case"] for row in rows(emitted).values()}
    assert by_entity == {"order:1": case_id("lane:SP-RJ", "opening"), "order:2": ""}


def test_fan_out_findings_of_two_causes_resolve_apart() -> None:
    def touched(cause: str, at: int) -> Finding:
        return fleet_finding(
            kind="customer.touched_by_outage",
            entity="customer:c1",
            customer="c1",
            occurrence=cause,
            at=at,
            causes=[cause],
            features={"cause": cause, "opening_finding": f"opening {cause}"},
        )

    first, second = touched("service:a", 1), touched("service:b", 2)
    stage = Stage(logic())
    (row,) = rows(stage.feed(events(first, second, end_of(first, 3, features={"cause": "service:a"})), 5)).values()
    assert row["status"] == "open"
    assert row["parent_case"] == case_id("service:a", "opening service:a")
    done = stage.feed(events(end_of(second, 5, features={"cause": "service:b"})), 6)
    assert [event.type for event in of_type(done, "case.")] == ["case.resolved"]


def test_case_of_a_cause_is_opened_by_the_finding_that_opened_its_episode() -> None:
    found = fleet_finding(at=1, features={"opening_finding": "told"})
    emitted = process(logic(), events(found, key="service:checkout"), until=2)
    assert list(rows(emitted)) == [case_id("service:checkout", "told")]


def test_case_of_a_cause_is_opened_again_exactly_when_its_episode_goes_on() -> None:
    first = fleet_finding(at=1, features={"opening_finding": "told"})
    again = fleet_finding(at=3, occurrence="b", features={"opening_finding": "told"})
    other = fleet_finding(at=5, occurrence="c", features={"opening_finding": "other"})
    emitted = process(
        logic(), events(first, end_of(first, 2), again, end_of(again, 4), other, key="service:checkout"), until=6
    )
    found = rows(emitted)
    assert list(found) == [case_id("service:checkout", name) for name in ("told", "other")]
    assert [(row["status"], row["reopened"]) for row in found.values()] == [("resolved", 1), ("open", 0)]


def test_action_is_emitted_once_per_case_and_remedy() -> None:
    harm = {"kind": "order.promise_passed", "severity": "high", "confidence": 0.95}
    emitted = process(
        logic("act"),
        events(
            finding(at=1, **harm), finding(at=2, occurrence="b", **harm), finding(at=3 * DAY, occurrence="c", **harm)
        ),
        until=4 * DAY,
    )
    (action,) = of_type(emitted, "action")
    assert (action.data["remedy"], action.data["target"]) == ("open_ticket", "crm:order:1")
    assert action.id == action.data["action_id"]
    decisions = of_type(emitted, "decision")
    assert [event.data["outcome"] for event in decisions] == ["act", "observe", "observe"]
    assert decisions[1].data["rule"] == "guards/busy"
    assert "to be done before" in decisions[2].data["reason"]


def test_message_about_one_order_counts_as_contact_for_the_next_within_the_window() -> None:
    features = {"expected_at": "1970-01-20T00:00:00Z"}
    emitted = process(
        logic("act"),
        events(
            finding(at=1, confidence=0.95, features=features),
            finding(at=DAY, entity="order:2", confidence=0.95, features=features),
            finding(at=5 * DAY, entity="order:3", confidence=0.95, features=features),
        ),
        until=6 * DAY,
    )
    decisions = [event.data for event in of_type(emitted, "decision")]
    assert [decision["facts"]["contacts_30d"] for decision in decisions] == [0, 1, 0]
    assert [decision["outcome"] for decision in decisions] == ["act", "recommend", "act"]
    assert decisions[1]["nearly"] == ["fulfilment/tell-new-date"]


def test_message_about_an_order_is_no_contact_for_its_own_case() -> None:
    given = {"confidence": 0.75, "features": {"expected_at": "1970-01-20T00:00:00Z"}}
    emitted = process(logic(), events(finding(at=1, **given), finding(at=2, occurrence="b", **given)), until=DAY)
    facts = [event.data["facts"] for event in of_type(emitted, "decision")]
    assert [each["contacts_30d"] for each in facts] == [0, 0]


def test_harm_of_a_case_is_the_earliest_of_its_findings() -> None:
    emitted = process(
        logic(),
        events(finding(at=1, harm_at=5 * DAY), finding(at=2, kind="order.x", severity="high", harm_at=3 * DAY)),
        until=DAY,
    )
    (row,) = rows(emitted).values()
    assert (row["harm_at"], row["lead_us"]) == (3 * DAY, 3 * DAY - 1)


def test_state_survives_a_restart_between_any_two_events() -> None:
    first = finding(at=1, causes=["lane:SP-RJ"], features={"expected_at": "1970-01-20T00:00:00Z"})
    feed = [
        *events(first),
        link("lane:SP-RJ", "opening", 2),
        *events(finding(at=3, kind="order.promise_passed", severity="high"), end_of(first, 4)),
        *events(finding(at=5, entity="order:2")),
    ]
    unbroken = process(logic("act"), feed, until=30 * DAY)
    stage, broken = Stage(logic("act")), []
    for event in feed:
        broken += stage.feed([event], event.at + 1)
        stage.restart()
    broken += stage.feed([], 30 * DAY)
    assert broken == unbroken


def test_events_of_other_stages_are_refused() -> None:
    with pytest.raises(ValueError, match=r"order\.placed"):
        process(logic(), [Event(0, "x", "c1", "order.placed", {})])
    with pytest.raises(RecoveryError, match="version 0"):
        logic().migrate(0, None)
