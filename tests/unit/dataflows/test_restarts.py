"""Restarts: how long is waited, what ends a crash loop, what is never tried again; with real processes at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from config.errors import EnvironmentFault, FencedError, ForestallError, RecoveryError, StoreError
from config.restarts import Restarts as Limits
from config.settings import load
from dataflows import supervisor
from dataflows.restarts import Death, Deaths, Restarts
from dataflows.supervisor import run_workers, stop_signals
from tests.support.commands import ROOT, eventually

PASSING = StoreError("the store is away", remedy="wait")
POLICY = replace(load().restarts, backoff_max=timedelta(seconds=6))


def delays(policy: Limits, *instants: float) -> list[float]:
    deaths = Deaths(policy)
    return [deaths.follow(PASSING, at).delay.total_seconds() for at in instants]


def test_waits_double_up_to_the_longest_and_hold_no_chance() -> None:
    assert delays(POLICY, 0, 1, 3, 7) == [1, 2, 4, 6]
    assert delays(POLICY, 0, 1, 3, 7) == [1, 2, 4, 6]


def test_deaths_of_long_ago_are_forgiven() -> None:
    assert delays(POLICY, 0, 1, 170, 181, 1000, 2000) == [1, 2, 4, 4, 1, 1]
    assert delays(replace(POLICY, deaths_max=10**6, backoff_max=timedelta(days=1)), *[0.0] * 2000)[-1] == 86400


def test_a_death_a_minute_is_no_crash_loop() -> None:
    assert max(delays(POLICY, *range(0, 3600, 60))) < 6.1


def test_so_many_deaths_in_so_short_a_time_are_a_crash_loop_that_names_the_last_reason() -> None:
    deaths = Deaths(POLICY)
    for at in range(4):
        assert deaths.follow(PASSING, at).number == at + 1
    with pytest.raises(EnvironmentFault) as raised:
        deaths.follow(PASSING, 179)
    assert raised.value.message == (
        "crash loop: the workers died 5 times within 179 s, the last time because: the store is away"
    )
    assert (raised.value.remedy, raised.value.exit_code, raised.value.retry) == ("wait", 3, False)


@pytest.mark.parametrize("error", [FencedError("x"), RecoveryError("x"), StoreError("x", retry=False)])
def test_what_does_not_pass_is_not_tried_again(error: ForestallError) -> None:
    with pytest.raises(type(error)) as raised:
        Deaths(POLICY).follow(error, 0)
    assert raised.value is error


# -- real processes ----------------------------------------------------------------------------------------------------

WORKER = """
import json, os, signal, sys, time
from pathlib import Path
number, addresses, failure = sys.argv[-3:]
folder = Path(sys.argv[1])
def stop(*_):
    with open(folder / "stops", "a") as file:
        file.write(number)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
def tell(message, retry=True):
    Path(failure).write_text(json.dumps({"message": message, "remedy": "", "exit_code": 3, "foreseen": True,
                                         "retry": retry}))
    sys.exit(1)
with open(folder / f"lives-{number}", "a") as file:
    file.write("1")
life = len((folder / f"lives-{number}").read_text())
"""


class Job:
    """A job of dummy workers, and what came of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prepared: list[float] = []
        self.deaths: list[Death] = []

    def prepare(self) -> None:
        self.prepared.append(time.monotonic())

    def run(
        self, script: str, processes: int = 2, stop: Callable[[], int] = lambda: 0, **policy: Any
    ) -> supervisor.Outcome:
        prepare = policy.pop("prepare", self.prepare)
        limits = replace(load().restarts, **({"backoff_first": timedelta(milliseconds=50)} | policy))
        restarts = Restarts(prepare, limits, self.deaths.append)
        command = [sys.executable, "-c", WORKER + script, str(self.folder)]
        return run_workers(command, processes, self.folder, [], stop, restarts=restarts)

    def lives(self, number: int) -> int:
        return len((self.folder / f"lives-{number}").read_text())


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_the_death_of_one_restarts_all_after_preparing_again(job: Job) -> None:
    outcome = job.run("if number == '1' and life < 3: os.kill(os.getpid(), signal.SIGKILL)\nif life < 3: sys.exit(1)")
    assert (outcome.stopped, outcome.deaths) == (False, 2)
    assert (job.lives(0), job.lives(1), len(job.prepared)) == (3, 3, 2)
    assert [death.error.message.partition(";")[0] for death in job.deaths] == ["worker 1 was killed by signal 9"] * 2
    assert [death.delay for death in job.deaths] == [timedelta(milliseconds=50), timedelta(milliseconds=100)]


