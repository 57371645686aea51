"""Negative controls: with a safeguard switched off, a campaign must find that something is lost, doubled or halted."""

from __future__ import annotations

import pytest

from tests.support.campaigns import campaign

pytestmark = pytest.mark.slow


def test_release_before_durability_is_noticed() -> None:
    found = campaign("--without", "durability", "--points", "6", "--processes", "1", "--seed", "g", "--first")
    assert found.code == 1
    assert "TIME TRAVEL" in found.violations  # the store is ahead of the recovery: the next life halts


def test_zombie_snapshots_left_in_place_are_noticed() -> None:
    # The other worker's outbox comes back with outputs that are made again: released twice, or the run halts.
    found = campaign(
        "--without", "purge", "--zombies", "6", "--processes", "2", "--events", "8000", "--seed", "1", "--first"
    )
    assert found.code == 1
    assert found.violations.startswith("zombie:")
