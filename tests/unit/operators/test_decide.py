from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import yaml

from config.clock import DAY, HOUR, from_text, to_text
from config.findings import DATA_QUALITY
from config.identity import derived_id
from config.policies.bundle import PROVIDED, Flag
from config.policies.load import DEFAULT_FOLDER, load_bundle, load_default
from config.policies.versions import Versions
from operators.case import Case, OpenFinding, Plan, row_of
from operators.decide import Decider, Surroundings, commit
from operators.evidence import Sources
from operators.flags import Limit
from tests.support.findings import finding

BUNDLE = load_default()
POLICY = Versions((BUNDLE,))
ALONE = Surroundings(open_cases=1, linked=False, contacts=0, kind_confidence=0.95)
EXPECTED = "1970-01-09T00:00:00Z"


def case(**given: Any) -> Case:
    found = finding(
        **({"at": DAY, "confidence": 0.95, "harm_at": 3 * DAY, "features": {"expected_at": EXPECTED}} | given)
    )
    return Case("case-1", found.entity, found.at, findings=1, open={"slot": OpenFinding.of(found, BUNDLE.features)})


def decided(case: Case, mode: Any = "act", around: Surroundings = ALONE, now: int = DAY, bundle: Any = BUNDLE) -> Any:
    return Decider(Versions((bundle,)), mode).decide(case, row_of(case, "c1", "c1", "", now, Sources()), around, now)


def test_facts_are_those_the_default_bundle_declares() -> None:
    subject = case()
    around = Surroundings(open_cases=3, linked=True, contacts=2, kind_confidence=0.5)
    facts = Decider(POLICY).facts(BUNDLE, subject, row_of(subject, "c1", "c1", "", DAY, Sources()), around, DAY + HOUR)
    assert set(facts) == set(BUNDLE.facts)
    assert facts["lead_hours"] == 47.0
    assert facts["entity_kind"] == "order"
    assert facts["expected_at"] == from_text(EXPECTED)
    assert (facts["open_cases"], facts["linked"], facts["contacts_30d"]) == (3, True, 2)
    assert (facts["kind_confidence"], facts["source_families"], facts["reopened"]) == (0.5, 1, 0)
    assert facts["evidence_age_hours"] == 1.0
    assert facts["touched_customers"] is None


@pytest.mark.parametrize(
    ("expected", "hours"),
    [(to_text(3 * DAY), 48.0), (3 * DAY, 48.0), (DAY - HOUR, -1.0), (None, None), ("soon", "soon")],
)
def test_hours_are_counted_until_an_instant_that_the_finding_tells(expected: Any, hours: Any) -> None:
    subject = case(features={"expected_at": expected})
    facts = Decider(POLICY).facts(BUNDLE, subject, row_of(subject, "c1", "c1", "", DAY, Sources()), ALONE, DAY)
    assert facts["expected_in_hours"] == hours


def test_no_date_is_promised_that_is_past_when_it_is_decided() -> None:
    assert decided(case(features={"expected_at": to_text(DAY + HOUR)})).remedy == "notify_new_date"
    for mode in ("act", "recommend"):
        assert decided(case(features={"expected_at": to_text(DAY)}), mode=mode).remedy == "open_ticket"


def test_facts_provided_are_of_their_declared_types() -> None:
    types: dict[str, Any] = {"string": str, "number": (int, float), "bool": bool, "instant": int}
    for subject in (case(), case(harm_at=None)):
        facts = Decider(POLICY).facts(BUNDLE, subject, row_of(subject, "c1", "c1", "", DAY, Sources()), ALONE, DAY)
        assert PROVIDED.keys() - facts == {DATA_QUALITY}  # all was looked at, and the bundle does not ask
        for name, (fact_type, nullable) in PROVIDED.items() - {(DATA_QUALITY, PROVIDED[DATA_QUALITY])}:
            assert (nullable and facts[name] is None) or isinstance(facts[name], types[fact_type])


def test_decision_records_what_it_rests_on() -> None:
    decision = decided(case(), mode="recommend").decision
    assert decision["decision_id"] == derived_id("decision", "case-1", 1)
    assert (decision["outcome"], decision["remedy"], decision["rule"]) == (
        "recommend",
        "notify_new_date",
        "fulfilment/recommend-new-date",
    )
    assert decision["fired"] == ["fulfilment/recommend-new-date"]
    assert decision["nearly"] == ["fulfilment/tell-new-date"]
    assert decision["bundle"] == BUNDLE.hash
    assert decision["parameters"] == {"new_date": EXPECTED}
    assert decision["at"] == DAY
    assert decision["facts"]["kind"] == "order.promise_at_risk"


