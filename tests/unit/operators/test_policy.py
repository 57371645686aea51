from pathlib import Path
from typing import Any

import pytest

from config.policies.bundle import Bundle
from config.policies.load import load_bundle, load_default
from operators.policy import decide

BUNDLE = """
name: small
owner: team-a
escalation: duty-manager
version: 1.0.0
effective_from: 2026-01-01T00:00:00Z
facts:
  kind: {type: string, description: kind}
  confidence: {type: number, description: confidence}
  harm_at: {type: instant, nullable: true, description: harm}
  linked: {type: bool, description: linked}
  agent: {type: string, description: agent}
remedies:
  notify: {system: crm, description: write, valid_for: 1h, contacts_customer: true}
tables: [rules.yaml]
default: {outcome: recommend, reason: "No rule for {kind}."}
"""

RULES = """
table: t
owner: team-a
kinds: ["order.*"]
rules:
"""


def rule(name: str, when: str, outcome: str = "observe", extra: str = "") -> str:
    return f"""
  - id: {name}
    description: d
    when: "{when}"
    outcome: {outcome}
    reason: "{name}: {{agent}}"
{extra}"""


@pytest.fixture
def bundle(tmp_path: Path) -> Any:
    def make(*rules: str) -> Bundle:
        (tmp_path / "bundle.yaml").write_text(BUNDLE)
        (tmp_path / "rules.yaml").write_text(RULES + "".join(rules))
        return load_bundle(tmp_path)

    return make


FACTS = {"kind": "order.late", "confidence": 0.8, "harm_at": None, "agent": "n", "linked": True}
ACT = "    remedy: notify\n"


def test_first_rule_that_matches_wins(bundle: Any) -> None:
    verdict = decide(
        bundle(rule("a", "confidence > 0.9"), rule("b", "confidence > 0.5", "act", ACT), rule("c", "confidence > 0.1")),
        FACTS,
    )
    assert (verdict.outcome, verdict.rule, verdict.remedy) == ("act", "t/b", "notify")
    assert verdict.fired == ("t/b",)
    assert verdict.error == ""


def test_default_decides_when_no_rule_matches(bundle: Any) -> None:
    verdict = decide(bundle(rule("a", "confidence > 0.9")), FACTS)
    assert (verdict.outcome, verdict.rule, verdict.reason) == ("recommend", "default", "No rule for order.late.")


def test_table_of_other_kinds_is_not_tried(bundle: Any) -> None:
    assert decide(bundle(rule("a", "true")), FACTS | {"kind": "service.degraded"}).rule == "default"


def test_rule_that_failed_in_one_conjunct_is_named_as_nearly_fired(bundle: Any) -> None:
    verdict = decide(
        bundle(
            rule("one", "confidence > 0.9 && linked"),
            rule("two", "confidence > 0.9 && !linked"),
            rule("either", "confidence > 0.9 || !linked"),
            rule("unknown", "harm_at != null && harm_at > 3 && linked"),
            rule("hit", "linked"),
            rule("after", "confidence > 0.9 && linked"),
        ),
        FACTS | {"harm_at": 1},
    )
    assert verdict.rule == "t/hit"
    assert verdict.nearly == ("t/one", "t/unknown")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": "0.8"}, "'confidence' (str)"),
        ({"confidence": True}, "'confidence' (bool)"),
        ({"confidence": None}, "'confidence' (NoneType)"),
        ({"confidence": float("nan")}, "'confidence' is not a number"),
        ({"confidence": 10**400}, "'confidence' is not a number"),
        ({"harm_at": 2.5}, "'harm_at' (float)"),
        ({"harm_at": 2**61}, "'harm_at' (int)"),
        ({"linked": 1}, "'linked' (int)"),
        ({"agent": 1}, "'agent' (int)"),
        ({"kind": 7}, "'kind'"),
    ],
)
def test_fact_of_wrong_type_escalates(bundle: Any, change: dict[str, Any], message: str) -> None:
    loaded = bundle(rule("a", "linked && confidence > 0.1 && (harm_at == null || harm_at > 0)", "act", ACT))
    verdict = decide(loaded, FACTS | change)
    assert (verdict.outcome, verdict.rule, verdict.remedy, verdict.fired) == ("approve", "escalation", "", ())
    assert message in verdict.error
    assert "duty-manager" in verdict.reason
    assert verdict.nearly == ()


@pytest.mark.parametrize("name", ["kind", "confidence", "agent"])
def test_missing_fact_escalates(bundle: Any, name: str) -> None:
    loaded = bundle(rule("a", "confidence > 0.1", "act", ACT))
    verdict = decide(loaded, {key: value for key, value in FACTS.items() if key != name})
    assert verdict.outcome == "approve"
    assert repr(name) in verdict.error


def test_error_before_the_matching_rule_escalates_and_after_it_does_not(bundle: Any) -> None:
    broken = rule("broken", "[true][int(confidence * 10.0) - 10]")
    act = rule("act", "linked", "act", ACT)
    assert decide(bundle(act, broken), FACTS).outcome == "act"
    verdict = decide(bundle(broken, act), FACTS)
    assert verdict.outcome == "approve"
    assert "t/broken" in verdict.error


