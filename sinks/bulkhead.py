"""Bulkheads: each target has its own few threads and its own bound on what waits for them.

A target that is slow fills its own compartment and nobody else's. A call is handed over only by who has a place there.
Where all are taken, those who want one stand in a line, over all shards of the process: the first is given the next
place that is free. Whoever asks never waits: answers, and places, come back by functions that he gives along.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import Protocol

from config.effects import Call, Reply, operation_of
from config.metrics import ACTIONS_IN_LINE, CALL_SECONDS, CALLS_HELD
from config.targets import Targets

WAIT_S = 1.0
"""So long a call waits for its turn at the most, as far as can be told from those before it."""
FIRST_S, LEAST_S = 0.05, 1e-4
"""How long a call is taken to last before any was made, and at least."""
WEIGHT = 0.2
"""Of the latest call in the mean."""
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

    There are no more than the target gets through in `WAIT_S` at its pace: who is handed over to a slow one would
    only wait there until it is too late.

    Args:
        concurrency: How many are asked at a time.
        waiting: How many may wait for that, at the most.
        told: Told how many are used and how many stand in line, whenever that changes.
    """

    def __init__(
        self, concurrency: int, waiting: int, told: Callable[[int, int], None] = lambda used, line: None
    ) -> None:
        self._concurrency, self._waiting, self._told = concurrency, waiting, told
        self._seconds = FIRST_S
        """How long a call takes: a mean in which the latest weigh the most."""
        self._lock = threading.Lock()
        self._held: set[str] = set()
        """Who has a place and has not used it yet."""
        self._used = 0
        # A plain dict looks through all that were taken from its front, each time: ten times as long for 100,000.
        self._line: OrderedDict[str, Freed] = OrderedDict()

    @property
    def most(self) -> int:
        """How many there are."""
        return self._concurrency + min(self._waiting, int(self._concurrency * WAIT_S / self._seconds))

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
            self._told(self._used, len(self._line))
            return False

    def use(self, who: str) -> None:
        """Use the place that was taken."""
        with self._lock:
            self._held.remove(who)
            self._used += 1
            self._told(self._used, len(self._line))

    def leave(self, seconds: float | None = None) -> None:
        """Free a place that was used; the call took so long, None where nothing was asked."""
        with self._lock:
            if seconds is not None:
                self._seconds += WEIGHT * (max(seconds, LEAST_S) - self._seconds)
            self._used -= 1
            self._let_in()
            self._told(self._used, len(self._line))

    def give_up(self, who: str) -> None:
        """Leave the line, or free the place that was taken and not used."""
        with self._lock:
            self._line.pop(who, None)
            self._held.discard(who)
            self._let_in()
            self._told(self._used, len(self._line))

    def _let_in(self) -> None:
        while self._line and self.taken < self.most:
            who, freed = self._line.popitem(last=False)
            self._held.add(who)
            freed(who)


class _Compartment:
    """The threads of one target.

    They take calls from a plain queue: an executor's futures, which nobody here looks at, cost a tenth of what carrying
    an action out takes.
    """

    def __init__(self, name: str, executor: Executor, concurrency: int, waiting: int) -> None:
        self.executor, self._name, self._concurrency = executor, name, concurrency
        self.places = Places(concurrency, waiting, self._tell)
        self._calls: SimpleQueue[tuple[Call, Callable[[Reply], None]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, call: Call, answer: Callable[[Reply], None]) -> None:
        self.places.use(call.action_id)
        if not self._threads:
            self._start()
        self._calls.put((call, answer))

    def _start(self) -> None:
        with self._lock:
            while len(self._threads) < self._concurrency:
                # Not waited for at the end of the process: of what they do nothing is known then.
                thread = threading.Thread(target=self._run, name=f"target-{self._name}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _run(self) -> None:
        while (given := self._calls.get()) is not None:
            if not self._closed:
                self._carry_out(*given)

    def _carry_out(self, call: Call, answer: Callable[[Reply], None]) -> None:
        began = time.perf_counter()
        try:
            reply = self.executor.carry_out(call)
        except Exception as error:
            # A defect here must not leave an action waiting for ever; whether it was sent nobody knows.
            reply = Reply(call.action_id, call.turn, "unknown", f"unexpected {type(error).__name__}", failed=True)
        seconds = time.perf_counter() - began
        with suppress(OSError):
            CALL_SECONDS.observe(seconds, call.target, operation_of(call), reply.result)
        self.places.leave(None if reply.result == "expired" else seconds)
        answer(reply)

    def _tell(self, used: int, line: int) -> None:
        with suppress(OSError):  # a disk that is full costs a metric, and no thread, place or answer
            CALLS_HELD.set(used, self._name)
            ACTIONS_IN_LINE.set(line, self._name)

    def close(self) -> None:
        # Those under way are not waited for: of what they do nothing is known, which is what a restart takes them for.
        self._closed = True
        for _ in self._threads:
            self._calls.put(None)
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