def test_act_makes_an_action_whose_id_does_not_depend_on_the_policy() -> None:
    result = decided(case())
    assert result.action == {
        "action_id": derived_id("action", "case-1", "notify_new_date", "crm:order:1", "1"),
        "case_id": "case-1",
        "decision_id": result.decision["decision_id"],
        "entity": "order:1",
        "customer": "c1",
        "agent": "fulfilment",
        "kind": "order.promise_at_risk",
        "facts": result.decision["facts"],
        "bundle": BUNDLE.hash,
        "approval": None,
        "remedy": "notify_new_date",
        "target": "crm:order:1",
        "parameters": {"new_date": EXPECTED},
        "valid_until": 2 * DAY,
        "at": DAY,
        "segment": "other",
        "autonomy": "autonomous",
    }
    other = decided(case(), bundle=replace(BUNDLE, hash="other", version="2.0.0"))
    assert other.decision["bundle"] == "other"
    assert other.action["action_id"] == result.action["action_id"]


def test_action_is_not_valid_past_the_harm() -> None:
    assert decided(case(harm_at=DAY + HOUR)).action["valid_until"] == DAY + HOUR
    assert decided(case(harm_at=DAY - HOUR)).action["valid_until"] == 2 * DAY


@pytest.mark.parametrize(
    ("mode", "outcome"), [("observe", "observe"), ("recommend", "recommend"), ("approve", "approve"), ("act", "act")]
)
def test_no_rule_goes_further_than_the_mode(mode: Any, outcome: str) -> None:
    reckless = tuple(
        (kinds, tuple(replace(rule, outcome="act") for rule in rules if rule.remedy)) for kinds, rules in BUNDLE.tables
    )
    result = decided(case(), mode=mode, bundle=replace(BUNDLE, tables=reckless))
    assert result.outcome == outcome
    assert (result.action is not None) == (mode == "act")
    assert ("may not go further" in result.decision["reason"]) == (mode != "act")


@pytest.mark.parametrize(("mode", "outcome"), [("observe", "observe"), ("recommend", "approve"), ("act", "approve")])
def test_consent_may_be_asked_for_in_all_modes_but_observe(mode: Any, outcome: str) -> None:
    result = decided(case(kind="order.promise_passed", money_at_risk=900.0), mode=mode)
    assert result.outcome == outcome
    assert result.decision["approver"] == ("customer-operations" if outcome == "approve" else "")
    assert result.action is None


@pytest.mark.parametrize("mode", ["observe", "act"])
@pytest.mark.parametrize("broken", ["not a date", 1.5, 2**61])
def test_fact_that_is_not_what_it_should_be_asks_a_person(mode: Any, broken: Any) -> None:
    result = decided(case(features={"expected_at": broken}), mode=mode)
    assert (result.outcome, result.rule, result.remedy) == ("approve", "escalation", "")
    assert result.decision["approver"] == BUNDLE.escalation
    assert "expected_at" in result.decision["error"]
    assert result.decision["fired"] == []
    assert result.action is None


def test_second_plan_waits_for_the_first() -> None:
    subject = case()
    subject.plan = Plan("a1", "open_ticket", 2 * DAY)
    assert decided(subject).rule == "guards/busy"
    without_guard = replace(BUNDLE, tables=BUNDLE.tables[1:])
    result = decided(subject, bundle=without_guard)
    assert (result.outcome, result.action) == ("recommend", None)
    assert "still being carried out" in result.decision["reason"]
    assert decided(subject, now=2 * DAY).outcome == "act"


def test_remedy_acts_once_per_case() -> None:
    subject = case()
    first = decided(subject)
    events = commit(subject, first, "c1", DAY)
    assert [event.type for event in events] == ["decision", "action"]
    assert (subject.decisions, subject.used) == (1, ["notify_new_date"])
    again = decided(subject, now=2 * DAY)
    assert (again.outcome, again.action) == ("observe", None)
    assert again.decision["decision_id"] == derived_id("decision", "case-1", 2)


@pytest.mark.parametrize(("agents", "outcome"), [(["fulfilment"], "approve"), (["fulfilment", "billing"], "act")])
def test_money_is_moved_without_a_person_only_when_two_sources_agree(agents: list[str], outcome: str) -> None:
    paying = {name: replace(remedy, moves_money=True) for name, remedy in BUNDLE.remedies.items()}
    subject = case()
    for agent in agents:
        found = finding(agent=agent, at=DAY, confidence=0.95, features={"expected_at": EXPECTED})
        subject.open[agent] = OpenFinding.of(found, BUNDLE.features)
    subject.open.pop("slot")
    result = decided(subject, bundle=replace(BUNDLE, remedies=paying))
    assert (result.outcome, result.action is not None) == (outcome, outcome == "act")
    assert decided(subject, mode="recommend", bundle=replace(BUNDLE, remedies=paying)).outcome == "recommend"


