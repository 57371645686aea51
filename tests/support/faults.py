"""What a campaign does to a life: kills at an instant, at a system call, or at a point of the protocol."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

CALLS = ("pwrite64", "fdatasync", "fsync")
"""All that SQLite and the state logs do to files."""

PAUSE_S = 0.1
"""At a point, the other workers get so long to write what they have of the epoch: it will be a zombie."""

Victim = Literal["all", "worker", "supervisor"]


@dataclass(frozen=True)
class Kill:
    """`kill -9` at an instant."""

    after_s: float
    """Wall time since the life began, or since its flow was built."""
    since_flow: bool = False
    victim: Victim = "all"


@dataclass(frozen=True)
class Call:
    """The `nth` time that a thread of a worker enters a system call, something happens to it."""

    worker: int
    syscall: str
    nth: int
    effect: str = "signal=KILL"
    """In the words of `strace -e inject`: `signal=KILL`, `error=EIO` …"""


@dataclass(frozen=True)
class Point:
    """A worker kills itself the `nth` time it comes to a point of the protocol.

    `snapshot`: a sink part is about to return a snapshot with new outputs; those of sources and groups are already on
    disk.
    `release`: the store has committed a release; the outbox has not forgotten it yet.
    """

    worker: int
    name: Literal["snapshot", "release"]
    nth: int


@dataclass(frozen=True)
class Stop:
    """SIGTERM to all workers, some wall time after their flow was built: at 0, before they read a record."""

    after_s: float


@dataclass(frozen=True)
class Count:
    """Harmless: writes down every system call of a worker, for the range that `Call` can draw from."""

    worker: int
    log: Path


Fault = Kill | Call | Point | Stop | Count


def has_strace() -> bool:
    """Whether strace is there and may trace."""
    strace = shutil.which("strace")
    return strace is not None and subprocess.run([strace, "-qq", "-o", os.devnull, "true"], check=False).returncode == 0


def arm(fault: Fault | None, worker: int) -> None:
    """In a worker whose flow is built: let the fault happen to it, if it is meant."""
    if isinstance(fault, Stop):
        if fault.after_s:
            threading.Timer(fault.after_s, _stop).start()
        else:
            _stop()
    elif isinstance(fault, Call | Count) and fault.worker == worker:
        _wait_for_tracer()
    elif isinstance(fault, Point) and fault.worker == worker:
        _plant(fault)


def trace(fault: Call | Count, pid: int) -> None:
    """Become the tracer of the worker `pid`."""
    # Not with --seccomp-bpf, which is faster: strace 6.1 then injects errors but no signals.
    arguments = ["strace", "-f", "-qq", "-e", f"trace={','.join(CALLS)}", "-e", "signal=none", "-p", str(pid)]
    if isinstance(fault, Call):
        arguments += ["-e", f"inject={fault.syscall}:{fault.effect}:when={fault.nth}", "-o", os.devnull]
    else:
        arguments += ["-o", str(fault.log)]
    os.execvp(arguments[0], arguments)


def counted(log: Path) -> dict[str, int]:
    """Return how often the busiest thread entered each system call, from the log of `Count`."""
    seen: dict[tuple[str, str], int] = {}
    for line in log.read_text().splitlines():
        thread, _, rest = line.partition(" ")
        name = rest.strip().partition("(")[0]
        if name in CALLS:
            seen[thread, name] = seen.get((thread, name), 0) + 1
    return {name: max((n for (_, each), n in seen.items() if each == name), default=0) for name in CALLS}


def prctl(option: int, value: int) -> None:
    """Set a property of this process."""
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_for_tracer() -> None:
    set_ptracer, anybody = 0x59616D61, -1
    prctl(set_ptracer, anybody)
    status = Path("/proc/self/status")
    deadline = time.monotonic() + 10
    while "TracerPid:\t0\n" in status.read_text():
        if time.monotonic() > deadline:
            raise RuntimeError("strace did not attach: may this user trace (kernel.yama.ptrace_scope)?")
        time.sleep(0.001)


def _plant(point: Point) -> None:
    from sinks.outbox import OutboxPart
    from sinks.part_writer import PartWriter

    left, told = point.nth, dict[str, int]()
    snapshot, release = OutboxPart.snapshot, PartWriter.release

    def struck() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            time.sleep(PAUSE_S)
            os.kill(os.getpid(), signal.SIGKILL)

    def on_snapshot(part: Any) -> bytes:
        state = snapshot(part)
        if part._outbox.seq > told.get(part._outbox.part, 0):
            told[part._outbox.part] = part._outbox.seq
            struck()
        return state

    def on_release(*arguments: Any) -> None:
        release(*arguments)
        struck()

    if point.name == "snapshot":
        cast(Any, OutboxPart).snapshot = on_snapshot
    else:
        cast(Any, PartWriter).release = on_release


def kill(pid: int) -> None:
    """Kill a process, if it still is."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
