from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from config.agents.load import AgentSource, load_manifests
from config.clock import DAY, HOUR, MINUTE
from config.errors import RecoveryError
from config.events import Event
from config.findings import Finding
from config.identity import short_hash
from config.policies.versions import load_policy
from operators.case import case_id
from operators.cases import CaseLogic, CaseSettings
from operators.cause import CauseLogic
from operators.cause_state import CauseSettings
from operators.decide import Decider
from operators.evidence import Sources
from operators.fan_in import FanIn, FanInSettings, Hurt
from tests.support.findings import Stage, end_of, finding, fleet_finding, process

LANE = FanInSettings(window=timedelta(days=1), customers_min=4, ratio=2.0, history_min=2)
SETTINGS = CauseSettings(
    fan_in={"lane": LANE},
    fan_out_max=5,
    touched_for=timedelta(minutes=10),
    touched_max=4,
    episode_max=timedelta(days=20),
    idle_ttl=timedelta(days=40),
    dedupe_ttl=timedelta(hours=1),
)
KEY = "service:checkout"


@pytest.fixture
def shop_sources() -> Sources:
    manifests = load_manifests()
    voice = msgspec.structs.replace(
        manifests["billing"],
        agent="experience",
        findings=["complaint.burst"],
        source=AgentSource(family="customer-voice"),
    )
    return Sources({"fulfilment": manifests["fulfilment"], "experience": voice})


def hurt(customer: str, at: int, key: str = "lane:SP-RJ", **given: Any) -> Event:
    found = finding(
        customer=customer, entity=f"order:{customer}", at=at, occurrence=str(at), causes=["lane:SP-RJ"], **given
    )
    return found.event(key)


def touched(at: int, *customers: str) -> Event:
    data = {"entity": KEY, "at": at - MINUTE, "until": at, "customers": list(customers)}
    return Event(at, f"touched {at}", KEY, "touched", data)


def findings(emitted: Iterable[tuple[str, Event]]) -> list[Finding]:
    return [Finding.of(event) for _, event in emitted if event.type == "finding"]


def links(emitted: Iterable[tuple[str, Event]]) -> list[tuple[str, str]]:
    return [(event.key, event.data["opening"]) for _, event in emitted if event.type == "link"]


def crowd(count: int, at: int, prefix: str = "c") -> list[Event]:
    return [hurt(f"{prefix}{number}", at + number) for number in range(count)]


# -- fan-in ------------------------------------------------------------------------------------------------------------


def test_many_customers_of_one_lane_become_one_fleet_finding() -> None:
    emitted = process(CauseLogic(SETTINGS), crowd(12, HOUR, "c"), until=2 * HOUR)
    (found,) = findings(emitted)
    assert (found.agent, found.kind, found.entity, found.customer) == ("cause", "lane.degraded", "lane:SP-RJ", "")
    # Nothing is known of what is usual yet, so twice the smallest number that could matter is asked for.
    assert found.evidence.features["customers"] == 8
    assert found.at == HOUR + 7
    assert "8 customers" in found.reason
    assert {to for to, _ in emitted} == {"case"}
    assert [event.key for _, event in emitted if event.type == "finding"] == ["lane:SP-RJ"]


def test_one_customer_with_many_findings_is_one_customer() -> None:
    assert process(CauseLogic(SETTINGS), [hurt("c1", at) for at in range(50)], until=HOUR) == []


def test_ends_of_findings_are_not_counted() -> None:
    feed = [
        Event(at, f"e{at}", "lane:SP-RJ", "finding", end_of(finding(customer=f"c{at}"), at).event("").data)
        for at in range(50)
    ]
    assert process(CauseLogic(SETTINGS), feed, until=HOUR) == []


def test_customers_of_a_fleet_finding_are_told_where_their_cases_belong() -> None:
    emitted = process(CauseLogic(SETTINGS), crowd(10, HOUR), until=2 * HOUR)
    opening = findings(emitted)[0].finding_id
    # Four of the eight, since at most five are told, and the next to come.
    assert links(emitted) == [(f"c{number}", opening) for number in range(5)]


