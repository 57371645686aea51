"""Scenarios: those that come along are sound, a wrong field is named, one may extend another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from config.errors import UsageError
from replay.world import World
from replay.world.kinds import AGENT, DECOYS, FAMILY, ISSUES
from replay.world.model import spec_of
from replay.world.scenario import PLAIN, load_scenario, names

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", names())
def test_those_that_come_along_can_be_loaded_and_say_what_they_are_about(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.description.endswith(".")
    assert spec_of(scenario, seed=1).events == scenario.events


def test_there_is_one_for_all_one_per_domain_and_three_that_make_it_harder() -> None:
    domains = set(AGENT.values())
    assert set(names()) == {"default", "bundled", "noise-double", "rates-half", "decoys-only"} | domains


def test_the_default_has_every_kind_of_issue_and_every_decoy() -> None:
    scenario = load_scenario("default")
    assert set(scenario.rates) == set(ISSUES)
    assert set(scenario.decoys) == set(DECOYS)


def test_every_kind_that_can_be_found_has_a_family_and_an_agent() -> None:
    kinds = set(ISSUES) - {"seller.backlog"}
    assert kinds <= set(FAMILY)
    assert kinds <= set(AGENT)


def test_a_scenario_may_extend_another_and_say_only_what_differs(tmp_path: Path) -> None:
    text = "extends: default\nnoise: 3\nseason: {drift_percent_per_week: 2}\nrates: {order.stuck: 1}\n"
    mine, base = load_scenario(written(tmp_path, text)), load_scenario("default")
    assert (mine.noise, mine.days, mine.decoys, mine.rates) == (3.0, base.days, base.decoys, {"order.stuck": 1.0})
    assert (mine.season.drift_percent_per_week, mine.season.holidays) == (2.0, base.season.holidays)


def test_factors_multiply_all_rates() -> None:
    half, whole = load_scenario("rates-half"), load_scenario("default")
    assert all(half.rate(kind) == whole.rate(kind) / 2 for kind in ISSUES)
    assert all(half.decoy(what) == whole.decoy(what) for what in DECOYS)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("rates: {order.lost: 3}", r"\$\.rates\.order\.lost"),
        ("decoys: {ghost: 3}", r"\$\.decoys\.ghost"),
        ("noise: -1", r"\$\.noise"),
        ("noise: loud", r"\$\.noise"),
        ("season: {holidays: [400]}", r"\$\.season\.holidays"),
        ("sources: {clock_skew_seconds: 3600}", r"\$\.sources\.clock_skew_seconds"),
        ("rates: {order.stuck: 1000}", r"\$\.rates"),
        ("speed: 2", "speed"),
        ("- a list", "holds no fields"),
        ("a: [", "not YAML"),
        ("extends: mine", "extends"),
    ],
)
def test_a_wrong_field_is_named(text: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=named) as refused:
        load_scenario(written(tmp_path, text))
    assert refused.value.remedy


def test_a_scenario_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        load_scenario(tmp_path / "none.yaml")
    assert "decoys-only" in str(refused.value.remedy)


def test_without_a_scenario_somebody_has_to_say_how_many_events() -> None:
    with pytest.raises(UsageError, match="how many records"):
        spec_of(PLAIN, seed=1)


@pytest.mark.slow
def test_where_only_decoys_occur_only_bad_luck_is_labelled() -> None:
    world = World(spec_of(load_scenario("decoys-only"), 3, events=20_000))
    for _ in world.batches():
        pass
    labels = world.labels()
    assert {decoy.what for decoy in labels.decoys} == set(DECOYS)
    assert {issue.cause for issue in labels.issues} <= {""}
    assert {issue.agent for issue in labels.issues} <= {"fulfilment"}
