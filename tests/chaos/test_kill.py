"""A small campaign of each kind, on one and two processes; `make chaos` runs large ones."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import absent
from tests.support.campaigns import PROGRAM, ROOT, campaign
from tests.support.commands import unmeasured
from tests.support.faults import has_strace

pytestmark = pytest.mark.slow


def test_killed_runs_leave_what_an_unbroken_one_leaves() -> None:
    found = campaign("--kills", "6", "--points", "1", "--processes", "1,2", "--seed", "small")
    assert (found.code, found.violations) == (0, "")
    assert found.rounds["kill"]["struck"] >= 6
    assert found.rounds["point"]["struck"] >= 1
    assert sum(kind["purging"] for kind in found.rounds.values()) >= 1


def test_state_is_kept_and_nothing_doubled_when_the_number_of_processes_changes_between_kills() -> None:
    found = campaign("--rescales", "1", "--processes", "1", "--events", "8000", "--seed", "small")
    assert (found.code, found.violations) == (0, "")
    assert found.rounds["rescale"]["struck"] == 4  # each of 1, 2, 3 and 1 processes, amid its work


def test_runs_killed_at_system_calls_leave_what_an_unbroken_one_leaves() -> None:
    if not has_strace():
        absent("no strace that may trace; install it (Debian: apt-get install strace)")
    found = campaign("--crash-points", "4", "--errors", "1", "--processes", "1", "--seed", "small")
    assert (found.code, found.violations) == (0, "")
    assert found.rounds["call"]["struck"] >= 4
    assert found.rounds["error"]["struck"] >= 1


def test_nothing_outlives_a_killed_campaign(tmp_path: Path) -> None:
    program = subprocess.Popen(
        [*PROGRAM, "--kills", "99", "--processes", "2", "--dir", str(tmp_path)], cwd=ROOT, env=unmeasured()
    )
    deadline = time.monotonic() + 60
    while len(holders(tmp_path)) < 3 and time.monotonic() < deadline:  # supervisor, preparer, workers
        time.sleep(0.05)
    assert len(holders(tmp_path)) >= 3
    program.send_signal(signal.SIGKILL)
    program.wait()
    deadline = time.monotonic() + 10
    while holders(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert holders(tmp_path) == set()


def holders(folder: Path) -> set[int]:
    """Return the processes that write their log into `folder`."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            log = str((process / "fd" / "2").readlink())
        except OSError:
            continue
        if log.startswith(str(folder)):
            found.add(int(process.name))
    return found
