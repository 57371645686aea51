from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.support.commands import forestall
from tests.support.market import market


@pytest.mark.slow
def test_backtest_judges_a_replay_as_it_judges_what_the_replay_left_in_a_store(tmp_path: Path) -> None:
    world, store = tmp_path / "world", f"sqlite:///{tmp_path}/world.db"
    assert forestall("simulate", "--seed", 7, "--events", 3_000, "--into", world).code == 0
    judged = forestall("backtest", world, "--labels", world / "labels.json", "--json").document
    assert judged["all"]["issues"] > 0
    assert judged["all"]["issues"] == sum(row["issues"] for row in judged["by_kind"])
    assert forestall("replay", world, "--store", store).code == 0
    again = forestall("backtest", world, "--labels", world / "labels.json", "--store", store, "--json").document
    assert again == judged
    assert "found in time" in forestall("backtest", world, "--labels", world / "labels.json", "--store", store).out


@pytest.mark.slow
def test_backtest_replays_orders_sweeps_and_draws_them(tmp_path: Path) -> None:
    recording, picture = market(tmp_path / "market", 20).folder, tmp_path / "curves.png"
    document = forestall("backtest", recording, "--sweep", "--plot", picture, "--json").document
    assert (document["orders"], document["complaints"]) == (20, 5)
    # Four days late: told when the promised day has passed, before the customer complains.
    assert document["by_agent"]["fulfilment"]["recall"] == 1.0
    assert len(document["sweep"]) == 13
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_backtest_replays_telemetry_and_draws_faults(tmp_path: Path) -> None:
    world, picture, faults = tmp_path / "world", tmp_path / "timeline.png", tmp_path / "faults.json"
    assert forestall("simulate", "--seed", 7, "--events", 3_000, "--into", world).code == 0
    injected = {"injected_at": "2026-03-03T10:00:00Z", "service": "nobody", "kind": "none"}
    faults.write_bytes(orjson.dumps([injected]))
    document = forestall("backtest", world, "--faults", faults, "--plot", picture, "--json").document
    assert (document["faults"], document["found"]) == (1, 0)
    assert document["false_alerts"] == document["alerts"]
    assert picture.read_bytes().startswith(b"\x89PNG")
