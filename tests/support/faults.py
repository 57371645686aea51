"""What a campaign does to a life: kills at an instant, at a system call, or at a point of the protocol."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

CALLS = ("pwrite64", "fdatasync", "fsync")
"""All that SQLite and the state logs do to files."""

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

    `snapshot`: a sink part is about to return its snapshot; those of sources and groups are already on disk.
    `release`: the store has committed a release; the outbox has not forgotten it yet.
    """

    worker: int
    name: Literal["snapshot", "release"]
    nth: int


@dataclass(frozen=True)
class Count:
    """Harmless: writes down every system call of a worker, for the range that `Call` can draw from."""

    worker: int
    log: Path


Fault = Kill | Call | Point | Count


def has_strace() -> bool:
    """Whether strace is there and may trace."""
    strace = shutil.which("strace")
    return strace is not None and subprocess.run([strace, "-qq", "-o", os.devnull, "true"], check=False).returncode == 0


def strace_command(fault: Call | Count) -> list[str]:
    """Return what to put before a worker's command to let the fault happen to it."""
    # With seccomp, only the calls that count stop; without, two processes that poll each other take five times longer.
    command = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={','.join(CALLS)}", "-e", "signal=none"]
    if isinstance(fault, Count):
        return [*command, "-o", str(fault.log)]
    return [*command, "-e", f"inject={fault.syscall}:{fault.effect}:when={fault.nth}", "-o", os.devnull]


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


def plant(point: Point) -> None:
    """Let this worker kill itself at a point."""
    from sinks.outbox import OutboxPart
    from sinks.part_writer import PartWriter

    left = point.nth

    def struck() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            die()

    def then(run: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            result = run(*arguments)
            struck()
            return result

        return wrapped

    if point.name == "snapshot":
        setattr(OutboxPart, "snapshot", then(OutboxPart.snapshot))  # noqa: B010
    else:
        setattr(PartWriter, "release", then(PartWriter.release))  # noqa: B010


def die() -> None:
    """Kill this process as `kill -9` would."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill(pid: int) -> None:
    """Kill a process, if it still is."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
