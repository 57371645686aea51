"""A simulated world, written as a recording with its labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from replay.manifest import Manifest
from replay.world.emit import World
from replay.world.labels import LABELS, Labels
from replay.world.model import Spec, spec_of
from replay.world.scenario import load_scenario
from replay.writer import RecordingWriter

BUNDLED = spec_of(load_scenario("bundled"), seed=7)
"""The world whose recording comes with Forestall."""


def simulate(spec: Spec, folder: Path, advance: Callable[[int], object] = lambda _: None) -> tuple[Manifest, Labels]:
    """Write the recording of a world into `folder`, a new one; the same spec makes the same bytes.

    Args:
        spec: What world.
        folder: Where to.
        advance: Told how many more records were written.

    Raises:
        UsageError: The folder holds something else.
        EnvironmentFault: The folder cannot be written.
    """
    world = World(spec)
    with RecordingWriter(folder, created_at=spec.until) as writer:
        for topic, partition in world.partitions:
            writer.declare(topic, partition)
        for batch in world.batches():
            writer.append(batch)
            advance(len(batch))
        labels = world.labels()
        labels.write(folder / LABELS)
        return writer.finish(spec.until, labels=LABELS), labels
