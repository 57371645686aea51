"""Real processes, really killed: lives of a replay, cut short at instants that a seed draws.

A life is a supervisor process that prepares the run as `forestall replay` does, and the workers it starts. They are
forked from this process, which has all modules loaded, so that a life costs a fraction of a second; what runs in
them is the product's own code.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dataflows.supervisor import _free_addresses
from replay import play
from replay.play import JOB, Job, prepared
from sinks.store import Store

Damage = Callable[[], None]
"""Switches a safeguard off in the processes of a life: a negative control."""


READY = b"1"


@dataclass
class Tally:
    """What a campaign did."""

    lives: int = 0
    kills: int = 0
    purged: int = 0
    failures: list[str] = field(default_factory=list)


def job_of(recording: Path, folder: Path, *, processes: int = 1, workers: int = 1) -> Job:
    """Return the job that plays `recording` into a store in `folder`."""
    store = folder / "store.db"
    return Job(
        recording=str(recording),
        store_url=f"sqlite:///{store}",
        recovery=f"{store}.recovery",
        workers=workers,
        processes=processes,
    )


def live(job: Job, tally: Tally, kill_after: float | None, rng: random.Random, damage: Damage | None = None) -> bool:
    """Run one life; kill it after so many seconds unless it ends before. Return whether it ended by itself, well."""
    tally.lives += 1
    supervisor = os.fork()
    if supervisor == 0:
        _in_child(partial(_supervise, job, damage), Path(job.recovery))
    deadline = None if kill_after is None else time.monotonic() + kill_after
    while True:
        pid, status = os.waitpid(supervisor, os.WNOHANG)
        if pid:
            _kill_group(supervisor)
            if os.waitstatus_to_exitcode(status) == 0:
                return True
            tally.failures.append(_last_words(job))
            return False
        if deadline is not None and time.monotonic() > deadline:
            break
        time.sleep(0.002)
    tally.kills += 1
    victims = _children(supervisor)
    if victims and rng.random() < 0.5:
        # One worker first: the others must not get far without it.
        _kill(rng.choice(victims))
        time.sleep(rng.random() * 0.05)
    _kill_group(supervisor)
    os.waitpid(supervisor, 0)
    return False


def digest_of(job: Job) -> tuple[str, dict[str, int]]:
    """Return the store's digest and its counts of outputs by kind."""
    with Store.open(job.store_url) as store:
        return store.digest(), store.counts()


def _supervise(job: Job, damage: Damage | None) -> int:
    """Prepare in one child, which goes on holding the locks, and work in others.

    Preparing starts threads (Polars), which would not survive a fork: so workers are forked from here.
    """
    os.setpgid(0, 0)
    if damage is not None:
        damage()
    recovery = Path(job.recovery)
    receiving, sending = os.pipe()
    preparer = os.fork()
    if preparer == 0:
        os.close(receiving)
        _in_child(partial(_prepare, job, sending), recovery)
    os.close(sending)
    if os.read(receiving, 1) != READY:
        return 3
    addresses = ";".join(_free_addresses(job.processes)) if job.processes > 1 else "-"
    workers = []
    for number in range(job.processes):
        arguments = [str(recovery / JOB), str(number), addresses, str(recovery / f"worker-{number}.failure")]
        worker = os.fork()
        if worker == 0:
            _in_child(partial(play.main, arguments), recovery)
        workers.append(worker)
    codes = [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]
    _kill(preparer)
    return max(codes, key=abs)


def _prepare(job: Job, sending: int) -> int:
    with prepared(job):
        os.write(sending, READY)
        signal.pause()
    return 0


def _in_child(run: Callable[[], int], folder: Path) -> None:
    log = os.open(folder.parent / "lives.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 1
    try:
        code = run()
    except BaseException as error:
        traceback.print_exc()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "worker-s.failure").write_text(repr(error))
    sys.stderr.flush()
    os._exit(code)


def _children(supervisor: int) -> list[int]:
    path = Path(f"/proc/{supervisor}/task/{supervisor}/children")
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        _kill(leader)


def _last_words(job: Job) -> str:
    words = [path.read_text() for path in sorted(Path(job.recovery).glob("worker-*.failure"))]
    return " ".join(words) or "no words"
