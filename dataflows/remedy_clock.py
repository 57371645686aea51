"""The time of the remediation flow: that of the wall where it is live, event time where it follows a replay."""

from __future__ import annotations

import time
from collections.abc import Callable


def wall_clock() -> int:
    """Return the time of the wall, microseconds."""
    return time.time_ns() // 1_000


class EventClock:
    """Event time that goes from one thing to do to the next, as fast as possible.

    Only while a request may still take effect of which nothing is known, it goes no faster than the wall: the target
    knows no event time.

    Args:
        start: Where it begins, microseconds.
        monotonic: Seconds of wall time.
    """

    def __init__(self, start: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now, self._monotonic = start, monotonic
        self._anchor: tuple[float, int] | None = None

    def now(self) -> int:
        """Return what time it is, microseconds."""
        return self._now

    def advance(self, to: int, *, real: bool) -> bool:
        """Go on to an instant; return whether it was reached.

        Args:
            to: The instant, microseconds.
            real: Go no faster than the wall.
        """
        if not real:
            self._anchor = None
            self._now = max(self._now, to)
            return True
        if self._anchor is None:
            self._anchor = (self._monotonic(), self._now)
        at, began = self._anchor
        self._now = max(self._now, min(to, began + int((self._monotonic() - at) * 1_000_000)))
        return self._now >= to
