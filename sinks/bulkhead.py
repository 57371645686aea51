"""Bulkheads: each target has its own few threads and its own bound on what waits for them.

A target that is slow fills its own compartment and nobody else's. Whoever asks never waits: answers come back by a
function that he gives along.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from config.effects import Call, Reply, operation_of
from config.metrics import CALL_SECONDS, CALLS_HELD
from config.targets import Targets


class Executor(Protocol):
    """Carries out calls to one target."""

    def carry_out(self, call: Call) -> Reply:
        """Ask, wait, and return what came of it."""

    def close(self) -> None:
        """Let go of the target."""


class _Compartment:
    """The threads of one target."""

    def __init__(self, name: str, executor: Executor, concurrency: int, waiting: int) -> None:
        self.executor, self._name = executor, name
        self._pool = ThreadPoolExecutor(concurrency, f"target-{name}")
        self._most = concurrency + waiting
        self._lock = threading.Lock()
        self._inside = 0

    @property
    def has_room(self) -> bool:
        return self._inside < self._most

    def submit(self, call: Call, answer: Callable[[Reply], None]) -> None:
        self._enter(1)
        self._pool.submit(self._carry_out, call, answer)

    def _carry_out(self, call: Call, answer: Callable[[Reply], None]) -> None:
        began = time.perf_counter()
        try:
            reply = self.executor.carry_out(call)
        except Exception as error:
            # A defect here must not leave an action waiting for ever; whether it was sent nobody knows.
            reply = Reply(call.action_id, call.turn, "unknown", f"unexpected {type(error).__name__}", failed=True)
        CALL_SECONDS.observe(time.perf_counter() - began, call.target, operation_of(call), reply.result)
        self._enter(-1)
        answer(reply)

    def _enter(self, calls: int) -> None:
        with self._lock:
            self._inside += calls
            CALLS_HELD.set(self._inside, self._name)

    def close(self) -> None:
        # Those under way are not waited for: of what they do nothing is known, which is what a restart takes them for.
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.executor.close()


class Bulkheads:
    """All targets of a process. Safe to share between threads.

    Args:
        targets: Their bounds.
        executors: Who carries out calls to each.
    """

    def __init__(self, targets: Targets, executors: Mapping[str, Executor]) -> None:
        self._compartments = {
            name: _Compartment(name, executor, targets.by_name[name].concurrency, targets.by_name[name].waiting)
            for name, executor in executors.items()
        }

    def has_room(self, target: str) -> bool:
        """Return whether a call to `target` can be handed over now."""
        compartment = self._compartments.get(target)
        return compartment is None or compartment.has_room

    def submit(self, call: Call, answer: Callable[[Reply], None]) -> None:
        """Hand a call over; `answer` is called once, from another thread or this one."""
        compartment = self._compartments.get(call.target)
        if compartment is not None:
            compartment.submit(call, answer)
        elif call.verb in ("do", "undo"):
            answer(Reply(call.action_id, call.turn, "refused", f"there is no target {call.target!r}"))
        else:
            answer(Reply(call.action_id, call.turn, "unreadable", f"there is no target {call.target!r}"))

    def close(self) -> None:
        """Let go of all targets, at once."""
        for compartment in self._compartments.values():
            compartment.close()
