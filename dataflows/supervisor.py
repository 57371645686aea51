"""Runs a job's worker processes: starts them, watches them, passes a stop on, tells why one failed.

The workers of a job live and die together: when one dies, Bytewax stops the others, and only a common restart from
the recovery folder is sound. The supervisor itself never opens a dataflow, so it may open the recovery files.

It always ends: whoever does not stop when told to, fail when a peer has failed, or end when the others have, is
killed after a while. Nothing is lost by that, and the exit code is one of failure.
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
from dataflows.restarts import Deaths, Restarts

POLL_S = 0.05
STOP_GRACE_S = 60.0
"""Wall time that workers get to finish their epoch after a stop, or after one of them has ended well, before they are
killed."""
TELL_GRACE_S = 5.0
"""Wall time that workers get to say why, after one of them failed: the first to go may only have lost its peer."""
DISK_FREE_MIN = 1 << 20
"""Bytes; with less free space a worker that failed for no reason of its own failed for that."""
LOG_BYTES_MAX = 1 << 20
"""A worker's log larger than this is set aside when the next worker starts: restarts must not fill the disk."""
REPEAT = "Run the same command again: it goes on where the last durable epoch ended."


class Failure(msgspec.Struct, frozen=True):
    """Why a worker stopped, as it wrote it down itself."""

    message: str
    remedy: str
    exit_code: int
    foreseen: bool
    """Whether it is in our own words, not only the type of an error that nobody expected."""
    retry: bool = True
    """Whether the same thing may go well a moment later."""


_failure = msgspec.json.Decoder(Failure).decode


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    stopped: bool
    """Asked to stop before the end of its input; it can be resumed."""
    deaths: int = 0
    """How often all workers died and were started again."""


def run_workers(
    command: Sequence[str],
    processes: int,
    folder: Path,
    keep_open: Sequence[int],
    stop_requested: Callable[[], int],
    on_poll: Callable[[], None] = lambda: None,
    restarts: Restarts | None = None,
) -> Outcome:
    """Run `command` as so many processes until all have exited well.

    Each gets, appended, its number, the addresses of all (or "-" for a single process) and the path of a file to
    write a `Failure` to. Each starts with SIGTERM blocked, so that a stop waits until its handler is there.

    Args:
        command: Program and arguments.
        processes: How many.
        folder: Where logs of the workers go: `worker-N.log`.
        keep_open: File descriptors the workers inherit: the lock is held as long as one of them lives.
        stop_requested: How often a stop was asked for: see `stop_signals`. At the second time workers are killed.
        on_poll: Called every `POLL_S`, for progress.
        restarts: How to start all again after a death; None for not at all.

    Raises:
        ForestallError: a worker failed, with its own words where it has any; or failed too often.
    """
    deaths = None if restarts is None else Deaths(restarts.limits)
    life = _Life(command, processes, folder, keep_open, stop_requested, on_poll)
    while True:
        try:
            if restarts is not None and deaths is not None and deaths.count:
                restarts.prepare()
            return Outcome(life.run(), deaths.count if deaths else 0)
        except ForestallError as error:
            if restarts is None or deaths is None or stop_requested():
                raise
            death = deaths.follow(error, time.monotonic())
            restarts.on_death(death)
            if _sleep(death.delay.total_seconds(), stop_requested):
                return Outcome(True, deaths.count)


def _sleep(seconds: float, stop_requested: Callable[[], int]) -> bool:
    """Wait; return at once, and True, when a stop is asked for."""
    deadline = time.monotonic() + seconds
    while not stop_requested():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, POLL_S))
    return True


