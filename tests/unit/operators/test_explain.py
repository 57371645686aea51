from pathlib import Path
from typing import Any

import pytest

from config.policies.bundle import Bundle
from config.policies.cases import load_cases
from config.policies.load import DEFAULT_FOLDER, load_default
from operators.explain import GIVEN as FIXED
from operators.explain import flips, near_rules
from operators.policy import decide
from tests.support.policies import GIVEN, bundle_of, rule


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundle_of(
        tmp_path,
        rule("tell", "confidence >= 0.9 && eta != null && contacts_30d < 1.0", "act", "notify"),
        rule("either", "severity == 'critical' || money_at_risk > 500.0", "approve", "credit"),
        rule("chase", "confidence >= 0.5", "recommend", "ticket"),
    )


def explained(bundle: Bundle, **change: Any) -> tuple[Any, Any]:
    facts = GIVEN | change
    verdict = decide(bundle, facts)
    return near_rules(bundle, facts, verdict), flips(bundle, facts, verdict)


def test_rule_that_nearly_fired_says_what_it_lacked(bundle: Bundle) -> None:
    near, _ = explained(bundle, contacts_30d=1, eta=0)
    assert [(each.rule, each.outcome, each.remedy, each.lacks) for each in near] == [
        ("t/tell", "act", "notify", ("contacts_30d < 1.0",))
    ]


def test_flip_is_the_range_of_one_fact_that_leads_to_another_decision(bundle: Bundle) -> None:
    _, found = explained(bundle, contacts_30d=1, eta=0, confidence=0.92)
    assert [(each.fact, each.value, each.instead, each.outcome, each.remedy, each.rule) for each in found] == [
        ("confidence", "0.92", "< 0.5", "recommend", "", "default"),
        ("contacts_30d", "1", "< 1", "act", "notify", "t/tell"),
        ("money_at_risk", "80", "> 500", "approve", "credit", "t/either"),
        ("severity", "high", "critical", "approve", "credit", "t/either"),
    ]


def test_escalation_and_unknown_kind_have_no_flips_by_their_missing_facts(bundle: Bundle) -> None:
    near, found = explained(bundle, confidence="much")
    assert near == []
    assert {each.fact for each in found} == {"confidence"}
    assert explained(bundle, kind="x") == ([], [])
    assert explained(bundle, kind=7) == ([], [])


def test_every_flip_of_the_default_policy_is_borne_out_by_it() -> None:
    bundle = load_default()
    count = 0
    for case in load_cases(DEFAULT_FOLDER, bundle):
        verdict = decide(bundle, case.facts)
        for flip in flips(bundle, case.facts, verdict):
            assert flip.fact not in FIXED
            assert (flip.outcome, flip.remedy) != (verdict.outcome, verdict.remedy)
            count += 1
        for near in near_rules(bundle, case.facts, verdict):
            assert len(near.lacks) == 1
    assert count > 50
