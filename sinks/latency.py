"""How long outputs take, and what they wait for.

An output has the event time of the record or timer that made it. It is *due* as soon as no partition can bring
anything earlier: when the slowest watermark has passed that time. Sources note when that was; the outbox asks. So the
wait that event time imposes (arrival, lateness, the slowest channel) and the time that the job takes are told apart,
and neither needs a wall clock in anything that flows.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable

from config.clock import TIME_MAX
from config.metrics import END_TO_END, EVENT_DELAY, PROCESSING

SPAN_US = 10_000
"""Rises of a watermark this close together are noted as one, at the time of the first: nothing looks quicker."""
NOTES_MAX = 65_536
"""Ten minutes of rises, at the closest."""


class Reached:
    """When a rising event time reached which value, in this process."""

    def __init__(self) -> None:
        self._values: list[int] = []
        self._walls: list[int] = []
        self._first = TIME_MAX

    def begin(self, value: int) -> None:
        """Note that this process began at `value`, or even before it if that was said already."""
        if not self._values:
            self._first = min(self._first, value)

    def note(self, value: int, wall: int) -> None:
        """Note that `value` was reached at `wall`; both microseconds since the epoch."""
        values, walls = self._values, self._walls
        if values and value <= values[-1]:
            return
        if not values:
            self._first = min(self._first, value)
        if len(values) > 1 and wall - walls[-1] < SPAN_US:
            values[-1] = value
            return
        values.append(value)
        walls.append(wall)
        if len(values) > NOTES_MAX:
            del values[: NOTES_MAX // 2], walls[: NOTES_MAX // 2]

    @property
    def value(self) -> int | None:
        """The highest value noted, None before the first."""
        return self._values[-1] if self._values else None

    def passed(self, at: int) -> int | None:
        """Return when event time `at` was passed; None if it is not yet, or was before anything was noted."""
        if at < self._first:
            return None
        place = bisect_right(self._values, at)
        return self._walls[place] if place < len(self._walls) else None


class Delays:
    """The event times that the partitions of this process have reached, and the delays of outputs."""

    def __init__(self) -> None:
        self._newest, self._fastest, self._slowest = Reached(), Reached(), Reached()
        self._lock = threading.Lock()
        self._ask: Callable[[], int] | None = None

    def begin(self, watermark: int, slowest: Callable[[], int]) -> None:
        """Note where a partition stands as this process begins to read it: outputs due later are its own.

        Args:
            watermark: Its watermark.
            slowest: Tells the lowest watermark of all partitions, `TIME_MAX` where none holds back.
        """
        self._ask = slowest
        with self._lock:
            for each in (self._newest, self._fastest, self._slowest):
                each.begin(watermark)

    def reached(self, newest: int, watermark: int, slowest: int, wall: int) -> None:
        """Note how far a partition, and the slowest of all, have come.

        Args:
            newest: The newest event time of the partition, microseconds, and so the next three.
            watermark: Its watermark.
            slowest: The lowest watermark of all partitions.
            wall: Wall clock when the records that brought this were there.
        """
        with self._lock:
            self._newest.note(newest, wall)
            self._fastest.note(watermark, wall)
            self._slowest.note(slowest, wall)

    def slowest(self, slowest: int) -> None:
        """Note how far the slowest of all partitions has come by now."""
        known = self._slowest.value
        if slowest < TIME_MAX and (known is None or slowest > known):
            with self._lock:
                self._slowest.note(slowest, time.time_ns() // 1000)

    def observe(self, times: Iterable[int], wall: int) -> None:
        """Take in outputs that are durable at `wall`, by their event times."""
        if self._ask is not None:
            # While an epoch is committed no source looks: what others raised meanwhile is seen at its release.
            self.slowest(self._ask())
        for at in times:
            END_TO_END.observe(max(wall - at, 0) / 1e6)
            with self._lock:
                due, fastest, newest = (each.passed(at) for each in (self._slowest, self._fastest, self._newest))
            if due is None:
                continue  # made by an earlier process: when it was due is not known here
            PROCESSING.observe(max(wall - due, 0) / 1e6)
            fastest = min(fastest or due, due)
            newest = min(newest or fastest, fastest)
            EVENT_DELAY.observe(max(newest - at, 0) / 1e6, "arrival")
            EVENT_DELAY.observe((fastest - newest) / 1e6, "lateness")
            EVENT_DELAY.observe((due - fastest) / 1e6, "slowest_channel")


DELAYS = Delays()
"""Those of this process: its sources and its sink parts are called by different hands."""
