from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import forestall


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