@dataclass(frozen=True)
class _Life:
    """From the start of all workers to the end of all: arguments as of `run_workers`."""

    command: Sequence[str]
    processes: int
    folder: Path
    keep_open: Sequence[int]
    stop_requested: Callable[[], int]
    on_poll: Callable[[], None]

    def run(self) -> bool:
        """Start the workers and wait for them; return whether they were asked to stop.

        Raises:
            ForestallError: a worker failed, or had to be killed.
        """
        addresses = ";".join(_free_addresses(self.processes)) if self.processes > 1 else "-"
        workers: list[subprocess.Popen[bytes]] = []
        words: list[int] = []
        try:
            for number in range(self.processes):
                # A pipe, not a file: a disk that is full must not keep a worker from saying so.
                receiving, sending = os.pipe()
                words.append(receiving)
                try:
                    arguments = [*self.command, str(number), addresses, f"/dev/fd/{sending}"]
                    log = self.folder / f"worker-{number}.log"
                    workers.append(_start(arguments, log, (*self.keep_open, sending)))
                finally:
                    os.close(sending)
            stopped = self._watch(workers)
        finally:
            overdue = {number for number, worker in enumerate(workers) if worker.poll() is None}
            for worker in workers:
                if worker.poll() is None:
                    worker.kill()
                worker.wait()
            told = [_read(receiving) for receiving in words]
        codes = [worker.returncode for worker in workers]
        if any(codes):
            raise _explanation(told, codes, overdue, self.folder, hurried=self.stop_requested() > 1)
        return stopped

    def _watch(self, workers: list[subprocess.Popen[bytes]]) -> bool:
        """Wait until all have exited, one has failed or patience is at its end; return whether a stop was asked for."""
        stopped, deadline = False, float("inf")
        while any(worker.poll() is None for worker in workers):
            codes = [worker.poll() for worker in workers]
            if any(codes):
                _wait(workers, TELL_GRACE_S)
                break
            if not stopped and self.stop_requested():
                stopped = True
                for worker in workers:
                    with suppress(ProcessLookupError):
                        worker.send_signal(signal.SIGTERM)
            if deadline == float("inf") and (stopped or 0 in codes):
                deadline = time.monotonic() + STOP_GRACE_S
            if time.monotonic() > deadline or self.stop_requested() > 1:
                break
            self.on_poll()
            time.sleep(POLL_S)
        return stopped


def _start(command: Sequence[str], log: Path, keep_open: Sequence[int]) -> subprocess.Popen[bytes]:
    try:
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_name(log.name + ".old"))
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


def _wait(workers: list[subprocess.Popen[bytes]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(worker.poll() is None for worker in workers) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _read(receiving: int) -> Failure | None:
    """Return what a worker that has exited wrote into its pipe, if anything, and close the pipe."""
    with os.fdopen(receiving, "rb") as pipe:
        os.set_blocking(receiving, False)
        written = pipe.read()
    return _failure(written) if written else None


def _explanation(
    told: list[Failure | None], codes: list[int], overdue: set[int], folder: Path, *, hurried: bool
) -> ForestallError:
    """Return the error of a run, by what most likely came first.

    Args:
        told: What each worker said.
        codes: Their exit codes.
        overdue: Those that were killed by us, since they did not end.
        folder: Where their logs are.
        hurried: They were killed because a stop was asked for twice.
    """
    foreseen = [failure for failure in told if failure and failure.foreseen]
    if foreseen:
        # What does not pass counts more: a peer may have met something that would have.
        chosen = min(foreseen, key=lambda failure: failure.retry)
        error = EnvironmentFault(chosen.message, remedy=chosen.remedy, retry=chosen.retry)
        error.exit_code = chosen.exit_code
        return error
    if hurried and overdue:
        return EnvironmentFault("workers were killed: a stop was asked for twice", remedy=REPEAT)
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
def stop_signals() -> Iterator[Callable[[], int]]:
    """Count SIGTERM and SIGINT for as long as the block runs.

    A worker that is sent SIGTERM by somebody else says so by SIGURG: then the whole job stops, for the others would
    wait for ever for what it reads.
    """
    asked: list[int] = []
    passed_on: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        (passed_on if number == signal.SIGURG else asked).append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGURG)}
    try:
        yield lambda: max(len(asked), min(len(passed_on), 1))
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
