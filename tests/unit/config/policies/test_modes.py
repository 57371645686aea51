from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.agents.load import load_manifests
from config.errors import PolicyError
from config.expressions import Bound
from config.policies.load import DEFAULT_FOLDER, load_bundle, load_default
from config.policies.modes import Entry, is_off, standing, tightest
from tests.support.policies import GIVEN, bundle_of, rule


def modes_of(folder: Path, *modes: dict[str, Any]) -> tuple[Entry, ...]:
    given = [{"reason": "For now.", **mode} for mode in modes]
    return bundle_of(folder, rule("a", "linked"), rule("b", "true"), modes=given).modes


def held_to(modes: tuple[Entry, ...], agent: str | None, named: str, **facts: Any) -> str | None:
    found = tightest(modes, agent, named, Bound(GIVEN | facts))
    return None if found is None else found.mode


def test_tightest_of_those_that_match_holds(tmp_path: Path) -> None:
    modes = modes_of(
        tmp_path,
        {"mode": "supervised"},
        {"mode": "recommend", "agent": "fraud"},
        {"mode": "off", "rule": "t/b"},
        {"mode": "shadow", "when": "money_at_risk > 500.0"},
        {"mode": "autonomous", "agent": "fraud", "rule": "t/a"},
    )
    assert held_to(modes, "billing", "t/a") == "supervised"
    assert held_to(modes, "fraud", "t/a") == "recommend"
    assert held_to(modes, "fraud", "t/b") == "off"
    assert held_to(modes, "fraud", "t/a", money_at_risk=501.0) == "shadow"
    assert held_to((), "fraud", "t/a") is None


def test_what_cannot_be_told_is_held_back(tmp_path: Path) -> None:
    modes = modes_of(tmp_path, {"mode": "shadow", "agent": "fraud", "when": "money_at_risk > 500.0"})
    assert held_to(modes, None, "t/a", money_at_risk=501.0) == "shadow"
    assert held_to(modes, "fraud", "t/a", money_at_risk="much") == "shadow"
    assert held_to(modes, "fraud", "t/a") is None


def test_standing_mode_is_that_of_all_facts_and_rules(tmp_path: Path) -> None:
    modes = modes_of(
        tmp_path,
        {"mode": "shadow", "agent": "fraud", "kind": "account.*"},
        {"mode": "off", "agent": "fraud", "when": "linked"},
        {"mode": "off", "rule": "t/a"},
    )
    found = [standing(modes, *each) for each in (("fraud", "account.takeover"), ("fraud", "payment.velocity"))]
    assert [each and each.mode for each in found] == ["shadow", None]
    assert [is_off(modes, name) for name in ("t/a", "t/b", "default")] == [True, False, False]


def test_lifecycle_of_an_agent_holds_it_back_whatever_the_bundle_says() -> None:
    assert load_default().modes == ()
    manifests = load_manifests()
    changed = manifests | {
        name: msgspec.structs.replace(manifests[name], lifecycle=lifecycle)
        for name, lifecycle in (("fraud", "shadow"), ("billing", "retired"), ("outage", "draining"))
    }
    modes = load_bundle(DEFAULT_FOLDER, changed).modes
    assert [(mode.mode, mode.agent, mode.owner) for mode in modes] == [
        ("off", "billing", manifests["billing"].owner),
        ("shadow", "fraud", manifests["fraud"].owner),
        ("recommend", "outage", manifests["outage"].owner),
    ]


def test_mode_says_why_and_who_may_change_it(tmp_path: Path) -> None:
    (mode,) = modes_of(tmp_path, {"mode": "shadow", "owner": "risk-board"})
    assert mode.say() == "It is in mode shadow (For now), which risk-board may change."
    (mode,) = modes_of(tmp_path / "b", {"mode": "shadow"})
    assert "team-a may change" in mode.say()


@pytest.mark.parametrize(
    ("mode", "message", "remedy"),
    [
        ({"agent": "frod"}, "unknown agent 'frod'", "'fraud'"),
        ({"rule": "t/c"}, "unknown rule 't/c'", "'t/"),
        ({"rule": "u/*"}, "unknown rule 'u/*'", ""),
        ({"when": "money_at > 3"}, "unknown fact 'money_at'", "'money_at_risk'"),
        ({"when": "tickets > 3.0"}, "fact 'tickets' may be null", ""),
        ({"reason": ""}, "reason is empty", ""),
        ({"mode": "on"}, "Invalid enum value 'on'", ""),
        ({"agents": "fraud"}, "unknown field `agents`", ""),
    ],
)
def test_mode_that_would_hold_nothing_back_is_refused(
    tmp_path: Path, mode: dict[str, Any], message: str, remedy: str
) -> None:
    with pytest.raises(PolicyError) as raised:
        modes_of(tmp_path, {"mode": "shadow"} | mode)
    assert "bundle.yaml:" in raised.value.message
    assert message in raised.value.message
    assert remedy in raised.value.remedy


def test_modes_change_the_hash(tmp_path: Path) -> None:
    rules = [rule("a", "linked"), rule("b", "true")]
    before = bundle_of(tmp_path, *rules)
    after = bundle_of(tmp_path, *rules, modes=[{"mode": "shadow", "reason": "r"}])
    assert before.hash != after.hash
