"""When a job that lost a worker is started again, and when that is given up.

The workers of a job live and die together, so a death is one of all. The wait before each new life doubles with the
deaths of late, without chance: one job has no herd to part from. So many deaths in so short a time are a crash loop:
no further life would fare better, and whoever reads the exit code should know.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from config.errors import EnvironmentFault, ForestallError
from config.restarts import Restarts as Limits


@dataclass(frozen=True)
class Death:
    """One end of all workers that was not asked for."""

    error: ForestallError
    """Why, as far as it is known."""
    number: int
    """1 for the first since the job was started."""
    delay: timedelta
    """Until the next life."""


@dataclass(frozen=True)
class Restarts:
    """How a job is started again after its workers died.

    Args:
        prepare: Called before each new life, when no worker is left: looks the recovery folder over again.
        limits: How often, and how long is waited.
        on_death: Told of every death that is followed by another life.
    """

    prepare: Callable[[], None]
    limits: Limits
    on_death: Callable[[Death], None] = lambda death: None


class Deaths:
    """The deaths of one job, and what follows from each."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._late: deque[float] = deque()
        self.count = 0

    def follow(self, error: ForestallError, now_s: float) -> Death:
        """Note a death; return it with the wait until the next life.

        Args:
            error: Why the workers died.
            now_s: Monotonic time.

        Raises:
            ForestallError: there is no next life: the error is one that does not pass, or this is a crash loop.
        """
        if not error.retry:
            raise error
        limits, late = self._limits, self._late
        self.count += 1
        late.append(now_s)
        while late[0] < now_s - limits.deaths_within.total_seconds():
            late.popleft()
        if len(late) >= limits.deaths_max:
            raise self._crash_loop(error, now_s - late[0]) from error
        # The exponent is bounded before the product is: a month of deaths must not overflow.
        delay = min(limits.backoff_first * 2 ** min(len(late) - 1, 30), limits.backoff_max)
        return Death(error, self.count, delay)

    def _crash_loop(self, error: ForestallError, span_s: float) -> ForestallError:
        found = EnvironmentFault(
            f"crash loop: the workers died {len(self._late)} times within {span_s:.0f} s, the last time because: "
            f"{error.message}",
            remedy=error.remedy,
            retry=False,
        )
        found.exit_code = error.exit_code
        return found
