"""Whole replays: a real worker process, recovery on, an SQLite store, everything durable."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from benchmarks.probe import REPORT
from benchmarks.recordings import FOLDER, records_in
from benchmarks.usage import Seconds
from dataflows.supervisor import run_workers, stop_signals
from replay.play import JOB, Job, prepared
from replay.recording import Recording


@dataclass(frozen=True)
class Replay:
    """What one replay took and did."""

    records: int
    processing: Seconds
    """From the built flow to the last output in the store: reading, all stages, every snapshot, every release."""
    start_wall_s: float
    """Before that: checks, locks, interpreter, imports."""
    counts: dict[str, int]
    """Outputs by kind."""
    probe: dict[str, Any]
    """See `benchmarks.probe.Probe.report`; of the first process."""


def replay(recording: Recording, advance: Callable[[int, int], None], processes: int = 1) -> Replay:
    """Replay `recording` with so many worker processes into a store of its own, which is removed."""
    with TemporaryDirectory(dir=FOLDER) as scratch, stop_signals() as stop_requested:
        job = Job(
            recording=str(recording.folder),
            store_url=f"sqlite:///{scratch}/store.db",
            recovery=f"{scratch}/recovery",
            processes=processes,
        )
        began = time.perf_counter()
        with prepared(job) as ready:
            recovery = Path(job.recovery)
            command = [sys.executable, "-P", "-m", "benchmarks.probe", str(recovery / JOB)]
            run_workers(
                command,
                processes,
                recovery,
                ready.descriptors,
                stop_requested,
                lambda: advance(ready.store.totals()["records"], ready.records),
            )
            counts = ready.store.counts()
        wall = time.perf_counter() - began
        probes = [orjson.loads((recovery / REPORT.format(number)).read_bytes()) for number in range(processes)]
    each = [Seconds(**probe["processing"]) for probe in probes]
    processing = Seconds(max(one.wall for one in each), sum(one.cpu for one in each))
    return Replay(records_in(recording), processing, wall - processing.wall, counts, probes[0])
