"""Runs a job's worker processes: starts them, watches them, passes a stop on, tells why one failed.

The workers of a job live and die together: when one dies, Bytewax stops the others, and only a common restart from
the recovery folder is sound. The supervisor itself never opens a dataflow, so it may open the recovery files.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import msgspec

from config.errors import EnvironmentFault, ForestallError

POLL_S = 0.05
STOP_GRACE_S = 60.0
"""Wall time that workers get to finish their epoch after a stop, before they are killed."""
TELL_GRACE_S = 5.0
"""Wall time that workers get to say why, after one of them failed: the first to go may only have lost its peer."""
DISK_FREE_MIN = 1 << 20
"""Bytes; with less free space a worker that failed for no reason of its own failed for that."""
REPEAT = "Run the same command again: it goes on where the last durable epoch ended."


class Failure(msgspec.Struct, frozen=True):
    """Why a worker stopped, as it wrote it down itself."""

    message: str
    remedy: str
    exit_code: int
    foreseen: bool
    """Whether it is in our own words, not only the type of an error that nobody expected."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    stopped: bool
    """Asked to stop before the end of its input; it can be resumed."""


def run_workers(
    command: Sequence[str],
    processes: int,
    folder: Path,
    keep_open: Sequence[int],
    stop_requested: Callable[[], bool],
    on_poll: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run `command` as so many processes until all have exited well.

    Each gets, appended, its number, the addresses of all (or "-" for a single process) and the path of a file to
    write a `Failure` to. Each starts with SIGTERM blocked, so that a stop waits until its handler is there.

    Args:
        command: Program and arguments.
        processes: How many.
        folder: Where logs of the workers go: `worker-N.log`.
        keep_open: File descriptors the workers inherit: the lock is held as long as one of them lives.
        stop_requested: Whether to stop: see `stop_signals`.
        on_poll: Called every `POLL_S`, for progress.

    Raises:
        ForestallError: a worker failed, with its own words where it has any.
    """
    addresses = ";".join(_free_addresses(processes)) if processes > 1 else "-"
    workers: list[subprocess.Popen[bytes]] = []
    words: list[int] = []
    try:
        for number in range(processes):
            # A pipe, not a file: a disk that is full must not keep a worker from saying so.
            receiving, sending = os.pipe()
            words.append(receiving)
            try:
                arguments = [*command, str(number), addresses, f"/dev/fd/{sending}"]
                workers.append(_start(arguments, folder / f"worker-{number}.log", (*keep_open, sending)))
            finally:
                os.close(sending)
        stopped = _watch(workers, stop_requested, on_poll)
    finally:
        overdue = {number for number, worker in enumerate(workers) if worker.poll() is None}
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
        told = [_read(receiving) for receiving in words]
    codes = [worker.returncode for worker in workers]
    if any(codes):
        raise _explanation(told, codes, overdue, folder)
    return Outcome(stopped)


def _start(command: Sequence[str], log: Path, keep_open: Sequence[int]) -> subprocess.Popen[bytes]:
    try:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=keep_open,
                preexec_fn=_prepare_child,
            )
    except OSError as error:
        raise EnvironmentFault(
            f"no worker can be started with its log {log}: {error.strerror}", remedy="Check the disk, and start again."
        ) from error


def _watch(
    workers: list[subprocess.Popen[bytes]], stop_requested: Callable[[], bool], on_poll: Callable[[], None]
) -> bool:
    """Wait until all have exited or one has failed; return whether they were asked to stop."""
    deadline: float | None = None
    while any(worker.poll() is None for worker in workers):
        if any(worker.poll() for worker in workers):
            _wait(workers, TELL_GRACE_S)
            break
        if deadline is None and stop_requested():
            deadline = time.monotonic() + STOP_GRACE_S
            for worker in workers:
                with suppress(ProcessLookupError):
                    worker.send_signal(signal.SIGTERM)
        if deadline is not None and time.monotonic() > deadline:
            break
        on_poll()
        time.sleep(POLL_S)
    return deadline is not None


def _wait(workers: list[subprocess.Popen[bytes]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(worker.poll() is None for worker in workers) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _read(receiving: int) -> Failure | None:
    """Return what a worker that has exited wrote into its pipe, if anything, and close the pipe."""
    with os.fdopen(receiving, "rb") as pipe:
        os.set_blocking(receiving, False)
        written = pipe.read()
    return msgspec.json.decode(written, type=Failure) if written else None


def _explanation(told: list[Failure | None], codes: list[int], overdue: set[int], folder: Path) -> ForestallError:
    """Return the error of a run, by what most likely came first.

    Args:
        told: What each worker said.
        codes: Their exit codes.
        overdue: Those that were killed by us, since they did not end.
        folder: Where their logs are.
    """
    foreseen = next((failure for failure in told if failure and failure.foreseen), None)
    if foreseen is not None:
        error = EnvironmentFault(foreseen.message, remedy=foreseen.remedy)
        error.exit_code = foreseen.exit_code
        return error
    if shutil.disk_usage(folder).free < DISK_FREE_MIN:
        return EnvironmentFault(f"the disk of {folder} is full", remedy=f"Free space on it. {REPEAT}")
    number, what = _first_cause(told, codes, overdue)
    return EnvironmentFault(f"{what}; its log is {folder / f'worker-{number}.log'}", remedy=REPEAT)


def _first_cause(told: list[Failure | None], codes: list[int], overdue: set[int]) -> tuple[int, str]:
    """Return the worker at fault and what happened: a kill from outside is why its peers failed."""
    ended = [(number, code) for number, code in enumerate(codes) if code and number not in overdue]
    for number, code in ended:
        if code < 0:
            return number, f"worker {number} was killed by signal {-code}"
    for number, failure in enumerate(told):
        if failure is not None:
            return number, failure.message
    for number, code in ended:
        return number, f"worker {number} exited with {code}"
    return min(overdue), f"worker {min(overdue)} did not end within {STOP_GRACE_S:.0f} s"


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM and SIGINT into a flag for as long as the block runs."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prepare_child() -> None:
    """In the child: hold SIGTERM back, get SIGKILL when the supervisor dies, and no SIGINT from the terminal."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    os.setpgid(0, 0)


def _free_addresses(count: int) -> list[str]:
    """Return loopback addresses that are free now; Bytewax's channel between processes is unauthenticated."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    finally:
        for each in sockets:
            each.close()
