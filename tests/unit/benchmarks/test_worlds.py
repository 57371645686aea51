"""Worlds of many seeds, added up."""

from __future__ import annotations

import pytest

from benchmarks.worlds import main, seeds_of
from replay.score import Row, Score


def test_seeds_are_one_or_a_range_with_its_end() -> None:
    assert list(seeds_of("7")) == [7]
    assert list(seeds_of("101-103")) == [101, 102, 103]
    with pytest.raises(ValueError, match="invalid"):
        seeds_of("some")


def test_the_same_entity_in_two_worlds_is_two_alarms() -> None:
    row: Row = {"kind": "order.stuck", "entity": "order:1", "at": 1}
    one = Score([], [row], 0)
    both = Score([], [], 0).plus(one, "world 1").plus(one, "world 2")
    assert both.alarms == (0, 2)
    assert both.precision == 0.0


def test_a_scenario_that_is_not_there_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1", "--scenario", "nowhere"]) == 2
    assert "no scenario nowhere" in capsys.readouterr().err
