"""Real processes, really killed: lives of a replay, or of a job on live topics.

A life is a supervisor process that prepares the run as `forestall` does, and the workers it starts. They are
forked from this process, which has all modules loaded, so that a life costs a fraction of a start; what runs in them
is the product's own code. The forking process must not have started threads (Polars): they would not survive. So
campaigns run in a process of their own, see `tests/chaos/campaign.py`.

When that process dies, however, everything it started dies with it.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec

from dataflows import live as live_topics
from dataflows.job import JOB, settings_of
from dataflows.live import LiveJob
from dataflows.supervisor import _free_addresses
from replay import play
from replay.play import Job
from tests.support.faults import (
    Call,
    Count,
    Fault,
    Hold,
    Kill,
    Point,
    Stop,
    Victim,
    arm,
    die_with_parent,
    kill,
    prctl,
    trace,
)

Damage = Callable[[], None]
"""Switches a safeguard off in the processes of a life: a negative control."""

READY = b"1"
KILLED = 9
"""Exit code of a supervisor one of whose workers was killed."""
HANGS_S = 90.0
"""Wall time after which a life is taken to hang."""
LOG_BYTES_MAX = 1 << 20
PR_SET_CHILD_SUBREAPER = 36


class End(Enum):
    """How a life ended."""

    WELL = "ended well"
    STRUCK = "struck"
    """By what was meant to befall it."""
    STOPPED = "stopped"
    """When asked to, in good order."""
    FAILED = "failed"
    """By itself, though nothing was done to it."""


@dataclass(frozen=True)
class Life:
    """What is known of a life that is over."""

    end: End
    words: str
    """Of those who failed."""
    purged: int | None
    """Zombie snapshots that its preflight deleted; None when it did not come that far."""


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


def live(
    job: Job | LiveJob,
    fault: Fault | None = None,
    damage: Damage | None = None,
    chosen: int = 0,
    watch: Callable[[int], End] | None = None,
) -> Life:
    """Run one life to its end, or until `fault` ends it.

    Args:
        job: What to play or read.
        fault: What befalls it.
        damage: What is switched off.
        chosen: Of several workers, the one that a `Kill` of a worker is meant for.
        watch: Given the supervisor's number, sees to it that the life ends, and tells how; by default waits for that.
    """
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # whatever a killed supervisor leaves behind becomes ours to reap
    folder = Path(job.recovery).parent
    for path in (*folder.glob("*.failure"), *folder.glob("flow-*"), folder / "purged"):
        path.unlink(missing_ok=True)
    log = folder / "lives.log"
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.unlink()
    supervisor = _fork(lambda: _supervise(job, fault, damage), folder)
    with suppress(PermissionError, ProcessLookupError):
        os.setpgid(supervisor, supervisor)
    try:
        end = _watch(supervisor, job, fault, chosen) if watch is None else watch(supervisor)
    finally:
        survivors = _bury(supervisor)
    words = " ".join(path.read_text() for path in sorted(folder.glob("*.failure")))
    if survivors:
        end, words = End.FAILED, f"{survivors} processes outlived their supervisor"
    purged = folder / "purged"
    return Life(end, words or ("no words" if end is End.FAILED else ""), _number(purged))


def apart(run: Callable[[], object], folder: Path) -> None:
    """Run something in a process of its own, so that the threads it starts are not this one's.

    Raises:
        RuntimeError: it failed; its words are in `lives.log`.
    """

    def well() -> int:
        run()
        return 0

    if apart_code(well, folder):
        raise RuntimeError((folder / "lives.log").read_text())


def apart_code(run: Callable[[], int], folder: Path) -> int:
    """Run something in a process of its own; return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(_fork(run, folder), 0)[1])


