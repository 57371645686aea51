"""Worker processes: started, watched, stopped, and what is said when one fails."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from config.errors import EnvironmentFault, ForestallError
from dataflows import supervisor
from dataflows.supervisor import run_workers

TELL = """
import json, sys
number, addresses, failure = sys.argv[1:]
def tell(message, code, foreseen):
    with open(failure, "w") as file:
        json.dump({"message": message, "remedy": "mend it", "exit_code": code, "foreseen": foreseen}, file)
"""


def run(folder: Path, script: str, processes: int = 1, stop: Callable[[], bool] = lambda: False) -> supervisor.Outcome:
    return run_workers([sys.executable, "-c", TELL + script], processes, folder, [], stop)


def failure(folder: Path, script: str, processes: int = 1) -> ForestallError:
    with pytest.raises(EnvironmentFault) as raised:
        run(folder, script, processes)
    return raised.value


def test_workers_get_number_addresses_and_a_log(tmp_path: Path) -> None:
    assert not run(tmp_path, "print(number, addresses.count(';'))", 2).stopped
    assert (tmp_path / "worker-0.log").read_text() == "0 1\n"
    assert (tmp_path / "worker-1.log").read_text() == "1 1\n"
    run(tmp_path, "print(addresses)")
    assert (tmp_path / "worker-0.log").read_text() == "0 1\n-\n"


def test_what_a_worker_says_is_the_error(tmp_path: Path) -> None:
    error = failure(tmp_path, "tell('the store is gone', 2, True); sys.exit(1)")
    assert (error.message, error.remedy, error.exit_code) == ("the store is gone", "mend it", 2)


def test_foreseen_words_count_more_than_those_of_a_worker_that_lost_its_peer(tmp_path: Path) -> None:
    """The peer is first to go, and the first in number; the one at fault is given time to say why."""
    script = """
import time
if number == "0":
    tell("a worker failed: PanicException", 3, False)
    sys.exit(1)
time.sleep(0.5)
tell("the store is gone", 3, True)
sys.exit(1)
"""
    assert failure(tmp_path, script, 2).message == "the store is gone"


def test_a_killed_worker_is_why_its_peer_failed(tmp_path: Path) -> None:
    script = """
import os, signal, time
if number == "1":
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(0.5)
tell("a worker failed: PanicException", 3, False)
sys.exit(1)
"""
    assert (
        failure(tmp_path, script, 2).message == f"worker 1 was killed by signal 9; its log is {tmp_path}/worker-1.log"
    )


def test_an_unforeseen_failure_names_the_log(tmp_path: Path) -> None:
    error = failure(tmp_path, "tell('a worker failed: KeyError', 3, False); sys.exit(1)")
    assert error.message == f"a worker failed: KeyError; its log is {tmp_path}/worker-0.log"
    assert "Run the same command again" in error.remedy


def test_a_worker_that_dies_without_a_word_is_told_by_how(tmp_path: Path) -> None:
    assert "worker 0 exited with 7; its log" in failure(tmp_path, "sys.exit(7)").message
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert "worker 0 was killed by signal 9; its log" in failure(tmp_path, script).message


def test_an_unforeseen_failure_on_a_full_disk_is_the_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert failure(tmp_path, "sys.exit(7)").message == f"the disk of {tmp_path} is full"
    assert failure(tmp_path, "tell('other', 3, True); sys.exit(1)").message == "other"


def test_a_stop_is_passed_on_once_the_worker_can_hear_it(tmp_path: Path) -> None:
    """Python would die of a SIGTERM that came while it still imports."""
    script = """
import signal, time
time.sleep(0.5)
signal.signal(signal.SIGTERM, lambda *_: (print("drained"), sys.exit(0)))
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
time.sleep(60)
"""
    assert run(tmp_path, script, stop=lambda: True).stopped
    assert (tmp_path / "worker-0.log").read_text() == "drained\n"


def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STOP_GRACE_S", 0.2)
    with pytest.raises(EnvironmentFault, match="worker 0 did not end within 0 s; its log"):
        run(tmp_path, "import time; time.sleep(60)", stop=lambda: True)


def test_a_folder_that_takes_no_log_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path}/none/worker-0.log: No such file" in failure(tmp_path / "none", "").message
