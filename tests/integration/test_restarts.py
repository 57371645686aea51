"""A job under a supervisor that starts it again: workers are killed one by one, and the results do not show it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import load
from dataflows.recovered import check_of, identity_of
from dataflows.restarts import Death, Restarts
from dataflows.supervisor import run_workers, stop_signals
from replay.play import JOB, Job, prepared
from replay.world.model import Spec
from replay.world.record import simulate
from sinks.preflight import preflight
from tests.support.commands import ROOT, eventually, forestall, store_url
from tests.support.verdict import broken_at_end, content_of

pytestmark = pytest.mark.slow

KILLS = 2


def supervise(recording: Path, folder: Path) -> None:
    """Play a recording on two processes that are started again when they die; say how it ended."""
    store, recovery = store_url(folder / "s.db"), folder / "s.db.recovery"
    job = Job(recording=str(recording), store_url=store, recovery=str(recovery), processes=2, speed=86_400)
    settings = load()
    with stop_signals() as stop_requested, prepared(job) as ready:

        def look_over() -> None:
            check = check_of(recovery, ready.store.standings())
            found = preflight(recovery, identity_of(settings), store_has_run=ready.store.has_run(), check=check)
            print("resumes at", found.resume_epoch, flush=True)

        def say(death: Death) -> None:
            print("died:", death.error.message, flush=True)

        command = [sys.executable, "-P", "-m", "replay.play", str(recovery / JOB)]
        restarts = Restarts(look_over, settings.restarts, say)
        outcome = run_workers(command, 2, recovery, ready.descriptors, stop_requested, restarts=restarts)
        print("stopped" if outcome.stopped else "ended", "after deaths:", outcome.deaths, flush=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "world"
    simulate(Spec(3, 3000, 10), folder)
    return folder


@pytest.fixture
def supervisor(world: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A supervisor in a process of its own; it does not outlive the test."""
    command = [sys.executable, "-m", "tests.integration.test_restarts", str(world), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def workers(supervisor: int) -> list[int]:
    """Return the workers that are at work: they have begun to write recovery files or state."""
    path = Path(f"/proc/{supervisor}/task/{supervisor}/children")
    children = [int(child) for child in path.read_text().split()] if path.exists() else []
    return [child for child in children if b"replay.play" in Path(f"/proc/{child}/cmdline").read_bytes()]


def opened(worker: int, name: str) -> bool:
    """Whether a process has a file of this name open."""
    try:
        return any(link.readlink().name == name for link in Path(f"/proc/{worker}/fd").iterdir() if link.is_symlink())
    except OSError:
        return False


def test_workers_killed_again_and_again_are_replaced_and_the_results_are_those_of_one_life(
    world: Path, tmp_path: Path, supervisor: subprocess.Popen[str]
) -> None:
    killed: set[int] = set()
    for number in range(KILLS):
        eventually(
            lambda: (
                any(opened(each, "part-0.sqlite3") for each in set(workers(supervisor.pid)) - killed)
                and len(set(workers(supervisor.pid)) - killed) == 2
            ),
            "two workers at work",
        )
        time.sleep(0.5)  # some epochs
        alive = sorted(set(workers(supervisor.pid)) - killed)
        killed.update(alive)
        os.kill(alive[number % 2], signal.SIGKILL)
    out, _ = supervisor.communicate(timeout=180)
    assert f"ended after deaths: {KILLS}" in out, out
    assert out.count("was killed by signal 9") == KILLS
    resumed = [int(line.rpartition(" ")[2]) for line in out.splitlines() if line.startswith("resumes at")]
    assert len(resumed) == KILLS
    assert resumed == sorted(resumed)
    unbroken = store_url(tmp_path / "unbroken.db")
    forestall("replay", world, "--store", unbroken)
    assert broken_at_end(store_url(tmp_path / "s.db"), content_of(unbroken)) == []


def test_a_worker_told_to_stop_by_somebody_else_stops_the_job_in_good_order(
    tmp_path: Path, supervisor: subprocess.Popen[str]
) -> None:
    eventually(lambda: any(opened(each, "part-0.sqlite3") for each in workers(supervisor.pid)), "workers at work")
    os.kill(workers(supervisor.pid)[1], signal.SIGTERM)
    out, _ = supervisor.communicate(timeout=120)
    assert (supervisor.returncode, out) == (0, "stopped after deaths: 0\n")
    assert not (tmp_path / "s.db.recovery" / "worker-0.log").read_text().count("Traceback")


if __name__ == "__main__":
    supervise(Path(sys.argv[1]), Path(sys.argv[2]))
