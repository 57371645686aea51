"""A campaign's rounds: a fresh store, some lives that are struck, one to the end, one more that changes nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from replay.play import Job
from replay.world import Spec, simulate
from replay.world.model import usual_days
from sinks.engine import store_path
from tests.chaos.plans import Kind, Ranges, plan
from tests.support.chaos import Damage, End, Life, apart, job_of, live
from tests.support.faults import Count, Fault, counted
from tests.support.verdict import Content, Output, broken_at_end, broken_midway, content_of, position_of


class BrokenReference(Exception):
    """Unbroken runs do not end well, or differ: there is nothing to compare with."""


@dataclass
class Figures:
    """What the rounds of one kind did."""

    rounds: int = 0
    lives: int = 0
    struck: int = 0
    """Lives that were ended."""
    purging: int = 0
    """Lives whose preflight found zombie snapshots."""
    purged: int = 0
    """Zombie snapshots."""
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)


class Campaign:
    """Rounds against one recording and one unbroken run.

    Args:
        folder: Where stores and recording go. The folder of a round stays only when something was violated.
        events: Size of the recording.
        processes: Numbers of processes to run on.
        seed: Of all that is drawn.
        damage: What is switched off, in all but the unbroken runs.
    """

    def __init__(
        self, folder: Path, events: int, processes: Sequence[int], seed: str, damage: Damage | None = None
    ) -> None:
        self.figures: dict[Kind, Figures] = {}
        self._folder, self._recording = folder, folder / "recording"
        self._processes, self._seed, self._damage = processes, seed, damage
        spec = Spec(1, events, usual_days(events), "full")
        apart(lambda: simulate(spec, self._recording), folder)
        self._reference, self._span_s = self._unbroken()
        self._calls: dict[str, int] = {}

    @property
    def outputs(self) -> dict[str, int]:
        """Outputs of the unbroken run by kind."""
        return self._reference.counts

    @property
    def calls(self) -> dict[str, int]:
        """System calls of an unbroken run on one process, by name; empty until `count_calls`."""
        return self._calls

    def count_calls(self) -> None:
        """Find the range of system calls that can be struck at."""
        log = self._folder / "strace.log"
        self._ended_well("count", 1, Count(0, log))
        self._calls = counted(log)

    def run(self, kind: Kind, number: int, total: int) -> list[str]:
        """Run round `number` of `total`; return what was violated."""
        figures = self.figures.setdefault(kind, Figures())
        started = time.monotonic()
        folder = self._folder / f"{kind}-{number}"
        wrong = self._round(kind, number, total, self._job(folder, 1), figures)
        figures.rounds += 1
        figures.seconds += time.monotonic() - started
        figures.violations += [f"{kind}:{number}: {each}" for each in wrong]
        if not wrong:
            shutil.rmtree(folder)
        return wrong

    def _round(self, kind: Kind, number: int, total: int, job: Job, figures: Figures) -> list[str]:
        seen: frozenset[Output] = frozenset()
        blows = plan(kind, number, total, self._seed, self._processes, Ranges(self._span_s, self._calls))
        for blow in blows:
            job = msgspec.structs.replace(job, processes=blow.processes, workers=blow.workers)
            life = self._live(job, figures, blow.fault, blow.chosen)
            figures.struck += life.end is End.STRUCK
            if life.end is End.FAILED:
                return [f"halted under {blow}: {life.words}"]
            path = store_path(job.store_url)
            if path is not None and life.purged is not None:  # else it died before there was a store
                wrong, seen = broken_midway(job.store_url, seen, self._reference)
                if wrong:
                    return [f"after {blow}: {each}" for each in wrong]
            if life.end is End.WELL:
                break
        return self._finished(job, figures) or self._again(job, figures)

    def _finished(self, job: Job, figures: Figures) -> list[str]:
        life = self._live(job, figures)
        if life.end is not End.WELL:
            return [f"halted at the end: {life.words}"]
        return broken_at_end(job.store_url, self._reference)

    def _again(self, job: Job, figures: Figures) -> list[str]:
        before = position_of(job.store_url)
        wrong = self._finished(job, figures)
        if position_of(job.store_url) != before:
            wrong.append("something was released")
        return [f"a further run: {each}" for each in wrong]

    def _live(self, job: Job, figures: Figures, fault: Fault | None = None, chosen: int = 0) -> Life:
        life = live(job, fault, self._damage, chosen)
        figures.lives += 1
        figures.purging += bool(life.purged)
        figures.purged += life.purged or 0
        return life

    def _unbroken(self) -> tuple[Content, float]:
        """Run unbroken on each number of processes; return what all of them leave, and the wall time of the slowest."""
        contents, span_s = [], 0.0
        for processes in sorted(set(self._processes)):
            started = time.monotonic()
            contents.append(content_of(self._ended_well(f"unbroken-{processes}", processes)))
            span_s = max(span_s, time.monotonic() - started)
        if any(content != contents[0] for content in contents):
            raise BrokenReference(f"Unbroken runs differ: {[content.digest for content in contents]}")
        return contents[0], span_s

    def _ended_well(self, name: str, processes: int, fault: Fault | None = None) -> str:
        job = self._job(self._folder / name, processes)
        life = live(job, fault)
        if life.end is not End.WELL:
            raise BrokenReference(f"An unbroken run on {processes} processes {life.end.value}: {life.words}")
        return job.store_url

    def _job(self, folder: Path, processes: int) -> Job:
        folder.mkdir()
        return job_of(self._recording, folder, processes=processes)
