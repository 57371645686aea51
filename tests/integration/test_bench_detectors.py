"""The detectors on the real benchmark: its series are not part of the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replay.benchmarks import nab, nab_data, smd, smd_data
from replay.benchmarks.contenders import USUAL

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.shared_data
def test_nab_is_worth_sixty_points_at_the_fixed_threshold(shared_data: Path) -> None:
    result = nab.outcome(USUAL["nab"], nab_data.load(shared_data / "nab")).document()
    assert result["profile"]["standard"] > 60
    assert result["profile"]["standard"] <= result["optimised"]["standard"]["score"]


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "score"), [("windowed_gaussian", 36.71), ("relative_entropy", 56.25), ("null", 0.0)])
def test_simple_detectors_score_as_published(shared_data: Path, name: str, score: float) -> None:
    """The published results per series, summed over these, come to these scores."""
    result = nab.outcome(name, nab_data.load(shared_data / "nab")).document()
    assert result["profile"]["standard"] == score


@pytest.mark.slow
@pytest.mark.shared_data
def test_segments_of_two_servers_are_found_without_many_false_alarms(shared_data: Path) -> None:
    """One of each data set: all ten take a minute."""
    machines = [each for each in smd_data.load(shared_data / "smd") if each.name in ("machine-3-3", "omi-4")]
    result = smd.outcome(USUAL["smd"], machines).document()
    assert result["recall"] >= 0.8
    assert result["false_per_1000"] <= 1
