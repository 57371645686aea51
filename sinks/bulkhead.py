"""Bulkheads: each target has its own few threads and its own bound on what waits for them.

A target that is slow fills its own compartment and nobody else's. A call is handed over only by who has a place there.
Where all are taken, those who want one stand in a line, over all shards of the process: the first is given the next
place that is free. Whoever asks never waits: answers, and places, come back by functions that he gives along.
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

Freed = Callable[[str], None]
"""Told who has a place now."""


class Executor(Protocol):
    """Carries out calls to one target."""

    def carry_out(self, call: Call) -> Reply:
        """Ask, wait, and return what came of it."""

    def close(self) -> None:
        """Let go of the target."""


class Places:
    """The places of one target, and the line of those who wait for one. Safe to share between threads.

    Args:
        most: How many there are.
        told: Told how many are used, whenever that changes.
    """

    def __init__(self, most: int, told: Callable[[int], None] = lambda used: None) -> None:
        self.most, self._told = most, told
        self._lock = threading.Lock()
        self._held: set[str] = set()
        """Who has a place and has not used it yet."""
        self._used = 0
        self._line: dict[str, Freed] = {}

    @property
    def taken(self) -> int:
        """How many are held or used."""
        return len(self._held) + self._used

    @property
    def held(self) -> int:
        """How many nobody uses yet."""
        return len(self._held)

    def take(self, who: str, freed: Freed) -> bool:
        """Take a place, or stand in line; return whether there is one. Who stands in line already keeps his turn.

        Args:
            who: For whom.
            freed: Told who has a place now, once the line has come to him.
        """
        with self._lock:
            if who in self._held:
                return True
            if who not in self._line and self.taken < self.most:
                self._held.add(who)
                return True
            self._line[who] = freed
            return False

    def use(self, who: str) -> None:
        """Use the place that was taken."""
        with self._lock:
            self._held.remove(who)
            self._used += 1
            self._told(self._used)

    def leave(self) -> None:
        """Free a place that was used."""
        with self._lock:
            self._used -= 1
            self._told(self._used)
            self._let_in()

    def give_up(self, who: str) -> None:
        """Leave the line, or free the place that was taken and not used."""
        with self._lock:
            self._line.pop(who, None)
            self._held.discard(who)
            self._let_in()

    def _let_in(self) -> None:
        while self._line and self.taken < self.most:
            who = next(iter(self._line))
            freed = self._line.pop(who)
            self._held.add(who)
            freed(who)


class _Compartment:
    """The threads of one target."""

    def __init__(self, name: str, executor: Executor, concurrency: int, waiting: int) -> None:
        self.executor = executor
        self._pool = ThreadPoolExecutor(concurrency, f"target-{name}")
        self.places = Places(concurrency + waiting, lambda used: CALLS_HELD.set(used, name))

    def submit(self, call: Call, answer: Callable[[Reply], None]) -> None:
        self.places.use(call.action_id)
        self._pool.submit(self._carry_out, call, answer)

    def _carry_out(self, call: Call, answer: Callable[[Reply], None]) -> None:
        began = time.perf_counter()
        try:
            reply = self.executor.carry_out(call)
        except Exception as error:
            # A defect here must not leave an action waiting for ever; whether it was sent nobody knows.
            reply = Reply(call.action_id, call.turn, "unknown", f"unexpected {type(error).__name__}", failed=True)
        CALL_SECONDS.observe(time.perf_counter() - began, call.target, operation_of(call), reply.result)
        self.places.leave()
        answer(reply)

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

    def take_place(self, target: str, action_id: str, freed: Freed) -> bool:
        """Take a place for a call of an action, or stand in line for one; return whether there is one.

        Args:
            target: Where.
            action_id: Whose call: an action has one at a time.
            freed: Told the action's id, from any thread, once it has a place: it is held until it is used or given up.
        """
        compartment = self._compartments.get(target)
        return compartment is None or compartment.places.take(action_id, freed)

    def give_up(self, target: str, action_id: str) -> None:
        """Leave the line, or free the place that was taken: there will be no call."""
        if (compartment := self._compartments.get(target)) is not None:
            compartment.places.give_up(action_id)

    def submit(self, call: Call, answer: Callable[[Reply], None]) -> None:
        """Hand a call over, by the place that was taken; `answer` is called once, from another thread or this one."""
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
