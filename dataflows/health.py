"""Whether a job is ready: its workers run, and it makes progress or has nothing to read.

The workers' heartbeats come from the durability gate, which Bytewax calls only when every worker has finished the
epoch before. So one worker that stands still stops all hearts within an epoch, and a flow that is stuck shows, which
no look at its processes would tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Partition:
    """Where one partition is."""

    behind: float
    """Records that are there and not read."""
    idle: bool

    @property
    def quiet(self) -> bool:
        """Whether it has nothing to read."""
        return self.idle or self.behind <= 0


@dataclass(frozen=True)
class Health:
    """What the workers last said of themselves. Instants are seconds since the epoch."""

    processes: Mapping[int, bool]
    """Whether each worker process lives, by number."""
    workers: int
    """Workers of the flow, 0 until one has begun."""
    heartbeats: Mapping[str, float]
    """When each worker was last allowed to go on."""
    progress: float
    """When an offset or a watermark last rose, 0 for never."""
    partitions: Mapping[str, Partition]

    def hindrance(self, now: float, stalled_after: float) -> str | None:
        """Return why the job is not ready, None if it is.

        Args:
            now: Seconds since the epoch.
            stalled_after: How long a worker, or the whole of all partitions, may stand still, seconds.
        """
        dead = sorted(number for number, lives in self.processes.items() if not lives)
        if dead:
            return f"worker process {dead[0]} does not run"
        beating = len(self.heartbeats)
        if not self.workers or beating < self.workers:
            return f"starting: {beating} of {self.workers or 'all'} workers have begun"
        worker, last = min(self.heartbeats.items(), key=lambda item: item[1])
        if now - last > stalled_after:
            return f"worker {worker} has stood still for {now - last:.1f} s"
        busy = sorted(name for name, partition in self.partitions.items() if not partition.quiet)
        if busy and now - self.progress > stalled_after:
            since = f"for {now - self.progress:.1f} s" if self.progress else "yet"
            return f"no progress {since}, though {busy[0]} and {len(busy) - 1} other partitions have records to read"
        return None