def test_usual_rate_is_not_a_fleet_trouble_and_a_multiple_of_it_is() -> None:
    feed = [event for day in range(6) for event in crowd(3, day * DAY, f"d{day}-")]
    assert process(CauseLogic(SETTINGS), feed, until=6 * DAY) == []
    emitted = process(CauseLogic(SETTINGS), feed + crowd(9, 6 * DAY + HOUR, "x"), until=6 * DAY + 2 * HOUR)
    (found,) = findings(emitted)
    # Three a day are usual: six, twice as many, are not.
    assert found.evidence.features == {
        "customers": 6,
        "customers_usual": 3.0,
        "window_hours": 24.0,
        "sampling": 1,
        "counted_kind": "order.promise_at_risk",
        "opening_finding": found.finding_id,
    }
    assert found.severity == "medium"
    assert found.confidence == pytest.approx(0.5, abs=0.01)


def test_confidence_is_how_surely_the_usual_rate_did_not_bring_so_many() -> None:
    def sure(count: int, usual: float, learned: int) -> float:
        hurt = {f"c{n}": Hurt(0, 0.0, None) for n in range(count)}
        return FanIn(hurt, 0, usual, learned).confidence(SETTINGS.fan_in["lane"])

    assert 0.5 <= sure(6, 3.0, 6) < 0.6 < sure(9, 3.0, 6) < 0.97 < sure(12, 3.0, 6) <= 0.99
    assert sure(8, 2.0, 4) < sure(8, 2.0, 10)
    assert sure(8, 0.0, 6) == 0.99
    # Where nothing is known yet the least that counts is taken for usual.
    assert sure(6, 0.0, 0) < sure(12, 0.0, 0)


def test_fleet_finding_is_resolved_when_it_is_quiet_again() -> None:
    stage = Stage(CauseLogic(SETTINGS))
    (opened,) = findings(stage.feed(crowd(12, HOUR), until=2 * HOUR))
    assert findings(stage.feed([], until=DAY + HOUR)) == []
    emitted = stage.feed([], until=2 * DAY)
    (ended,) = findings(emitted)
    assert ended.resolves
    assert (ended.kind, ended.entity, ended.at) == (opened.kind, opened.entity, DAY + HOUR + 9)
    assert ended.finding_id != opened.finding_id
    assert links(emitted) == [(f"c{number}", "") for number in range(5)]


def test_each_episode_has_a_finding_of_its_own() -> None:
    feed = crowd(12, HOUR) + crowd(30, 10 * DAY)
    emitted = findings(process(CauseLogic(SETTINGS), feed, until=20 * DAY))
    assert [found.resolves for found in emitted] == [False, True, False, True]
    assert len({found.finding_id for found in emitted}) == 4


