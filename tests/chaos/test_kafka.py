"""A small campaign on a real broker, and the controls that it must notice; `make chaos` runs large ones."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.chaos.kafka_damages import DAMAGES
from tests.conftest import ROOT, absent
from tests.support.commands import unmeasured
from tests.support.faults import has_strace
from tests.support.kafka import Unavailable, check_local

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

OPTIONS = ("--controls", ",".join(DAMAGES), "--seeds", "1", "--seed", "b", "--events", "2000", "--quiet")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a campaign found: its figures, and what each control came to."""
    try:
        check_local()
    except Unavailable as error:
        absent(f"{error} (the chaos harness kills its broker: it needs one of its own)")
    if not has_strace():
        absent("no strace that may trace; install it (Debian: apt-get install strace)")
    ran = subprocess.run(
        [sys.executable, "-m", "tests.chaos.kafka_campaign", *OPTIONS, "--dir", tmp_path_factory.mktemp("chaos")],
        cwd=ROOT,
        env=unmeasured() | {"POLARS_MAX_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)["figures"]
    return found


def test_killed_jobs_leave_what_an_embedded_replay_leaves(campaign: dict[str, Any]) -> None:
    assert campaign["violations"] == []
    assert campaign["rounds"] == 1
    assert campaign["kills"] >= 4


@pytest.mark.parametrize("control", DAMAGES)
def test_a_safeguard_that_is_switched_off_is_noticed(campaign: dict[str, Any], control: str) -> None:
    assert campaign["controls"][control]


def test_outputs_that_are_sent_without_a_transaction_are_doubled(campaign: dict[str, Any]) -> None:
    assert "twice on topics" in campaign["controls"]["transactions"]


def test_release_before_durability_halts_the_next_life(campaign: dict[str, Any]) -> None:
    assert "TIME TRAVEL" in campaign["controls"]["durability"]
