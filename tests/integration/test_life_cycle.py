"""A job asked to stop, killed, started again: it drains, leaves nothing behind, and comes to the same results."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from replay.world.model import Spec
from replay.world.record import simulate
from tests.support.commands import PROGRAM, end, eventually, forestall, logs, start, store_url
from tests.support.recordings import Record, record

pytestmark = pytest.mark.slow

SPEED = "43200"
"""Ten days in twenty seconds: long enough to be in the middle of it."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "world"
    simulate(Spec(3, 3000, 10), folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(world: Path) -> dict[str, Any]:
    """What a replay prints that nothing disturbs; its store lies beside the world."""
    document: dict[str, Any] = forestall("replay", world, "--json").document
    return document


def records_in(store: Path) -> int:
    """Return how many records a job's store knows to be read, without disturbing the job."""
    if not store.exists():
        return 0
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT coalesce(sum(records), 0) FROM channels").fetchone()[0])
        except sqlite3.OperationalError:  # no tables yet
            return 0


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started and that live."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def same(document: dict[str, Any], other: dict[str, Any]) -> bool:
    return {**document, "store": ""} == {**other, "store": ""}


@pytest.mark.parametrize(
    ("number", "options"),
    [(signal.SIGTERM, ("--processes", 1, "--workers", 2)), (signal.SIGTERM, ("--processes", 2)), (signal.SIGINT, ())],
    ids=["SIGTERM", "SIGTERM-2-processes", "SIGINT"],
)
def test_a_job_stopped_in_the_middle_drains_exits_well_and_resumes(
    world: Path, undisturbed: dict[str, Any], tmp_path: Path, number: signal.Signals, options: tuple[object, ...]
) -> None:
    store = tmp_path / "s.db"
    arguments = ("replay", world, "--store", store_url(store), "--json")
    process = start(*arguments, "--speed", SPEED, *options, measured=True)
    try:
        eventually(lambda: records_in(store) > 0 or process.poll() is not None, "the first records")
        workers = descendants(process.pid)
        assert workers
        process.send_signal(number)
    finally:
        stopped = end(process).document
    assert not any(map(lives, workers))
    assert not stopped["complete"]
    assert 0 < stopped["events"] < undisturbed["events"]
    assert logs(tmp_path / "s.db.recovery").count("Traceback") == 0
    assert not forestall("report", "--store", store_url(store), "--json").document["complete"]
    assert same(forestall(*arguments).document, undisturbed)


def test_a_stop_before_workers_can_hear_it_is_not_lost(
    world: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    store, log = tmp_path / "s.db", tmp_path / "s.db.recovery" / "worker-0.log"
    arguments = ("replay", world, "--store", store_url(store), "--json")
    process = start(*arguments, "--speed", SPEED)
    try:
        eventually(lambda: log.exists() or process.poll() is not None, "the worker to be started")
        process.terminate()
    finally:
        stopped = end(process).document
    assert (stopped["complete"], stopped["events"]) == (False, 0)
    assert same(forestall(*arguments).document, undisturbed)


def test_a_killed_job_leaves_no_worker_behind_and_resumes(
    world: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    store = tmp_path / "s.db"
    arguments = ("replay", world, "--store", store_url(store), "--json")
    process = start(*arguments, "--speed", SPEED, "--processes", 2)
    try:
        eventually(lambda: records_in(store) > 0 or process.poll() is not None, "the first records")
        workers = descendants(process.pid)
        assert len(workers) == 2
    finally:
        process.kill()
        process.communicate()
    eventually(lambda: not any(map(lives, workers)), "the workers to die with their supervisor")
    assert same(forestall(*arguments).document, undisturbed)


def test_a_killed_worker_ends_the_job_with_what_to_do(world: Path, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    arguments = ("replay", world, "--store", store_url(store), "--json")
    process = start(*arguments, "--speed", SPEED)
    try:
        eventually(lambda: records_in(store) > 0 or process.poll() is not None, "the first records")
        os.kill(descendants(process.pid)[0], signal.SIGKILL)
    finally:
        ended = end(process)
    ended.says(3, "worker 0 was killed by signal 9", "Run the same command again")
    assert same(forestall(*arguments).document, undisturbed)


def test_a_finished_replay_run_again_changes_nothing(world: Path, undisturbed: dict[str, Any]) -> None:
    def content() -> list[Any]:
        with closing(sqlite3.connect(world.with_name("world.db"))) as connection:
            tables = ("outputs", "cases", "channels", "repeats")
            return [connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables]

    before = content()
    assert forestall("replay", world, "--json").document == undisturbed
    assert content() == before


def test_a_paced_replay_does_not_wait_for_a_partition_without_records(tmp_path: Path) -> None:
    """It has no first timestamp: taken for one, the replay would pace all the years since 1970."""
    since = 1_700_000_000_000
    records: list[Record] = [(offset, since + 1000 * offset, None, b"?") for offset in range(100)]
    record(tmp_path / "r", {("crm", 0): [], ("orders", 0): records})
    document = forestall("replay", tmp_path / "r", "--speed", "100", "--json").document
    assert (document["events"], document["dead_letters"], document["complete"]) == (100, 100, True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("replay",), 2),
        (("replay", "x", "--workers", "0"), 2),
        (("fly",), 2),
        (("report", "--store", "sqlite:////nowhere/s.db"), 3),
    ],
)
def test_the_installed_command_ends_with_the_documented_codes(arguments: tuple[str, ...], code: int) -> None:
    ended = end(start(*arguments))
    assert ended.code == code
    assert (ended.err == "") == (code == 0)


def test_a_failed_check_ends_with_1(world: Path, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    store.write_bytes(world.with_name("world.db").read_bytes())
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE cases SET severity = 'none'")
    forestall("store", "rebuild", "--store", store_url(store)).says(1, "differed from its events")


def test_a_reader_that_closes_the_pipe_is_no_fault(world: Path, undisturbed: dict[str, Any]) -> None:
    assert undisturbed["complete"]
    command = [PROGRAM, "report", "--json", "--store", store_url(world.with_name("world.db"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        assert b"Traceback" not in process.stderr.read()
