"""How far a verdict goes by its mode, by the job's mode, and what stands beside it in shadow."""

from pathlib import Path
from typing import Any

import pytest

from operators.policy import Verdict, decide
from tests.support.policies import GIVEN, bundle_of, rule

RULES = [
    rule("ask", "severity == 'critical'", "approve", "ticket"),
    rule("pay", "money_at_risk > 500.0", "act", "credit"),
    rule("tell", "confidence > 0.9", "act", "notify"),
    rule("rest", "confidence > 0.5", "recommend", "ticket"),
]


def decided(folder: Path, *modes: dict[str, Any], rules: Any = RULES, **facts: Any) -> Verdict:
    given = [{"reason": "For now.", **mode} for mode in modes]
    return decide(bundle_of(folder, *rules, modes=given), GIVEN | facts)


@pytest.mark.parametrize(
    ("mode", "acts", "asks"),
    [
        ("autonomous", "act", "approve"),
        ("supervised", "approve", "approve"),
        ("recommend", "recommend", "recommend"),
        ("shadow", "observe", "observe"),
        ("off", "observe", "observe"),
    ],
)
def test_mode_bounds_what_a_rule_wants(tmp_path: Path, mode: str, acts: str, asks: str) -> None:
    for severity, outcome, wanted in (("high", acts, "act"), ("critical", asks, "approve")):
        verdict = decided(tmp_path, {"mode": mode, "agent": "fulfilment", "owner": "risk-board"}, severity=severity)
        assert verdict.outcome == outcome
        live = mode not in ("off", "shadow")
        assert verdict.wanted == (wanted if live else None)
        assert ("risk-board may change" in verdict.restraint + verdict.reason) == (outcome != wanted)
        assert (verdict.rule == "none") == (not live)
        assert verdict.fired == (() if not live else (verdict.rule,))


def test_mode_of_another_agent_rule_or_segment_holds_nothing_back(tmp_path: Path) -> None:
    others = [
        {"mode": "off", "agent": "fraud"},
        {"mode": "off", "kind": "payment.*"},
        {"mode": "off", "rule": "t/rest"},
        {"mode": "off", "when": "money_at_risk > 1000.0"},
    ]
    verdict = decided(tmp_path, *others)
    assert (verdict.outcome, verdict.rule, verdict.restraint, verdict.shadow) == ("act", "t/tell", "", None)


def test_rule_that_is_off_leaves_it_to_those_behind_it(tmp_path: Path) -> None:
    verdict = decided(tmp_path, {"mode": "off", "rule": "t/tell"})
    assert (verdict.outcome, verdict.remedy, verdict.rule, verdict.shadow) == ("recommend", "ticket", "t/rest", None)


def test_rule_in_shadow_leaves_it_to_those_behind_it_and_says_what_it_would_do(tmp_path: Path) -> None:
    verdict = decided(tmp_path, {"mode": "shadow", "rule": "t/tell"})
    assert (verdict.outcome, verdict.remedy, verdict.rule) == ("recommend", "ticket", "t/rest")
    assert verdict.shadow is not None
    assert (verdict.shadow.outcome, verdict.shadow.remedy, verdict.shadow.rule) == ("act", "notify", "t/tell")


def test_rule_in_shadow_behind_the_one_that_decides_says_nothing(tmp_path: Path) -> None:
    assert decided(tmp_path, {"mode": "shadow", "rule": "t/rest"}).shadow is None


def test_first_of_several_rules_in_shadow_speaks(tmp_path: Path) -> None:
    verdict = decided(tmp_path, {"mode": "shadow", "rule": "t/*"}, severity="critical", money_at_risk=600.0)
    assert verdict.rule == "default"
    assert verdict.shadow is not None
    assert verdict.shadow.rule == "t/ask"


def test_all_in_shadow_does_nothing_live(tmp_path: Path) -> None:
    verdict = decided(tmp_path, {"mode": "shadow"})
    assert (verdict.outcome, verdict.remedy, verdict.rule, verdict.parameters) == ("observe", "", "none", {})
    assert verdict.shadow is not None
    assert (verdict.shadow.outcome, verdict.shadow.rule) == ("act", "t/tell")


def test_shadow_is_bounded_by_the_jobs_mode_and_by_two_sources_as_if_it_were_live(tmp_path: Path) -> None:
    shadow = {"mode": "shadow", "agent": "fulfilment"}
    for facts, outcome in (
        ({"mode": "recommend"}, "recommend"),
        ({"money_at_risk": 600.0}, "approve"),
        ({"money_at_risk": 600.0, "source_families": 2}, "act"),
    ):
        verdict = decided(tmp_path, shadow, **facts)
        assert verdict.shadow is not None
        assert (verdict.outcome, verdict.shadow.outcome) == ("observe", outcome)