def test_event_text_in_a_reason_is_not_a_template(bundle: Any) -> None:
    verdict = decide(bundle(rule("a", "linked")), FACTS | {"agent": "{confidence} {0.__class__} %s"})
    assert verdict.reason == "a: {confidence} {0.__class__} %s"


def test_parameter_that_is_one_fact_keeps_its_type(bundle: Any) -> None:
    extra = ACT + '    parameters: {n: "{confidence}", at: "{harm_at}", text: "by {harm_at}", fixed: 3}\n'
    loaded = bundle(rule("a", "linked", "act", extra))
    assert decide(loaded, FACTS | {"harm_at": 0}).parameters == {
        "n": 0.8,
        "at": "1970-01-01T00:00:00Z",
        "text": "by 1970-01-01T00:00:00Z",
        "fixed": 3,
    }
    assert decide(loaded, FACTS).parameters["text"] == "by unknown"


def test_same_facts_give_the_same_verdict_in_any_order(bundle: Any) -> None:
    loaded = bundle(rule("a", "confidence > 0.9"), rule("b", "linked"))
    assert decide(loaded, FACTS) == decide(loaded, dict(reversed(FACTS.items())))


def test_default_decides_when_none_of_a_hundred_rules_matches(bundle: Any) -> None:
    rules = [rule(f"r{i}", f"agent == 'k{i}' && confidence > 0.{i} && linked") for i in range(100)]
    assert decide(bundle(*rules), FACTS).rule == "default"


DEFAULT_FACTS: dict[str, Any] = {
    "kind": "order.promise_at_risk",
    "agent": "fulfilment",
    "entity_kind": "order",
    "severity": "high",
    "confidence": 0.95,
    "priority": 1.0,
    "money_at_risk": 80.0,
    "lead_hours": 48.0,
    "harm_at": 0,
    "findings": 1,
    "source_families": 1,
    "open_cases": 1,
    "linked": False,
    "contacts_30d": 0,
    "open_remedy": "",
    "last_outcome": "",
    "mode": "act",
    "expected_at": 0,
    "expected_in_hours": 48.0,
    "tickets_open": None,
    "touched_customers": None,
}


@pytest.mark.parametrize(
    ("change", "outcome", "remedy"),
    [
        ({}, "act", "notify_new_date"),
        ({"mode": "recommend"}, "recommend", "notify_new_date"),
        ({"confidence": 0.8}, "recommend", "notify_new_date"),
        ({"confidence": 0.3}, "observe", ""),
        ({"contacts_30d": 2}, "recommend", "open_ticket"),
        ({"tickets_open": 1}, "recommend", "note_on_ticket"),
        ({"tickets_open": 0}, "act", "notify_new_date"),
        ({"expected_at": None, "expected_in_hours": None}, "act", "open_ticket"),
        ({"expected_in_hours": -1.0}, "act", "open_ticket"),
        ({"kind": "order.promise_passed"}, "act", "open_ticket"),
        ({"kind": "order.promise_passed", "money_at_risk": 900.0}, "approve", "goodwill_credit"),
        ({"open_remedy": "open_ticket"}, "observe", ""),
        ({"last_outcome": "ineffective"}, "recommend", ""),
        ({"last_outcome": "verified"}, "act", "notify_new_date"),
        ({"kind": "order.stuck", "severity": "low"}, "observe", ""),
        ({"kind": "lane.degraded", "entity_kind": "lane"}, "recommend", "warn_carrier_manager"),
        ({"kind": "service.failing", "entity_kind": "service"}, "act", "page_owner"),
        (
            {"kind": "service.degraded", "entity_kind": "service", "severity": "medium", "confidence": 0.75},
            "recommend",
            "page_owner",
        ),
        ({"kind": "customer.touched_by_outage", "entity_kind": "customer"}, "act", "notify_known_problem"),
        (
            {"kind": "customer.touched_by_outage", "entity_kind": "customer", "contacts_30d": 1},
            "recommend",
            "notify_known_problem",
        ),
        ({"kind": "customer.touched_by_outage", "entity_kind": "customer", "contacts_30d": 2}, "observe", ""),
        ({"kind": "refund.not_posted"}, "act", "open_ticket"),
        ({"kind": "refund.not_posted", "tickets_open": 2}, "recommend", "note_on_ticket"),
        ({"kind": "refund.not_posted", "confidence": 0.8}, "recommend", "open_ticket"),
        ({"kind": "account.takeover"}, "approve", "hold_orders"),
        ({"kind": "payment.velocity", "severity": "medium"}, "recommend", "review_account"),
        ({"kind": "payment.double_charge"}, "act", "open_ticket"),
        ({"kind": "door.open"}, "recommend", "review_case"),
    ],
)
def test_default_policy(change: dict[str, Any], outcome: str, remedy: str) -> None:
    # A case of one kind of finding: the case is as sure as the kind.
    verdict = decide(load_default(), DEFAULT_FACTS | {"kind_confidence": change.get("confidence", 0.95)} | change)
    assert (verdict.error, verdict.outcome, verdict.remedy) == ("", outcome, remedy)


def test_default_policy_never_moves_money_or_acts_without_the_mode() -> None:
    bundle = load_default()
    for rule in bundle.rules:
        if rule.outcome == "act":
            assert not bundle.remedies[rule.remedy].moves_money
            assert bundle.remedies[rule.remedy].reversible
            assert "mode == 'act'" in [part.source for part in rule.conjuncts]