def test_customers_are_contacted_by_messages_only() -> None:
    assert decided(case(), mode="recommend").contacts_customer
    assert not decided(case(), mode="observe").contacts_customer
    assert not decided(case(kind="order.promise_passed")).contacts_customer
    assert not decided(case(confidence=0.1)).contacts_customer


def test_same_case_decides_the_same() -> None:
    assert decided(case()) == decided(case())


def test_a_rule_can_read_how_much_of_the_data_was_looked_at(tmp_path: Path) -> None:
    folder = copytree(DEFAULT_FOLDER, tmp_path / "bundle")
    declared = '  data_quality: {type: number, description: "Share of the records that were looked at."}\nthresholds:'
    main = folder / "bundle.yaml"
    main.write_text(main.read_text().replace("\nthresholds:", "\n" + declared, 1))
    guards = folder / "guards.yaml"
    rule = {
        "id": "poor-data",
        "description": "…",
        "when": "data_quality < 0.5",
        "outcome": "observe",
        "reason": "Too little.",
    }
    table = yaml.safe_load(guards.read_text())
    table["rules"].insert(0, rule)
    guards.write_text(yaml.safe_dump(table))
    bundle = load_bundle(folder)
    good, poor = case(), case(features={DATA_QUALITY: 0.1, "expected_at": EXPECTED})
    assert decided(poor, bundle=bundle).rule == "guards/poor-data"
    assert decided(good, bundle=bundle).rule != "guards/poor-data"
    assert decided(good, bundle=bundle).decision["facts"][DATA_QUALITY] == 1.0


def test_a_decision_on_sampled_data_says_so_whatever_the_bundle_asks() -> None:
    assert decided(case(features={DATA_QUALITY: 0.1})).decision["facts"][DATA_QUALITY] == 0.1
    assert DATA_QUALITY not in decided(case()).decision["facts"]


def test_version_of_the_event_time_decides() -> None:
    never = replace(BUNDLE, hash="later", version="2.0.0", effective_from=2 * DAY, tables=())
    policy = Versions((replace(BUNDLE, effective_from=DAY), never))
    subject = case()
    row = row_of(subject, "c1", "c1", "", DAY, Sources())
    before, first, last, second = (
        Decider(policy, "act").decide(subject, row, ALONE, now) for now in (DAY - 1, DAY, 2 * DAY - 1, 2 * DAY)
    )
    assert (before.outcome, before.action, before.rule) == ("approve", None, "escalation")
    assert before.decision["bundle"] == ""
    assert before.decision["approver"] == BUNDLE.escalation
    assert "no policy is in force before 1970-01-02T00:00:00Z" in before.decision["reason"]
    assert [each.decision["bundle"] for each in (first, last, second)] == [BUNDLE.hash, BUNDLE.hash, "later"]
    assert [each.outcome for each in (first, last, second)] == ["act", "act", "recommend"]


def test_flags_are_facts_of_the_time(tmp_path: Path) -> None:
    flagged = replace(BUNDLE, flags={"trial": Flag(True, DAY)})
    for now, on in ((DAY - 1, True), (DAY, False)):
        assert decided(case(), now=now, bundle=flagged).decision["facts"]["trial"] is on


OBSERVE_ONLY = Limit("observe-only", 0, None, "on-call", "drill")
REVERSIBLE_ONLY = Limit("reversible-only", 0, None, "on-call", "drill")


@pytest.mark.parametrize(
    ("flag", "mode", "outcome"),
    [
        (OBSERVE_ONLY, "act", "observe"),
        (OBSERVE_ONLY, "recommend", "observe"),
        (REVERSIBLE_ONLY, "act", "recommend"),
        (REVERSIBLE_ONLY, "recommend", "recommend"),
        (REVERSIBLE_ONLY, "observe", "observe"),
    ],
)
def test_between_mode_and_flag_the_stricter_holds(flag: Limit, mode: Any, outcome: str) -> None:
    final = {name: replace(remedy, reversible=False) for name, remedy in BUNDLE.remedies.items()}
    bundle = replace(BUNDLE, remedies=final)
    assert decided(case(), mode, bundle=bundle).outcome == mode
    decision = decided(case(), mode, replace(ALONE, flags={"*": flag}), bundle=bundle)
    assert (decision.outcome, decision.action is None) == (outcome, True)


def test_where_the_policy_cannot_decide_a_person_is_asked_whatever_the_flags_say() -> None:
    broken = case(features={"expected_at": "soon"})
    assert decided(broken, around=replace(ALONE, flags={"*": OBSERVE_ONLY})).outcome == "approve"