@pytest.mark.parametrize(
    ("mode", "job", "outcome"),
    [
        ("autonomous", "observe", "observe"),
        ("autonomous", "recommend", "recommend"),
        ("autonomous", "approve", "approve"),
        ("supervised", "act", "approve"),
        ("supervised", "recommend", "approve"),
        ("supervised", "observe", "observe"),
        ("recommend", "approve", "recommend"),
    ],
)
def test_between_the_bundles_mode_and_the_jobs_the_stricter_holds(
    tmp_path: Path, mode: str, job: str, outcome: str
) -> None:
    # To ask for consent is not beyond any mode of the job but `observe`.
    assert decided(tmp_path, {"mode": mode}, mode=job).outcome == outcome


def test_money_wants_two_sources_and_where_nothing_is_said_of_them_a_person(tmp_path: Path) -> None:
    assert decided(tmp_path, money_at_risk=600.0, source_families=2).outcome == "act"
    for families in (1, None, "many"):
        verdict = decided(tmp_path, money_at_risk=600.0, source_families=families)
        assert (verdict.outcome, verdict.rule) == ("approve", "t/pay")
        assert "independent sources" in verdict.restraint


BROKEN = rule("broken", "[true][int(confidence * 10.0) - 10]", "act", "notify")


@pytest.mark.parametrize(("mode", "rule_"), [("off", "t/tell"), ("shadow", "t/tell"), ("autonomous", "escalation")])
def test_rule_that_cannot_be_evaluated_asks_a_person_only_where_it_is_live(
    tmp_path: Path, mode: str, rule_: str
) -> None:
    verdict = decided(tmp_path, {"mode": mode, "rule": "t/broken"}, rules=[BROKEN, *RULES])
    assert verdict.rule == rule_
    assert (verdict.shadow is not None) == (mode == "shadow")
    if verdict.shadow is not None:
        assert (verdict.shadow.rule, verdict.shadow.outcome) == ("escalation", "approve")
        assert "t/broken" in verdict.shadow.error


WANTS_ETA = rule("eta", "eta != null && eta > 5", "act", "notify", parameters={"at": "{eta}"}, reason="By {eta}.")


@pytest.mark.parametrize("mode", ["off", "shadow", "autonomous"])
@pytest.mark.parametrize("facts", [{"eta": "soon"}, {"eta": 1.5}, {}])
def test_fact_that_only_a_rule_in_shadow_wants_has_no_effect_when_it_is_broken(
    tmp_path: Path, mode: str, facts: dict[str, Any]
) -> None:
    given = {name: value for name, value in (GIVEN | facts).items() if name != "eta" or facts}
    modes = [{"mode": mode, "rule": "t/eta", "reason": "r"}]
    verdict = decide(bundle_of(tmp_path, WANTS_ETA, *RULES, modes=modes), given)
    assert verdict.rule == ("escalation" if mode == "autonomous" else "t/tell")
    if mode == "shadow":
        assert verdict.shadow is not None
        assert verdict.shadow.rule == "escalation"


def test_fact_that_a_live_rule_wants_too_asks_a_person(tmp_path: Path) -> None:
    verdict = decided(tmp_path, {"mode": "shadow", "rule": "t/tell"}, confidence="much")
    assert (verdict.rule, verdict.outcome, verdict.shadow) == ("escalation", "approve", None)


def test_segment_that_cannot_be_told_is_taken_for_met(tmp_path: Path) -> None:
    segment = {"mode": "recommend", "when": "contacts_30d > 3.0"}
    assert decided(tmp_path, segment).outcome == "act"
    assert decided(tmp_path, segment, contacts_30d="many").outcome == "recommend"


def test_rules_of_several_blocks_are_tried_in_order_past_those_in_shadow(tmp_path: Path) -> None:
    many = [rule(f"r{n}", "linked", "recommend", "ticket") for n in range(60)]
    modes = [{"mode": "shadow", "rule": f"t/r{n}"} for n in range(59) if n != 40]
    verdict = decided(tmp_path, *modes, rules=many, linked=True)
    assert verdict.rule == "t/r40"
    assert verdict.shadow is not None
    assert verdict.shadow.rule == "t/r0"
    assert decided(tmp_path, *modes, {"mode": "off", "rule": "t/r40"}, rules=many, linked=True).rule == "t/r59"
