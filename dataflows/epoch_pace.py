"""Batches that end with the epoch.

Bytewax ends a partition's epoch at the first look after its interval, and lets nobody begin the next one before all
partitions of all processes have ended theirs. A batch that takes a fifth of a second makes an epoch by as much longer,
in each process by another span, and the others wait. So towards the end of an epoch batches are cut to what fits. A
single worker waits for nobody, and small batches would only cost it more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

RECORDS_MIN = 5_000
"""Smaller batches cost more than the wait that they spare: the first record of a batch costs as much as thousands."""


class EpochPace:
    """Tells one partition how many records to take; changes batches, never results.

    Args:
        interval_s: Wall time of an epoch, seconds; None where nobody waits.
        clock: Seconds that only rise.
    """

    def __init__(self, interval_s: float | None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._interval_s, self._clock = interval_s, clock
        self._record_s = 0.0
        """Of the last batch; 0 before the first."""
        self._ends_at = 0.0
        self.begin()

    def begin(self) -> None:
        """Take note that an epoch begins."""
        self._ends_at = self._clock() + (self._interval_s or 0.0)

    def limit(self, records: int) -> int:
        """Return how many of `records` fit into what is left of the epoch, but not fewer than make a batch."""
        if self._interval_s is None or not self._record_s:
            return records
        left_s = max(self._ends_at - self._clock(), 0.0)
        return min(records, max(RECORDS_MIN, int(left_s / self._record_s)))

    def took(self, records: int, seconds: float) -> None:
        """Take note of how long a batch took; what a small one cost says little about larger ones."""
        if records >= RECORDS_MIN:
            self._record_s = seconds / records
