from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.agents.load import load_manifests
from config.policies.bundle import Bundle
from operators.looser import Comparison, compare
from tests.support.autonomy import EASY, NOTIFY, bounded_bundle
from tests.support.policies import bundle_of

DEAR: dict[str, Any] = {"name": "dear", "when": "money_at_risk > 100.0", "description": "d"}


def part(name: str, **given: Any) -> dict[str, Any]:
    return {name: EASY[name] | given}


def change(old: Bundle, new: Bundle) -> Comparison:
    return compare(old, new, load_manifests())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "equivalent"),
        ({"reason": "Another.", "owner": "somebody"}, "equivalent"),
        ({"start": "recommend"}, "tightening"),
        ({"start": "autonomous"}, "loosening"),
        ({"ceiling": "supervised"}, "tightening"),
        (part("promotion", verified_min=4), "loosening"),
        (part("promotion", verified_min=6), "tightening"),
        (part("promotion", success_min=0.5), "loosening"),
        (part("promotion", success_min=0.7), "tightening"),
        (part("promotion", false_max=0.4), "loosening"),
        (part("promotion", false_max=0.2), "tightening"),
        (part("demotion", failures=3), "loosening"),
        (part("demotion", within="2d"), "loosening"),
        (part("demotion", within="4d"), "tightening"),
        (part("demotion", judged_from=7), "loosening"),
        (part("demotion", quality_min=0.7), "loosening"),
        (part("demotion", quality_min=0.9), "tightening"),
        (part("demotion", probation="4d"), "loosening"),
        (part("demotion", probation="6d"), "tightening"),
        (part("evidence", confidence=0.95), "undecided"),
        (part("evidence", last=30), "undecided"),
        (part("evidence", within="60d"), "undecided"),
        ({"anew_from": "2026-01-31T00:00:00Z"}, "undecided"),
        ({"remedy": "ticket"}, "loosening"),
    ],
)
def test_what_lets_remedies_go_further_is_looser(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    found = change(bounded_bundle(tmp_path / "old"), bounded_bundle(tmp_path / "new", changes))
    assert found.change == expected


def test_a_reason_names_what_was_changed(tmp_path: Path) -> None:
    found = change(bounded_bundle(tmp_path / "old"), bounded_bundle(tmp_path / "new", part("demotion", failures=3)))
    (place,) = found.looser
    assert place.because.endswith("(segment other): failures was 2, and is 3")


def test_bounds_that_are_new_are_tighter_and_without_them_it_is_looser(tmp_path: Path) -> None:
    bounded = bounded_bundle(tmp_path / "bounded", segments=[DEAR])
    free = bundle_of(tmp_path / "free", NOTIFY)
    assert change(free, bounded).change == "tightening"
    assert change(bounded, free).change == "loosening"


def test_a_limit_for_some_alone_is_looked_at(tmp_path: Path) -> None:
    old = bounded_bundle(tmp_path / "old", segments=[DEAR])
    new = bounded_bundle(tmp_path / "new", {"segment": "dear", "start": "autonomous"}, {}, segments=[DEAR])
    assert change(old, new).change == "loosening"
    assert change(new, old).change == "tightening"


def test_other_segments_cannot_be_compared(tmp_path: Path) -> None:
    old = bounded_bundle(tmp_path / "old", segments=[DEAR])
    new = bounded_bundle(tmp_path / "new", segments=[DEAR | {"when": "money_at_risk > 200.0"}])
    assert change(old, new).change == "undecided"
