"""The recordings that are measured: one dense world of a week, and what it holds of its first hours.

All sizes are cut from one world, so that they differ in length and nothing else: the same number of events per
service and minute. They are made once and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

from config.clock import HOUR
from replay.cut import cut
from replay.recording import Recording
from replay.world import Spec, simulate
from replay.world.scenario import Mix

FOLDER = Path("var/bench")
SEED = 1
DAYS = 7


def world(mix: Mix, events: int, advance: Callable[[int], None]) -> Recording:
    """Return the week of `events` records of a mix, made if it is not there."""
    folder = FOLDER / f"{mix}-{events}"
    if not (folder / "manifest.json").exists():
        rmtree(folder, ignore_errors=True)
        simulate(Spec(seed=SEED, events=events, days=DAYS, mix=mix), folder, advance)
    return Recording.open(folder, verify=False)


def beginning(whole: Recording, events: int, advance: Callable[[int], None]) -> Recording:
    """Return the first hours of `whole` that hold at least `events` records, cut if they are not there."""
    if sum(whole.manifest.topics.values()) <= events:
        return whole
    folder = whole.folder.with_name(f"{whole.folder.name}-first-{events}")
    if not (folder / "manifest.json").exists():
        rmtree(folder, ignore_errors=True)
        cut(whole, folder, created_at=0, until=_until(whole, events), advance=advance)
    return Recording.open(folder, verify=False)


def records_in(recording: Recording) -> int:
    """Return how many records `recording` holds."""
    return sum(recording.manifest.topics.values())


def _until(whole: Recording, events: int) -> int:
    """Return the first full hour before which there are `events` records."""
    since = min(part.min_timestamp for part in whole.partitions) * 1000 // HOUR * HOUR
    low, high = 1, (whole.recorded_until - since) // HOUR
    while low < high:
        middle = (low + high) // 2
        if _before(whole, since + middle * HOUR) < events:
            low = middle + 1
        else:
            high = middle
    return since + low * HOUR


def _before(whole: Recording, until: int) -> int:
    count = 0
    for part in whole.partitions:
        with whole.reader(part.topic, part.partition) as reader:
            count += reader.end_before(until // 1000) - part.first_offset
    return count
