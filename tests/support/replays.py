"""Replays one after another, each in fresh processes forked from one that has all modules loaded.

To start `forestall replay` takes seconds, mostly of imports; a forked replay does the same work without them. The
forking process must not have used Polars, so it is one of its own: this module run as a program.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from replay.play import Job
from sinks.queries import open_by_stage
from sinks.store import Store
from tests.support.chaos import End, live
from tests.support.commands import unmeasured

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """A replay of recordings, one after the other, into one store."""

    recordings: tuple[Path, ...]
    processes: int = 1
    workers: int = 1
    speed: float | None = None
    drain: bool = False
    settings: str = ""
    """TOML, without tables."""


@dataclass(frozen=True)
class Left:
    """What a run left in its store."""

    digest: str
    counts: Mapping[str, int]
    """Outputs by kind."""
    totals: Mapping[str, int]
    open_: Mapping[str, Mapping[str, int]]
    """Keys, timers and events that were open at the end, by stage."""


def replayed(runs: Mapping[str, Run], folder: Path) -> dict[str, Left]:
    """Carry the runs out, each with a store of its own in `folder`; return what each left, by name."""
    jobs = [job for name, run in runs.items() for job in _jobs(run, folder / name)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.replays"],
        input=msgspec.json.encode(jobs),
        cwd=ROOT,
        env=unmeasured() | {"POLARS_MAX_THREADS": "1"},
        capture_output=True,
    )
    sys.stderr.write(done.stderr.decode())
    assert done.returncode == 0, "a run failed, see above"
    return {name: left_in(folder / name) for name in runs}


def left_in(folder: Path) -> Left:
    """Return what is in the store of a run."""
    with Store.open(f"sqlite:///{folder / 'store.db'}") as store:
        return Left(store.digest(), store.counts(), store.totals(), open_by_stage(store))


def _jobs(run: Run, folder: Path) -> Sequence[Job]:
    folder.mkdir(parents=True)
    settings = folder / "settings.toml"
    settings.write_text(run.settings)
    store = folder / "store.db"
    return [
        Job(
            recording=str(recording),
            store_url=f"sqlite:///{store}",
            recovery=f"{store}.recovery",
            config=str(settings),
            workers=run.workers,
            processes=run.processes,
            speed=run.speed,
            drain=run.drain,
        )
        for recording in run.recordings
    ]


def main() -> int:
    """Carry out the jobs given as JSON, in order; return 1 with the words of the first that fails."""
    jobs = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Job])
    for job in jobs:
        began = time.monotonic()
        life = live(job)
        sys.stderr.write(f"{job.store_url}: {time.monotonic() - began:.1f} s\n")
        if life.end is not End.WELL:
            sys.stderr.write(f"{json.dumps(msgspec.to_builtins(job))}: {life.end}: {life.words}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