def test_a_crash_loop_ends_the_job_with_the_reason(job: Job) -> None:
    with pytest.raises(EnvironmentFault, match=r"crash loop: .* 3 times .*: the disk is away") as raised:
        job.run("tell('the disk is away')", 1, deaths_max=3)
    assert raised.value.exit_code == 3
    assert (job.lives(0), len(job.prepared)) == (3, 2)


def test_a_worker_that_says_it_is_hopeless_is_believed(job: Job) -> None:
    with pytest.raises(EnvironmentFault, match=r"^fenced off"):
        job.run("tell('fenced off', retry=False) if number == '1' else tell('no peer')")
    assert (job.lives(0), job.deaths) == (1, [])


def test_a_recovery_folder_found_at_fault_before_a_restart_ends_the_job(job: Job) -> None:
    def refuse() -> None:
        raise RecoveryError("the folder is damaged")

    with pytest.raises(RecoveryError, match="the folder is damaged"):
        job.run("sys.exit(1)", 1, prepare=refuse)
    assert job.lives(0) == 1


def test_a_store_that_is_away_before_a_restart_is_waited_for(job: Job) -> None:
    tries: list[int] = []

    def refuse_once() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise PASSING

    outcome = job.run("sys.exit(life == 1)", 1, prepare=refuse_once)
    assert (outcome.deaths, len(tries), job.lives(0)) == (2, 2, 2)


def test_a_stop_ends_the_wait_for_the_next_life(job: Job) -> None:
    started = time.monotonic()
    outcome = job.run("sys.exit(1)", 1, lambda: int(bool(job.deaths)), backoff_first=timedelta(minutes=1))
    assert (outcome.stopped, outcome.deaths, job.lives(0)) == (True, 1, 1)
    assert time.monotonic() - started < 30


def test_a_death_while_stopping_is_told_and_not_followed_by_a_life(job: Job) -> None:
    script = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\ntime.sleep(60)"
    with pytest.raises(EnvironmentFault, match="worker 0 exited with 7"):
        job.run(script, 1, lambda: int((job.folder / "lives-0").exists()))
    assert (job.lives(0), job.deaths) == (1, [])


