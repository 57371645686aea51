"""Negative controls: with a safeguard switched off, a campaign must find that something is lost, doubled or halted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.campaigns import Found, campaign

pytestmark = pytest.mark.slow

HOLDS = ("--processes", "1", "--seed", "1", "--holds")


def test_release_before_durability_is_noticed(tmp_path: Path) -> None:
    found = control(tmp_path, "durability", "--points", "6", "--processes", "1", "--seed", "g")
    assert found.code == 1
    assert "TIME TRAVEL" in found.violations  # the store is ahead of the recovery: the next life halts


def test_zombie_snapshots_left_in_place_are_noticed(tmp_path: Path) -> None:
    # The other worker's outbox comes back with outputs that are made again: released twice, or the run halts.
    found = control(tmp_path, "purge", "--zombies", "6", "--processes", "2", "--events", "8000", "--seed", "1")
    assert found.code == 1
    assert found.violations.startswith("zombie:")


def test_gate_that_is_not_upstream_of_the_outbox_is_noticed(tmp_path: Path) -> None:
    # One worker's gate releases while the other is kept from committing the epoch, which is then run again. On a busy
    # machine that gate may come too late in a life; not in eight.
    found = control(tmp_path, "gate", *HOLDS, "8")
    assert found.code == 1
    assert "TIME TRAVEL" in found.violations


def test_gate_upstream_of_the_outbox_keeps_silent_in_the_same_lives() -> None:
    found = campaign(*HOLDS, "2")
    assert (found.code, found.violations) == (0, "")
    assert found.rounds["hold"]["struck"] == 2


def control(folder: Path, without: str, *options: str) -> Found:
    """Run a campaign without a safeguard; what it leaves of a violated round goes away with `folder`."""
    return campaign("--without", without, *options, "--first", "--dir", str(folder))