def _watch(supervisor: int, job: Job | LiveJob, fault: Fault | None, chosen: int) -> End:
    """Wait for the supervisor's end, and kill when it is time."""
    started = time.monotonic()
    instant = None if not isinstance(fault, Kill) or fault.since_flow else started + fault.after_s
    folder = Path(job.recovery).parent
    while True:
        pid, status = os.waitpid(supervisor, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            meant = isinstance(fault, Point | Hold | Call) and code == KILLED
            spoilt = isinstance(fault, Call) and fault.effect.startswith("error")
            if code == 0:
                return End.STOPPED if isinstance(fault, Stop) else End.WELL
            return End.STRUCK if meant or spoilt else End.FAILED
        now = time.monotonic()
        if now - started > HANGS_S:
            (folder / "hang.failure").write_text(f"nothing ended within {HANGS_S:.0f} s")
            return End.FAILED
        if isinstance(fault, Kill) and instant is None and (folder / "flow-0").exists():
            instant = now + fault.after_s
        if isinstance(fault, Kill) and instant is not None and now >= instant:
            strike(supervisor, fault.victim, chosen, folder)
            return End.STRUCK
        time.sleep(0.002)


def workers_of(folder: Path) -> list[int]:
    """Return the processes of the workers whose flow is built."""
    return [pid for path in sorted(folder.glob("flow-*")) if (pid := _number(path))]


def strike(supervisor: int, victim: Victim, chosen: int, folder: Path) -> None:
    """Kill a life, or a part of it."""
    workers = workers_of(folder)
    if victim == "all":
        os.killpg(supervisor, signal.SIGKILL)
    elif victim == "supervisor" or not workers:
        kill(supervisor)
    else:
        kill(workers[chosen % len(workers)])
    with suppress(ChildProcessError):
        os.waitpid(supervisor, 0)


def _bury(group: int) -> int:
    """Wait until no process of the group is left; return how many had to be killed."""
    deadline = time.monotonic() + 10.0
    while True:
        try:
            pid, _ = os.waitpid(-group, os.WNOHANG)
        except ChildProcessError:
            return 0
        if pid == 0:
            if time.monotonic() > deadline:
                os.killpg(group, signal.SIGKILL)
                return 1
            time.sleep(0.001)


def _supervise(job: Job | LiveJob, fault: Fault | None, damage: Damage | None) -> int:
    """Prepare in one child, which goes on holding the locks, and work in others.

    Preparing starts threads (Polars), which would not survive a fork: so workers are forked from here.
    """
    os.setpgid(0, 0)
    if damage is not None:
        damage()
    folder = Path(job.recovery).parent
    receiving, sending = os.pipe()
    preparer = _fork(lambda: _prepare(job, sending), folder)
    os.close(sending)
    if os.read(receiving, 1) != READY:
        return 3
    addresses = ";".join(_free_addresses(job.processes)) if job.processes > 1 else "-"
    workers = [_fork(partial(_work, job, number, addresses, fault), folder) for number in range(job.processes)]
    if isinstance(fault, Call | Count):
        _fork(partial(_trace_when_built, fault, workers[fault.worker], folder), folder)
    codes: dict[int, int] = {}
    while len(codes) < len(workers):
        for worker in workers:
            if worker not in codes and (found := os.waitpid(worker, os.WNOHANG))[0]:
                codes[worker] = os.waitstatus_to_exitcode(found[1])
        if any(codes.values()):
            break
        time.sleep(0.002)
    for worker in workers:
        kill(worker)
    kill(preparer)
    if not any(codes.values()):
        return 0
    return KILLED if -signal.SIGKILL in codes.values() else 3


def _prepare(job: Job | LiveJob, sending: int) -> int:
    with prepared(job) as purged:
        (Path(job.recovery).parent / "purged").write_text(str(purged))
        os.write(sending, READY)
        signal.pause()
    return 0


@contextmanager
def prepared(job: Job | LiveJob) -> Iterator[int]:
    """Check and lock all for a run, as the program does; yield how many zombie snapshots were deleted."""
    if isinstance(job, LiveJob):
        with live_topics.prepared(job, settings_of(job)) as ready:
            yield ready.places.preflight.purged
    else:
        with play.prepared(job) as set_up:
            yield set_up.preflight.purged


def _trace_when_built(fault: Call | Count, pid: int, folder: Path) -> int:
    while not (folder / f"flow-{fault.worker}").exists():
        time.sleep(0.001)
    trace(fault, pid)
    return 1


def _work(job: Job | LiveJob, number: int, addresses: str, fault: Fault | None) -> int:
    """Be a worker, one that says when its flow is built."""
    module = cast(Any, live_topics if isinstance(job, LiveJob) else play)
    folder, build = Path(job.recovery).parent, module.flow_of

    def built(*arguments: Any) -> Any:
        flow = build(*arguments)
        (folder / f"flow-{number}").write_text(str(os.getpid()))
        arm(fault, number)
        return flow

    module.flow_of = built
    failure = folder / f"worker-{number}.failure"
    code: int = module.main([str(Path(job.recovery) / JOB), str(number), addresses, str(failure)])
    return code


def _fork(run: Callable[[], int], folder: Path) -> int:
    """Run something in a child that dies with this process; return its number."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        die_with_parent()
        if os.getppid() != parent:
            os._exit(1)
        log = os.open(folder / "lives.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        faulthandler.register(signal.SIGUSR1)  # whoever waits for it in vain can ask where it is
        code = run()
    except BaseException as error:
        traceback.print_exc()
        told = {"error": repr(error), "retry": bool(getattr(error, "retry", False))}
        (folder / f"{os.getpid()}.failure").write_bytes(msgspec.json.encode(told))
    sys.stderr.flush()
    os._exit(code)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
