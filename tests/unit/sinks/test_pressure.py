from __future__ import annotations

from pathlib import Path

import pytest

from sinks.pressure import Pressure


def test_all_outboxes_together_may_hold_so_much(tmp_path: Path) -> None:
    path = tmp_path / "pressure"
    Pressure.create(path, ["a", "b"])
    ours, theirs = Pressure(path, ["a", "b"], 100), Pressure(path, ["a", "b"], 100)  # of two processes
    assert not ours.is_high()
    ours.tell("a", 60)
    theirs.tell("b", 40)
    assert (ours.held(), ours.is_high()) == (100, False)
    theirs.tell("b", 41)
    assert (ours.is_high(), theirs.is_high()) == (True, True)
    ours.tell("a", 0)
    assert (ours.held(), theirs.is_high()) == (41, False)


def test_a_run_begins_without_pressure(tmp_path: Path) -> None:
    path = tmp_path / "pressure"
    Pressure.create(path, ["a"])
    Pressure(path, ["a"], 1).tell("a", 5)
    Pressure.create(path, ["a"])
    assert Pressure(path, ["a"], 1).held() == 0


def test_an_unknown_outbox_is_a_mistake_of_the_wiring(tmp_path: Path) -> None:
    path = tmp_path / "pressure"
    Pressure.create(path, ["a"])
    with pytest.raises(KeyError):
        Pressure(path, ["a"], 1).tell("b", 5)
