from pathlib import Path
from typing import Any

import pytest
import yaml

from config.clock import from_text
from config.errors import PolicyError
from config.policies.bundle import Bundle
from config.policies.cases import load_cases
from config.policies.load import DEFAULT_FOLDER, load_default
from tests.support.policies import bundle_of, rule, write_cases

FLAGS = {"trial": {"value": True, "description": "d", "expires": "2026-06-01T00:00:00Z"}}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundle_of(tmp_path, rule("a", "linked", "act", "ticket"), flags=FLAGS)


def case(name: str = "One", **given: Any) -> dict[str, Any]:
    return {"name": name, "expect": {"outcome": "act"}} | given


def test_facts_of_a_case_are_those_given_changed_by_its_own(bundle: Bundle, tmp_path: Path) -> None:
    facts = {"linked": True, "eta": "2026-01-01T00:00:00Z"}
    write_cases(tmp_path, case(facts=facts), case("Two", facts={"trial": False}), severity="low")
    one, two = load_cases(tmp_path, bundle)
    assert (one.facts["linked"], two.facts["linked"]) == (True, False)
    assert one.facts["eta"] == from_text("2026-01-01T00:00:00Z")
    assert one.facts["severity"] == "low"
    assert (one.facts["trial"], two.facts["trial"]) == (True, False)
    assert one.where.endswith("all.yaml:2")


def test_bundle_without_cases_has_none(bundle: Bundle, tmp_path: Path) -> None:
    assert load_cases(tmp_path, bundle) == []


@pytest.mark.parametrize(
    ("broken", "message", "remedy"),
    [
        (case(facts={"sverity": "low"}), "case 'One': unknown fact 'sverity'", "'severity'"),
        (case(expect={"outcome": "act", "rule": "t/b"}), "case 'One': unknown rule 't/b'", "'t/a'"),
        (case(expect={"outcome": "act", "remedy": "tickt"}), "case 'One': unknown remedy 'tickt'", "'ticket'"),
        (case(expect={"outcome": "allow"}), "all.yaml:3: Invalid enum value 'allow'", ""),
        (case(expect={}), "Object missing required field `outcome`", ""),
        (case(name=" "), "name is empty", ""),
        (case(fact={}), "unknown field `fact`", ""),
    ],
)
def test_mistake_in_a_case_is_named_with_its_place(
    bundle: Bundle, tmp_path: Path, broken: dict[str, Any], message: str, remedy: str
) -> None:
    write_cases(tmp_path, broken)
    with pytest.raises(PolicyError) as raised:
        load_cases(tmp_path, bundle)
    assert "all.yaml:" in raised.value.message
    assert message in raised.value.message
    assert remedy in raised.value.remedy


def test_case_that_is_there_twice_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    write_cases(tmp_path, case(), case())
    with pytest.raises(PolicyError, match=r"all\.yaml:\d+: case 'One' is at .*all\.yaml:2 too"):
        load_cases(tmp_path, bundle)


def test_file_without_an_owner_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    write_cases(tmp_path, case())
    file = tmp_path / "cases" / "all.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"owner": ""}))
    with pytest.raises(PolicyError, match="owner is empty"):
        load_cases(tmp_path, bundle)


def test_default_bundle_has_cases() -> None:
    assert len(load_cases(DEFAULT_FOLDER, load_default())) > 30
