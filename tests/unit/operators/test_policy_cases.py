from pathlib import Path

import pytest

from config.policies.cases import load_cases
from config.policies.load import DEFAULT_FOLDER, load_bundle
from operators.policy_cases import coverage, run_cases
from tests.support.policies import bundle_of, rule, write_cases


def test_cases_tell_what_differs_and_which_rules_none_reaches(tmp_path: Path) -> None:
    bundle = bundle_of(
        tmp_path,
        rule("a", "linked", "act", "ticket", parameters={"n": "{severity}"}),
        rule("b", "confidence > 0.9", "recommend", "notify"),
        rule("never", "confidence > 2.0"),
    )
    ticket = {"outcome": "act", "remedy": "ticket", "rule": "t/a", "parameters": {"n": "high"}}
    write_cases(
        tmp_path,
        {"name": "right", "facts": {"linked": True}, "expect": ticket},
        {"name": "wrong", "expect": {"outcome": "act", "remedy": "notify", "parameters": {"n": 1}}},
        {"name": "any rule", "expect": {"outcome": "recommend"}},
        {"name": "other kind", "facts": {"kind": "x"}, "expect": {"outcome": "recommend", "remedy": ""}},
    )
    tested = run_cases(bundle, load_cases(tmp_path, bundle))
    assert [each.differs for each in tested] == [
        {},
        {"outcome": ("act", "recommend"), "parameters": ({"n": 1}, {})},
        {},
        {},
    ]
    assert coverage(bundle, tested) == {"t/a": 1, "t/b": 2, "t/never": 0, "default": 1}


def test_case_may_expect_a_rule_in_shadow_and_rules_that_are_off_need_none(tmp_path: Path) -> None:
    modes = [{"mode": "shadow", "rule": "t/a", "reason": "r"}, {"mode": "off", "rule": "t/b", "reason": "r"}]
    bundle = bundle_of(tmp_path, rule("a", "linked", "act", "ticket"), rule("b", "linked"), modes=modes)
    expect = {"outcome": "recommend", "rule": "default"}
    write_cases(
        tmp_path,
        {"name": "shadow", "facts": {"linked": True}, "expect": expect | {"shadow": "t/a"}},
        {"name": "none", "expect": expect | {"shadow": ""}},
        {"name": "wrong", "facts": {"linked": True}, "expect": expect | {"shadow": ""}},
    )
    tested = run_cases(bundle, load_cases(tmp_path, bundle))
    assert [each.differs for each in tested] == [{}, {}, {"shadow": ("", "t/a")}]
    assert coverage(bundle, tested) == {"t/a": 2, "default": 3}


@pytest.mark.parametrize("folder", [DEFAULT_FOLDER, DEFAULT_FOLDER.with_name("hands_on")], ids=lambda path: path.name)
def test_every_rule_of_what_comes_along_is_reached_and_every_case_holds(folder: Path) -> None:
    bundle = load_bundle(folder)
    tested = run_cases(bundle, load_cases(folder, bundle))
    assert [each.case.name for each in tested if each.differs] == []
    assert [name for name, count in coverage(bundle, tested).items() if not count] == []
