"""Overload: at which rate a partition looks into its telemetry, and when that changes.

What a rate does stands in `operators/shedding.py`. It is decided here, live, by the wall clock and by how far the
partition is behind; a replay takes what was decided then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from config.settings import Overload


class Sampling(Protocol):
    """Says at which rate a partition is to be sampled."""

    def one_in(self, next_offset: int, behind: int, current: int) -> int:
        """Return of how many records that may be sampled one is to be looked into, from `next_offset` on.

        Args:
            next_offset: The record that is read next.
            behind: How many records from there on are known to be there.
            current: The rate up to there.
        """

    def next_change(self, next_offset: int) -> int | None:
        """Return the first offset after `next_offset` at which the rate changes, if that is known."""


class ByLag:
    """One step more for every so long that a lag lasts; one less when half of it has lasted as long.

    Args:
        settings: Which lag, steps, and how long.
        clock: Seconds that only rise.
    """

    def __init__(self, settings: Overload, clock: Callable[[], float] = time.monotonic) -> None:
        self._lag_max = settings.lag_max
        self._rates = (1, *settings.steps)
        self._interval = settings.step_interval.total_seconds()
        self._clock = clock
        self._since: float | None = None
        """When the lag was first found beyond a bound."""
        self._step = 0
        """In which direction that would change the rate: 1, -1, or 0 for not at all."""

    def one_in(self, next_offset: int, behind: int, current: int) -> int:
        """Return the rate to go on with: another one at most once in `step_interval`."""
        if not self._lag_max:
            return 1
        step = 1 if behind > self._lag_max else -1 if behind <= self._lag_max / 2 else 0
        now = self._clock()
        if step != self._step or self._since is None:
            self._step, self._since = step, now
        if not step or now - self._since < self._interval:
            return current
        self._since = now
        if step > 0:
            return next((rate for rate in self._rates if rate > current), current)
        return next((rate for rate in reversed(self._rates) if rate < current), current)

    def next_change(self, next_offset: int) -> int | None:
        """Return None: it is not known before it happens."""
        return None