def test_a_log_does_not_grow_with_the_lives(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES_MAX", 100)
    job.run("print('x' * 150); sys.exit(life < 4)", 1)
    sizes = {path.name: path.stat().st_size for path in job.folder.glob("worker-*")}
    assert sizes == {"worker-0.log": 151, "worker-0.log.old": 151}


SUPERVISOR = """
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from config.errors import ForestallError
from config.settings import load
from dataflows import supervisor
from dataflows.restarts import Restarts
folder, script = Path(sys.argv[1]), sys.argv[2]
supervisor.STOP_GRACE_S = float(sys.argv[3])
supervisor.TELL_GRACE_S = 0.2
limits = replace(load().restarts, deaths_max=2, backoff_first=timedelta(milliseconds=50))
restarts = Restarts(lambda: None, limits)
with supervisor.stop_signals() as stop:
    try:
        outcome = supervisor.run_workers(
            [sys.executable, "-c", script, str(folder)], 2, folder, [], stop, restarts=restarts
        )
    except ForestallError as error:
        print(error.message)
        sys.exit(error.exit_code)
print("stopped" if outcome.stopped else "ended", outcome.deaths)
"""
ALIVE = WORKER + "(folder / f'pid-{number}').write_text(str(os.getpid()))\nwhile True: time.sleep(0.01)"


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a supervisor of two workers in a process of its own; returns when both workers live."""
    started: list[subprocess.Popen[str]] = []

    def begin(script: str = ALIVE, grace_s: float = 60.0) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SUPERVISOR, str(tmp_path), script, str(grace_s)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        eventually(lambda: len(list(tmp_path.glob("pid-*"))) == 2, "both workers")
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


Supervise = Callable[..., subprocess.Popen[str]]


def told(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = process.communicate(timeout=60)
    return process.returncode, out


def worker_pid(folder: Path, number: int) -> int:
    return int((folder / f"pid-{number}").read_text())


def test_a_signal_to_the_supervisor_stops_all_in_good_order(supervise: Supervise, tmp_path: Path) -> None:
    process = supervise()
    process.terminate()
    assert told(process) == (0, "stopped 0\n")
    assert sorted((tmp_path / "stops").read_text()) == ["0", "1"]


def test_a_killed_worker_is_replaced_while_the_supervisor_lives_on(supervise: Supervise, tmp_path: Path) -> None:
    process = supervise(ALIVE.replace("while True", "if life == 1 and number == '0': time.sleep(60)\nwhile True"))
    killed = worker_pid(tmp_path, 0)
    os.kill(killed, signal.SIGKILL)
    # The peer of a dummy does not fall with it, as one of Bytewax would: it is given time to, and then killed.
    eventually(lambda: (tmp_path / "lives-1").read_text() == "11", "the second life")
    eventually(lambda: worker_pid(tmp_path, 0) != killed, "the new worker")
    process.terminate()
    assert told(process) == (0, "stopped 1\n")


def test_a_second_signal_kills_at_once_and_the_exit_code_says_so(supervise: Supervise) -> None:
    deaf = ALIVE.replace("def stop(*_):", "def stop(*_):\n    return\ndef other():")
    process = supervise(deaf)
    process.terminate()
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    assert told(process) == (3, "workers were killed: a stop was asked for twice\n")
    assert time.monotonic() - started < 10


def test_workers_deaf_to_a_stop_are_killed_after_a_while_and_the_exit_code_says_so(supervise: Supervise) -> None:
    process = supervise(ALIVE.replace("def stop(*_):", "def stop(*_):\n    return\ndef other():"), 0.5)
    process.terminate()
    code, out = told(process)
    assert (code, out.partition(";")[0]) == (3, "worker 0 did not end within 0 s")


def test_a_worker_that_goes_on_when_its_peer_has_ended_is_killed_after_a_while(supervise: Supervise) -> None:
    ends = ALIVE.replace("while True", "if number == '1': sys.exit(0)\nwhile True")
    # Not started again: the death counts, and the next life ends like this one, which is too often.
    process = supervise(ends, 0.2)
    code, out = told(process)
    assert code == 3
    assert "crash loop: the workers died 2 times" in out
    assert "worker 0 did not end within 0 s" in out


def test_a_worker_that_was_told_to_stop_by_somebody_else_stops_the_job(supervise: Supervise, tmp_path: Path) -> None:
    tells = ALIVE.replace(
        "    sys.exit(0)", "    os.kill(os.getppid(), signal.SIGURG); time.sleep(0.2); sys.exit(0)", 1
    )
    process = supervise(tells)
    os.kill(worker_pid(tmp_path, 1), signal.SIGTERM)
    assert told(process) == (0, "stopped 0\n")
    assert set((tmp_path / "stops").read_text()) == {"0", "1"}


def test_signals_are_counted_and_those_of_workers_only_once() -> None:
    with stop_signals() as asked:
        assert asked() == 0
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGURG)
        assert asked() == 1
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked() == 1
        os.kill(os.getpid(), signal.SIGINT)
        assert asked() == 2
