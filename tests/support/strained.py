"""A worker of a replay under strain: run as a program, as `replay.play` is.

Its source may sample by lag, as only a live one does; its store may take long for each release. What its outboxes
hold is written down.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bytewax.dataflow import Dataflow

from dataflows import job as jobs
from dataflows.job import Partitions, detection_flow, settings_of
from dataflows.overload import ByLag
from replay.play import Job, Result, play
from replay.recording import Recording
from replay.source import RecordedPartition
from sinks.chain import Entry
from sinks.outbox import Outbox, Release
from sinks.part_writer import ChannelStats, PartWriter

STRAIN = "STRAIN"


@dataclass(frozen=True)
class Strain:
    """What is hard on the worker."""

    log: str
    """File that gets a line of JSON for each write to an outbox: seconds, part, entries and bytes held."""
    release_s: float = 0.0
    """Wall time that the store takes for each release of a part."""
    looks_per_s: float | None = None
    """Sample by lag, by a clock that a partition's so many looks make a second; None for not at all."""


def flow_of(job: Job, stopping: Callable[[], bool]) -> Dataflow:
    """Return the flow under strain."""
    settings = settings_of(job)
    recording = Recording.open(job.recording, verify=False)
    looks = strain().looks_per_s

    def sampling(name: str) -> ByLag:
        assert looks is not None
        seconds = (number / looks for number in count())
        return ByLag(settings.overload, lambda: next(seconds))

    partitions = Partitions(
        [f"{part.topic}/{part.partition}" for part in recording.partitions],
        lambda name: RecordedPartition(recording, name),
        sampling=None if looks is None else sampling,
    )
    return detection_flow(job, settings, partitions, stopping, lambda store: stopping() or store.all_done())


def strain() -> Strain:
    """Return what this process was started with."""
    return Strain(**json.loads(os.environ[STRAIN]))


def play_under(job: Job, strain: Strain) -> Result:
    """Play a recording with workers under strain."""

    def command(job: jobs.Job, module: str) -> list[str]:
        return [sys.executable, "-m", "tests.support.strained", str(Path(job.recovery) / jobs.JOB)]

    with (
        patch.object(jobs, "worker_command", command),
        patch.dict(os.environ, {STRAIN: json.dumps(asdict(strain)), "PYTHONPATH": str(Path(__file__).parents[2])}),
    ):
        return play(job)


def _slowly(seconds: float) -> Any:
    release = PartWriter.release

    def slow(self: PartWriter, entries: Sequence[Entry], stats: Sequence[ChannelStats] = ()) -> bool:
        if entries:
            time.sleep(seconds)
        return release(self, entries, stats)

    return patch.object(PartWriter, "release", slow)


def _told(log: Path) -> Any:
    write = Outbox.write

    def told(self: Outbox, releases: Iterable[Release]) -> None:
        write(self, releases)
        held = self._entries
        line = [time.monotonic(), self.part, len(held), sum(len(entry.body) for entry in held)]
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")

    return patch.object(Outbox, "write", told)


def main(arguments: list[str]) -> int:
    """Run one worker: see `dataflows.job.work`."""
    with _slowly(strain().release_s), _told(Path(strain().log)):
        return jobs.work(arguments, Job, flow_of)


if __name__ == "__main__":
    jobs.leave(main(sys.argv[1:]))
