"""Whether a job is ready: its workers run, and all that it reads makes progress.

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

    progress: float
    """When its offset or watermark last rose, or it rightly waited; an idle one's rises with the wall clock."""
    ended: bool = False
    """At the end of its recording: nothing more is to be expected."""


@dataclass(frozen=True)
class Health:
    """What the workers last said of themselves. Instants are seconds since the epoch."""

    processes: Mapping[int, bool]
    """Whether each worker process lives, by number."""
    workers: int
    """Workers of the flow, 0 until one has begun."""
    heartbeats: Mapping[str, float]
    """When each worker was last allowed to go on."""
    partitions: Mapping[str, Partition]

    def hindrance(self, now: float, stalled_after: float, idle_timeout: float) -> str | None:
        """Return why the job is not ready, None if it is.

        Args:
            now: Seconds since the epoch.
            stalled_after: How long a worker may stand still, seconds.
            idle_timeout: How much longer a partition may be silent before it counts as idle, seconds.
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
        stuck = sorted(
            (partition.progress, name)
            for name, partition in self.partitions.items()
            if not partition.ended and now - partition.progress > stalled_after + idle_timeout
        )
        if stuck:
            since, name = stuck[0]
            return f"{name} has made no progress for {now - since:.1f} s, nor {len(stuck) - 1} other partitions"
        return None
