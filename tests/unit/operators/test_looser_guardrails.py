"""A guardrail that holds back less is a loosening, whatever its name: signing then asks for two people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.agents.load import load_manifests
from operators.looser import Change, compare
from tests.support.policies import REMEDIES, bundle_of, rule

MANIFESTS = {"fulfilment": load_manifests()["fulfilment"]}
LIMIT: dict[str, Any] = {"description": "d", "per": "customer", "most": 2, "within": "7d", "owner": "team-g"}
SHARE = LIMIT | {"per": "cause", "counts": "customers", "share": 0.2}
SOFT = LIMIT | {"then": "approve"}
ONCE: dict[str, Any] = {
    "description": "d",
    "after": {"remedies": ["credit"]},
    "forbids": {"remedies": ["notify"]},
    "within": "7d",
}
NIGHT: dict[str, Any] = {"description": "d", "hours": "22:00-06:00"}
DATED: dict[str, Any] = {"description": "d", "begins": "2026-01-01T00:00:00Z", "ends": "2026-01-02T00:00:00Z"}
TURN: dict[str, Any] = {"description": "d", "of": {"remedies": ["notify", "credit"]}}


def change(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> Change:
    rules = rule("a", "linked", "act", "notify")
    before, after = (bundle_of(folder / name, rules, guardrails=section) for name, section in (("o", old), ("n", new)))
    return compare(before, after, MANIFESTS).change


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("limits", LIMIT, LIMIT | {"most": 1}),
    ("limits", LIMIT, LIMIT | {"within": "8d"}),
    ("limits", LIMIT | {"of": {"contacts_customer": True}}, LIMIT),
    ("limits", SOFT, LIMIT),
    ("limits", SHARE, SHARE | {"share": 0.1}),
    ("sequences", ONCE, ONCE | {"within": "8d"}),
    ("sequences", ONCE, ONCE | {"after": {"remedies": ["credit", "ticket"]}}),
    ("sequences", ONCE, ONCE | {"forbids": {}}),
    ("freezes", NIGHT | {"allows": {"remedies": ["notify"]}}, NIGHT),
    ("freezes", NIGHT | {"days": ["mon"]}, NIGHT),
    ("freezes", DATED, DATED | {"ends": "2026-01-03T00:00:00Z"}),
    ("freezes", DATED, DATED | {"begins": None}),
    ("turns", TURN, TURN | {"of": {}}),
]


@pytest.mark.parametrize(("section", "loose", "tight"), CASES)
def test_a_guardrail_that_holds_back_less_is_looser_and_the_other_way_round_tighter(
    section: str, loose: dict[str, Any], tight: dict[str, Any], tmp_path: Path
) -> None:
    assert change(tmp_path / "1", {section: {"g": loose}}, {section: {"g": tight}}) == "tightening"
    assert change(tmp_path / "2", {section: {"g": tight}}, {section: {"g": loose}}) == "loosening"
    # What was spent of a limit of a cause or of all is known by its name: under another one all may be spent once more.
    renamed: Change = "loosening" if tight.get("per") == "cause" else "equivalent"
    assert change(tmp_path / "3", {section: {"g": tight}}, {section: {"renamed": tight}}) == renamed
    assert change(tmp_path / "4", {}, {section: {"g": loose}}) == "tightening"
    assert change(tmp_path / "5", {section: {"g": loose}}, {}) == "loosening"


@pytest.mark.parametrize(
    "other",
    [
        LIMIT | {"most": 4, "within": "14d"},  # four on one day are possible that were not
        LIMIT | {"per": "all"},
        LIMIT | {"counts": "money"},
        SOFT | {"owner": "others"},
    ],
)
def test_what_is_neither_more_nor_less_may_be_looser(other: dict[str, Any], tmp_path: Path) -> None:
    one = SOFT if other.get("then") else LIMIT
    assert change(tmp_path / "1", {"limits": {"g": one}}, {"limits": {"g": other}}) == "loosening"
    assert change(tmp_path / "2", {"limits": {"g": other}}, {"limits": {"g": one}}) == "loosening"


def test_a_limit_may_be_kept_by_two(tmp_path: Path) -> None:
    two = {"a": SOFT, "b": LIMIT | {"most": 3}}
    assert change(tmp_path, {"limits": {"g": LIMIT | {"most": 3}}}, {"limits": two}) == "tightening"


def test_what_counts_for_less_money_is_looser(tmp_path: Path) -> None:
    credit = rule("credit", "linked", "act", "credit")
    money = {"limits": {"g": LIMIT | {"counts": "money", "most": 100}}}

    def bundle(name: str, most: float) -> Any:
        remedies = {k: v | {"description": "d"} for k, v in REMEDIES.items()}
        remedies["credit"] = remedies["credit"] | {"money_max": most}
        return bundle_of(tmp_path / name, credit, guardrails=money, remedies=remedies)

    assert compare(bundle("old", 50), bundle("new", 10), MANIFESTS).change == "loosening"
