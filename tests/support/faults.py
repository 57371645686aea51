"""What a campaign does to a life: kills at an instant, at a system call, or at a point of the protocol."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Literal, cast

CALLS = ("pwrite64", "fdatasync", "fsync")
"""All that SQLite and the state logs do to files."""

PAUSE_S = 0.1
"""At a point, the other workers get so long to write what they have of the epoch: it will be a zombie."""

TICK = timedelta(milliseconds=250)
"""Of the gate under a `Hold`: many epochs, so that a gate that is free to stay behind does."""
HOLD_S = 3 * TICK.total_seconds()
"""The gate ticks at least twice in it."""

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
    every: bool = False
    """Every time from then on, not only that once."""


@dataclass(frozen=True)
class Point:
    """A worker kills itself the `nth` time it comes to a point of the protocol.

    `snapshot`: a sink part is about to return a snapshot with new outputs; those of sources and groups are already on
    disk.
    `release`: the store has committed a release; the outbox has not forgotten it yet.
    `transaction`: before or after any call to a producer of output topics: each step of each transaction.
    """

    worker: int
    name: Literal["snapshot", "release", "transaction"]
    nth: int


@dataclass(frozen=True)
class Hold:
    """A process is killed between the snapshots of an epoch and its commit, after a time in which its gates tick.

    Of two workers, each a thread, that had to snapshot their outboxes, the first has done so, with new outputs; the
    second is held in doing it, so that the epoch is not durable. The gate must not release what the first one took:

        first worker                              second worker
        outbox: snapshot of epoch e, registered
                                                  outbox: snapshot of epoch e, held: e cannot be committed
        gate: called?
                                                  kill -9: the run resumes at e

    With the gate upstream of the outbox, the first line needs all gates to have left e; and a source that has left e
    is not called until e is committed on all workers. So the gate keeps silent, and e is run again unseen. A gate that
    is not upstream may still be in e, or before it, where it may be called at any time: it releases, and the next
    life finds the store ahead of the recovery.
    """

    nth: int
    """How often it comes to that before it happens."""


@dataclass(frozen=True)
class Stop:
    """SIGTERM to all workers, some wall time after their flow was built: at 0, before they read a record."""

    after_s: float


@dataclass(frozen=True)
class Count:
    """Harmless: writes down every system call of a worker, for the range that `Call` can draw from."""

    worker: int
    log: Path


Fault = Kill | Call | Point | Hold | Stop | Count


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
    elif isinstance(fault, Hold):
        _hold(fault)


def trace(fault: Call | Count, pid: int) -> None:
    """Become the tracer of the worker `pid`."""
    # Not with --seccomp-bpf, which is faster: strace 6.1 then injects errors but no signals.
    arguments = ["strace", "-f", "-qq", "-e", f"trace={','.join(CALLS)}", "-e", "signal=none", "-p", str(pid)]
    if isinstance(fault, Call):
        when = f"{fault.nth}+" if fault.every else str(fault.nth)
        arguments += ["-e", f"inject={fault.syscall}:{fault.effect}:when={when}", "-o", os.devnull]
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


def die_with_parent() -> None:
    """Let this process be killed when the one that forked it ends."""
    pr_set_pdeathsig = 1
    prctl(pr_set_pdeathsig, signal.SIGKILL)


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

    def on_release(writer: Any, entries: Any, stats: Any) -> bool:
        done = release(writer, entries, stats)
        if entries or stats:
            struck()
        return done

    if point.name == "snapshot":
        cast(Any, OutboxPart).snapshot = on_snapshot
    elif point.name == "release":
        cast(Any, PartWriter).release = on_release
    else:
        _tap_producers(struck)


def _tap_producers(step: Callable[[], None]) -> None:
    """Call `step` before and after each call to a producer of outputs."""
    from confluent_kafka import Producer

    from sinks.topic import TopicPart

    def tapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            step()
            answer = original(*arguments, **named)
            step()
            return answer

        return call

    def with_taps(kind: type) -> type:
        names = ("init_transactions", "begin_transaction", "produce", "flush", "commit_transaction")
        return type("Tapped", (kind,), {name: tapped(getattr(kind, name)) for name in names})

    init: Any = TopicPart.__init__
    init.__defaults__ = tuple(
        with_taps(each) if isinstance(each, type) and issubclass(each, Producer) else each for each in init.__defaults__
    )


def _hold(hold: Hold) -> None:
    from dataflows.sources import PartitionTicks
    from sinks import gate
    from sinks.outbox import OutboxPart

    snapshot, next_batch = OutboxPart.snapshot, PartitionTicks.next_batch
    told, took, met = dict[str, int](), set[int](), count(1)
    gate.TICK = TICK

    def on_batch(source: Any) -> Any:
        took.clear()  # no source is read between the first snapshot of an outbox in an epoch and the epoch's commit
        return next_batch(source)

    def on_snapshot(part: Any) -> bytes:
        state, worker = snapshot(part), threading.get_ident()
        if took - {worker} and next(met) == hold.nth:
            time.sleep(HOLD_S)
            os.kill(os.getpid(), signal.SIGKILL)
        if part._outbox.seq > told.get(part._outbox.part, 0):
            told[part._outbox.part] = part._outbox.seq
            took.add(worker)
        return state

    cast(Any, OutboxPart).snapshot = on_snapshot
    cast(Any, PartitionTicks).next_batch = on_batch


def kill(pid: int) -> None:
    """Kill a process, if it still is."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
