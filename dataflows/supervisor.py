"""Runs a job's worker processes: starts them, watches them, passes a stop on, tells why one failed.

The workers of a job live and die together: when one dies, Bytewax stops the others, and only a common restart from
the recovery folder is sound. The supervisor itself never opens a dataflow, so it may open the recovery files.
"""

from __future__ import annotations

import ctypes
import os
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


class Failure(msgspec.Struct, frozen=True):
    """Why a worker stopped, as it wrote it down itself."""

    message: str
    remedy: str
    exit_code: int


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
    on_poll: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run `command` as so many processes until all have exited well.

    Each gets, appended, its number, the addresses of all (or "-" for a single process) and the path of a file to
    write a `Failure` to.

    Args:
        command: Program and arguments.
        processes: How many.
        folder: Where logs and failures of the workers go: `worker-N.log`.
        keep_open: File descriptors the workers inherit: the lock is held as long as one of them lives.
        on_poll: Called every `POLL_S`, for progress.

    Raises:
        ForestallError: a worker failed, with its own words where it has any.
    """
    addresses = ";".join(_free_addresses(processes)) if processes > 1 else "-"
    failures = [folder / f"worker-{n}.failure" for n in range(processes)]
    for failure in failures:
        failure.unlink(missing_ok=True)
    with _stop_signals() as stop_requested:
        workers = []
        for number, failure in enumerate(failures):
            with (folder / f"worker-{number}.log").open("ab") as log:
                workers.append(
                    subprocess.Popen(
                        [*command, str(number), addresses, str(failure)],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        pass_fds=keep_open,
                        preexec_fn=_die_with_parent,
                    )
                )
        try:
            stopped = _watch(workers, stop_requested, on_poll)
        finally:
            for worker in workers:
                if worker.poll() is None:
                    worker.kill()
                worker.wait()
    codes = [worker.returncode for worker in workers]
    if any(codes):
        raise _explanation(failures, codes, folder)
    return Outcome(stopped)


def _watch(
    workers: list[subprocess.Popen[bytes]], stop_requested: Callable[[], bool], on_poll: Callable[[], None]
) -> bool:
    """Wait until all have exited or one has failed; return whether they were asked to stop."""
    deadline: float | None = None
    while any(worker.poll() is None for worker in workers):
        if any(worker.poll() for worker in workers):
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


def _explanation(failures: list[Path], codes: list[int], folder: Path) -> ForestallError:
    for failure in failures:
        if failure.exists():
            told = msgspec.json.decode(failure.read_bytes(), type=Failure)
            error = EnvironmentFault(told.message, remedy=told.remedy)
            error.exit_code = told.exit_code
            return error
    number, code = next((n, code) for n, code in enumerate(codes) if code)
    how = f"was killed by signal {-code}" if code < 0 else f"exited with {code}"
    return EnvironmentFault(
        f"worker {number} {how}; its log is {folder / f'worker-{number}.log'}",
        remedy="Run the same command again: it goes on where the last durable epoch ended.",
    )


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM and SIGINT into a flag for as long as the workers run."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _die_with_parent() -> None:
    """In the child: get SIGKILL when the supervisor dies, and no SIGINT from the terminal."""
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