def test_trouble_without_end_becomes_the_usual() -> None:
    feed = [event for half_day in range(100) for event in crowd(8, half_day * DAY // 2, f"h{half_day}-")]
    emitted = findings(process(CauseLogic(SETTINGS), feed, until=50 * DAY))
    assert [found.resolves for found in emitted] == [False, True]
    assert emitted[1].at - emitted[0].at == 20 * DAY
    assert "usual now" in emitted[1].reason


def test_entity_without_a_fan_in_rule_is_only_linked() -> None:
    feed = [hurt(f"c{number}", number, key="product:1") for number in range(50)]
    assert process(CauseLogic(SETTINGS), feed, until=HOUR) == []


def test_count_is_estimated_beyond_the_bound_of_memory() -> None:
    settings = FanInSettings(window=timedelta(days=1), customers_min=1, customers_max=64)
    fan_in = FanIn()
    for number in range(2_000):
        fan_in.count(finding(customer=f"c{number}", money_at_risk=1.0), settings, number, learn=True)
        assert len(fan_in.customers) <= 64
    assert 1_400 < fan_in.customers_count < 2_600
    assert fan_in.money == fan_in.customers_count
    assert all(short_hash(customer) % (1 << fan_in.level) == 0 for customer in fan_in.customers)
    fan_in.expire(settings, 3 * DAY)
    assert (fan_in.customers_count, fan_in.level) == (0, 0)


def test_usual_count_decays_over_silent_spans() -> None:
    settings = FanInSettings(window=timedelta(days=1), customers_min=1)
    fan_in = FanIn()
    for day in range(5):
        for number in range(10):
            fan_in.count(finding(customer=f"c{day}-{number}"), settings, day * DAY + number, learn=True)
    assert fan_in.usual == pytest.approx(10)
    fan_in.count(finding(customer="late"), settings, 1_000 * DAY, learn=True)
    assert fan_in.usual < 5


# -- fan-out -----------------------------------------------------------------------------------------------------------


def test_fleet_finding_passes_to_its_own_case() -> None:
    found = fleet_finding(at=HOUR, features={"error_rate": 0.5})
    ((to, event),) = process(CauseLogic(SETTINGS), [found.event(KEY)], until=2 * HOUR)
    assert (to, event.key, event.id) == ("case", KEY, found.finding_id)
    assert Finding.of(event).evidence.features == {"error_rate": 0.5, "opening_finding": found.finding_id}


def test_customers_touched_shortly_before_are_told_once_each() -> None:
    found = fleet_finding(at=HOUR)
    feed = [
        touched(HOUR - 20 * MINUTE, "long-ago"),
        touched(HOUR - MINUTE, "b", "a"),
        found.event(KEY),
        touched(HOUR + MINUTE, "a", "c"),
        fleet_finding(at=HOUR + 2 * MINUTE, kind="service.failing", severity="critical").event(KEY),
        touched(HOUR + 3 * MINUTE, "d"),
    ]
    emitted = [event for _, event in process(CauseLogic(SETTINGS), feed, until=2 * HOUR)]
    told = [Finding.of(event) for event in emitted if event.key != KEY]
    assert [(found.customer, found.severity) for found in told] == [
        ("a", "high"),
        ("b", "high"),
        ("c", "high"),
        ("d", "critical"),
    ]
    first = told[0]
    assert (first.kind, first.agent, first.entity) == ("customer.touched_by_outage", "outage", "customer:a")
    assert (first.causes, first.harm_at, first.confidence) == ([KEY], HOUR, 0.95)
    assert first.evidence.features == {
        "cause": KEY,
        "opening_finding": found.finding_id,
        "fleet_finding": found.finding_id,
    }
    assert len({event.id for event in emitted}) == len(emitted)


def test_touched_customers_of_a_healthy_service_are_bounded_and_told_nothing() -> None:
    stage = Stage(CauseLogic(SETTINGS))
    assert (
        stage.feed([touched(minute * MINUTE, *(f"{minute}-{n}" for n in range(9))) for minute in range(9)], DAY) == []
    )
    state = stage.group.state_of(KEY)
    assert state is not None
    assert len(state.touched) == 4


def test_fan_out_is_bounded() -> None:
    feed = [fleet_finding(at=1).event(KEY), touched(2, *(f"c{number}" for number in range(9))), touched(3, "x")]
    emitted = findings(process(CauseLogic(SETTINGS), feed, until=HOUR))
    assert [found.customer for found in emitted] == ["", "c0", "c1", "c2", "c3", "c4"]


def test_end_of_the_last_fleet_finding_resolves_what_was_told() -> None:
    degraded, failing = fleet_finding(at=1), fleet_finding(at=2, kind="service.failing")
    stage = Stage(CauseLogic(SETTINGS))
    stage.feed([degraded.event(KEY), failing.event(KEY), touched(3, "a")], until=4)
    first = stage.feed([end_of(failing, 5).event(KEY)], until=6)
    assert [(found.kind, found.resolves) for found in findings(first)] == [("service.failing", True)]
    emitted = findings(stage.feed([end_of(degraded, 7).event(KEY)], until=8))
    assert [(found.kind, found.resolves) for found in emitted] == [
        ("service.degraded", True),
        ("customer.touched_by_outage", True),
    ]
    # The next episode touches only whom it touches itself.
    again = findings(stage.feed([fleet_finding(at=9, occurrence="b").event(KEY)], until=10))
    assert [found.kind for found in again] == ["service.degraded"]


def test_end_without_an_episode_passes_on() -> None:
    (found,) = findings(process(CauseLogic(SETTINGS), [end_of(fleet_finding(), 5).event(KEY)], until=6))
    assert found.resolves


def test_episode_whose_end_is_never_told_is_over_after_its_longest() -> None:
    stage = Stage(CauseLogic(SETTINGS))
    stage.feed([fleet_finding(at=0).event(KEY), touched(1, "a")], until=20 * DAY)
    emitted = findings(stage.feed([], until=20 * DAY + 1))
    assert [(found.customer, found.resolves) for found in emitted] == [("a", True)]


def test_entity_of_which_nothing_is_heard_is_forgotten() -> None:
    stage = Stage(CauseLogic(SETTINGS))
    stage.feed([fleet_finding(at=0).event(KEY), hurt("c1", 1)], until=40 * DAY)
    assert stage.group.keys == 2
    stage.feed([], until=41 * DAY)
    assert stage.group.keys == 0
    assert stage.group.open_timers == 0


def test_open_episode_outlives_the_time_after_which_entities_are_forgotten() -> None:
    settings = CauseSettings(fan_in={}, episode_max=timedelta(days=20), idle_ttl=timedelta(days=1))
    stage = Stage(CauseLogic(settings))
    stage.feed([fleet_finding(at=0).event(KEY)], until=19 * DAY)
    assert stage.group.keys == 1
    stage.feed([], until=22 * DAY)
    assert stage.group.keys == 0


# -- both stages -------------------------------------------------------------------------------------------------------


def test_case_of_a_touched_customer_is_part_of_the_case_of_the_service() -> None:
    """Through both stages, with fleet findings of one instant in any order of ids."""
    fleet = [
        fleet_finding(at=1, kind=kind, finding_id=name)
        for kind, name in (("service.degraded", "z"), ("service.x", "a"))
    ]
    emitted = process(
        CauseLogic(SETTINGS), [*(found.event(KEY) for found in fleet), touched(2, "c1"), hurt("c2", 3, KEY)], until=9
    )
    decider = Decider(load_policy())
    out = process(CaseLogic(decider, CaseSettings()), [event for _, event in emitted], until=10)
    cases = {event.key: event.data for _, event in out if event.type == "case.opened"}
    assert set(cases) == {KEY, "c1"}
    assert cases["c1"]["change"]["parent_case"] == cases[KEY]["case_id"] == case_id(KEY, "a")
    assert ("c2", "a") in links(emitted)


def test_service_that_flaps_is_one_incident_with_one_case() -> None:
    first, again = fleet_finding(at=1), fleet_finding(at=HOUR, occurrence="b")
    later = fleet_finding(at=5 * HOUR, occurrence="c")
    feed = [
        *(first.event(KEY), touched(2, "c1"), end_of(first, 3).event(KEY)),
        *(again.event(KEY), touched(HOUR + 1, "c1"), end_of(again, HOUR + 2).event(KEY)),
        *(later.event(KEY), touched(5 * HOUR + 1, "c1")),
    ]
    emitted = process(CauseLogic(SETTINGS), feed, until=6 * HOUR)
    told = [found for found in findings(emitted) if found.customer]
    assert [found.resolves for found in told] == [False, True, False, True, False]
    assert len({found.finding_id for found in told}) == 5
    out = process(CaseLogic(Decider(load_policy()), CaseSettings()), [event for _, event in emitted], until=6 * HOUR)
    events = [(event.key, event.type) for _, event in out if event.type.startswith("case.")]
    kinds = ["opened", "resolved", "reopened", "resolved", "opened"]
    assert [kind for key, kind in events if key == KEY] == [f"case.{kind}" for kind in kinds]
    # To the customer all of it is one trouble.
    last = ["opened", "resolved", "reopened", "resolved", "reopened"]
    assert [kind for key, kind in events if key == "c1"] == [f"case.{kind}" for kind in last]


@pytest.mark.parametrize("blamed_first", [True, False])
def test_service_that_names_another_as_its_cause_is_part_of_the_others_case(blamed_first: bool) -> None:
    blamed = fleet_finding(at=1 if blamed_first else 3)
    sick = fleet_finding(at=2, entity="service:shop", causes=[KEY])
    feed = sorted([blamed.event(KEY), sick.event(KEY), sick.event("service:shop")], key=lambda event: event.at)
    emitted = process(CauseLogic(SETTINGS), feed, until=9)
    out = process(CaseLogic(Decider(load_policy()), CaseSettings()), [event for _, event in emitted], until=10)
    parents = {event.key: "" for _, event in out if event.type == "case.opened"}
    for _, event in out:
        if event.type.startswith("case."):
            parents[event.key] = event.data["change"].get("parent_case", parents[event.key])
    assert parents == {"service:shop": case_id(KEY, blamed.finding_id), KEY: ""}


def test_service_that_was_named_a_cause_long_ago_is_not() -> None:
    ended = fleet_finding(at=1, entity="service:a", causes=[KEY])
    feed = [
        *(ended.event(KEY), end_of(ended, 2, causes=[KEY]).event(KEY)),
        *(fleet_finding(at=3, entity=f"service:b{n}", causes=[KEY], occurrence=str(n)).event(KEY) for n in range(99)),
        fleet_finding(at=2 * HOUR).event(KEY),
    ]
    stage = Stage(CauseLogic(SETTINGS))
    assert stage.feed(feed[:-1], until=HOUR) == []
    state = stage.group.state_of(KEY)
    assert state is not None
    assert len(state.blamed) == SETTINGS.blamed_max
    assert links(stage.feed(feed[-1:], until=3 * HOUR)) == []


def test_complaints_and_late_orders_of_one_seller_are_two_sources(shop_sources: Sources) -> None:
    key = "seller:s1"
    settings = CauseSettings(fan_in={"seller": replace(LANE, customers_min=1, ratio=2.0)})
    late = [
        finding(kind="order.promise_passed", customer=f"c{n}", entity=f"order:{n}", at=n, causes=[key]).event(key)
        for n in range(4)
    ]
    burst = finding(
        agent="experience", kind="complaint.burst", entity=key, customer="", at=5, confidence=0.5, occurrence="burst"
    )
    emitted = process(CauseLogic(settings), [*late, burst.event(key)], until=9)
    fleet = [event for _, event in emitted if event.type == "finding"]
    out = process(CaseLogic(Decider(load_policy()), CaseSettings(), shop_sources), fleet, until=10)
    facts = [event.data["facts"] for _, event in out if event.type == "decision"]
    assert [each["source_families"] for each in facts] == [1, 2]
    assert facts[1]["confidence"] > facts[0]["confidence"]


def test_stage_goes_on_after_a_restart_between_any_two_events() -> None:
    first = fleet_finding(at=2 * HOUR)
    feed = [
        *(*crowd(12, HOUR), first.event(KEY), touched(2 * HOUR + 1, "a", "b"), end_of(first, 2 * HOUR + 2).event(KEY)),
        fleet_finding(at=2 * HOUR + 3, entity="service:shop", causes=[KEY]).event(KEY),
        *(fleet_finding(at=2 * HOUR + 4, occurrence="b").event(KEY), touched(2 * HOUR + 5, "a", "c")),
    ]
    unbroken = process(CauseLogic(SETTINGS), feed, until=30 * DAY)
    stage, broken = Stage(CauseLogic(SETTINGS)), []
    for event in feed:
        broken += stage.feed([event], event.at + 1)
        stage.restart()
    broken += stage.feed([], 30 * DAY)
    assert broken == unbroken


def test_events_of_other_stages_are_refused() -> None:
    with pytest.raises(ValueError, match=r"order\.placed"):
        process(CauseLogic(), [Event(0, "x", KEY, "order.placed", {})])
    with pytest.raises(RecoveryError, match="version 0"):
        CauseLogic().migrate(0, None)
    with pytest.raises(TypeError, match="partials"):
        CauseLogic().on_partial(KEY, CauseLogic().new_state(KEY), None, None)  # type: ignore[arg-type]
