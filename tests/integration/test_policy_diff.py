"""Two policies on a recording: replayed under one, with the other in shadow beside it."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from config.policies.load import DEFAULT_FOLDER, load_bundle
from replay.backtest.run import replayed
from replay.world.model import Spec
from replay.world.record import simulate
from sinks.queries import bodies, recorded
from sinks.store import Store
from tests.support.commands import forestall

EVENTS = 4_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policies") / "world"
    simulate(Spec(4, EVENTS, 20), folder)
    return folder


@pytest.fixture(scope="module")
def looser(world: Path) -> Path:
    """Pages without asking, and wants a fact that the default policy does not take in."""
    folder = copytree(DEFAULT_FOLDER, world.parent / "looser")
    main = folder / "bundle.yaml"
    fact = "  near: {type: bool, nullable: true, feature: near, description: d}\n  tickets_open:\n"
    main.write_text(main.read_text().replace("  tickets_open:\n", fact, 1))
    outage, paging = folder / "outage.yaml", "outcome: {}\n    remedy: page_owner"
    outage.write_text(outage.read_text().replace(paging.format("recommend"), paging.format("act")))
    guards = folder / "guards.yaml"
    guards.write_text(guards.read_text().replace("when: open_remedy != ''", "when: open_remedy != '' || near == true"))
    return folder


@pytest.mark.slow
def test_recording_tells_what_would_have_been_decided_otherwise(world: Path, looser: Path) -> None:
    document = forestall(
        "policy", "diff", DEFAULT_FOLDER, looser, "--recording", world, "--mode", "act", "--json"
    ).document
    assert document["change"] == "loosening"
    held = document["recorded"]
    assert held["unknown"] == {}
    assert held["decisions"] > 5
    assert held["newly_acted"]["cases"] == held["cases"] > 0
    assert {segment["would_be"] for segment in held["segments"]} == {"act page_owner"}


def contents(store: Store) -> dict[str, list[Any]]:
    return {kind: list(bodies(store, kind)) for kind in ("finding", "case", "decision", "action")}


@pytest.mark.slow
def test_candidate_in_shadow_changes_nothing_and_is_recorded_beside_every_decision(world: Path, looser: Path) -> None:
    mode = {"FORESTALL_POLICY_MODE": "act"}
    with replayed(world, variables=mode) as alone:
        before = contents(alone)
    with replayed(world, variables=mode | {"FORESTALL_POLICY_CANDIDATE": str(looser)}) as beside:
        after, shadows = contents(beside), list(recorded(beside, "shadow"))
    assert before == after
    assert len(before["action"]) > 0
    assert len(shadows) >= len(before["decision"]) > 5
    assert {each.bundle for each in shadows} == {load_bundle(looser).hash}
    assert all("near" in each.facts for each in shadows)


@pytest.mark.slow
def test_policy_that_has_to_be_signed_and_is_not_only_shadows(world: Path, tmp_path: Path) -> None:
    config = tmp_path / "job.toml"
    config.write_text('[policy]\nenforce = true\nmode = "act"\n')
    url = f"sqlite:///{tmp_path}/store.db"
    ended = forestall("replay", world, "--store", url, "--config", config, "--json")
    assert ended.document["actions"] == 0
    assert "Policy default 1.0.0 may shadow only: it has 0 of 2 signatures" in ended.err
    with Store.open(url) as store:
        said, shadows = contents(store), list(bodies(store, "shadow"))
    assert said["case"]
    assert {(each["outcome"], each["rule"]) for each in said["decision"]} == {("observe", "none")}
    assert "act" in {each["outcome"] for each in shadows}
