"""The recording that comes with Forestall: whole, small, and what its seed makes with today's generator."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import replay
from replay.recording import Recording
from replay.world import Labels, World
from replay.world.kinds import DECOYS, ISSUES
from replay.world.record import BUNDLED

FOLDER = Path(replay.__file__).parent / "bundled"
STALE = "the bundled recording is not what its seed makes: run `make bundled` and commit it"


def test_it_is_whole_and_at_most_five_megabytes() -> None:
    recording = Recording.open(FOLDER)
    assert sum(recording.manifest.topics.values()) == BUNDLED.events
    assert recording.recorded_until == BUNDLED.until
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 5_000_000


def test_it_shows_every_kind_of_trouble() -> None:
    labels = Labels.read(FOLDER / "labels.json")
    assert set(labels.by_kind()) == set(ISSUES) - {"seller.backlog"}
    assert {issue.cause.partition(":")[0] for issue in labels.issues} == {"", "lane", "seller"}
    assert {decoy.what for decoy in labels.decoys} == set(DECOYS)
    assert len({m.fault for m in labels.malformed}) == 7


@pytest.mark.slow
def test_it_is_what_its_seed_makes() -> None:
    recording, world = Recording.open(FOLDER), World(BUNDLED)
    made: dict[tuple[str, int], list[tuple[Any, ...]]] = defaultdict(list)
    for batch in world.batches():
        made[batch.topic, batch.partition] += zip(
            batch.offsets, batch.timestamps, batch.keys, batch.values, strict=True
        )
    assert world.labels() == Labels.read(FOLDER / "labels.json"), STALE
    for part in recording.partitions:
        kept: list[tuple[Any, ...]] = []
        with recording.reader(part.topic, part.partition) as reader:
            while (read := reader.read(len(kept), 20_000)) is not None:
                kept += zip(read.offsets, read.timestamps, read.keys, read.values, strict=True)
        assert kept == made[part.topic, part.partition], STALE
