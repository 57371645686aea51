"""One small world, taken apart once, for all tests that look at its records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from config.clock import from_text
from replay.world import Labels, Spec, World
from replay.world.model import spec_of
from replay.world.scenario import load_scenario


@dataclass
class Record:
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    event: dict[str, Any] = field(default_factory=dict)
    at: int = 0


@dataclass
class Taken:
    spec: Spec
    labels: Labels
    records: list[Record]
    """All records, partition by partition in the order of their offsets."""

    def well(self) -> list[Record]:
        broken = {(m.topic, m.partition, m.offset) for m in self.labels.malformed}
        return [r for r in self.records if (r.topic, r.partition, r.offset) not in broken]

    def of(self, kind: str) -> list[Record]:
        """The records of a type, each event once."""
        unique = {r.event["id"]: r for r in self.well() if r.event["type"] == kind}
        return list(unique.values())


def take(spec: Spec) -> Taken:
    world, records = World(spec), []
    for batch in world.batches():
        columns = zip(batch.offsets, batch.timestamps, batch.keys, batch.values, strict=True)
        for offset, timestamp, key, value in columns:
            assert key is not None
            assert value is not None
            records.append(Record(batch.topic, batch.partition, offset, timestamp, key, value))
    taken = Taken(spec, world.labels(), sorted(records, key=lambda r: (r.topic, r.partition, r.offset)))
    for record in taken.well():
        record.event = orjson.loads(record.value)
        record.at = from_text(record.event["time"])
    return taken


@pytest.fixture(scope="session")
def told() -> Taken:
    """A small world of the default scenario: every kind of issue, every decoy."""
    return take(spec_of(load_scenario("default"), 7, events=50_000))


@pytest.fixture(scope="session")
def world() -> Taken:
    return take(Spec(seed=7, events=40_000, days=21))
