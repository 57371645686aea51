"""Seeded input for campaigns: a small world on a few partitions, with duplicates and poison among its records."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import msgspec
import orjson

from config.clock import to_text
from operators.batch import RawBatch
from replay.manifest import Idle
from replay.recording import Recording
from replay.world import Spec, simulate
from replay.world.model import usual_days
from replay.writer import RecordingWriter
from tests.support.chaos_topics import Record

PARTITIONS = {"orders": 2, "crm": 1, "telemetry": 2}
MADE_AT = 1_800_000_000_000_000
"""A fixed 'now' of the writer, microseconds."""
CLOSING_AFTER_US = 3_600_000_000
"""Time by which the last record of each partition follows the end of the world."""
HUGE_BYTES = 200_000
"""More than a dead letter keeps."""


def world(seed: int, events: int, folder: Path) -> list[Record]:
    """Return the records of a simulated world, in the order in which they are written.

    Args:
        seed: Of the world.
        events: How many records.
        folder: Where the simulator puts its own recording.
    """
    spec = Spec(seed, events, usual_days(events), "full")
    simulate(spec, folder)
    recording = Recording.open(folder)
    found: list[Record] = []
    for part in recording.partitions:
        reader = recording.reader(part.topic, part.partition)
        offset = 0
        number = part.partition % PARTITIONS[part.topic]
        while (batch := reader.read(offset, 10_000)) is not None:
            headers: list[list[tuple[str, bytes | None]]] = batch.headers or [[] for _ in batch.offsets]
            rows = zip(batch.timestamps, batch.keys, batch.values, headers, strict=True)
            found += [Record(part.topic, number, *row[:3], tuple(row[3])) for row in rows]
            offset = batch.offsets[-1] + 1
    found.sort(key=lambda record: record.timestamp)
    return found + _closing(spec.until)


def spoilt(records: Sequence[Record], draw: random.Random, duplicates: float = 0.02, poison: int = 40) -> list[Record]:
    """Return `records` with some of them written again a little later, and with some that no contract knows.

    Args:
        records: In the order in which they are written.
        draw: Chance.
        duplicates: Share of records that are written twice.
        poison: How many bad records.
    """
    found = list(records[: -len(PARTITIONS_OF_ALL)])
    for record in draw.sample(found, int(len(found) * duplicates)):
        place = found.index(record)
        found.insert(min(place + draw.randint(1, 60), len(found)), record)
    for _ in range(poison):
        place = draw.randrange(len(found))
        like = found[place]
        found.insert(place, like._replace(value=_poison(like.value or b"", draw)))
    return found + list(records[-len(PARTITIONS_OF_ALL) :])


PARTITIONS_OF_ALL = [(topic, number) for topic, count in PARTITIONS.items() for number in range(count)]


def tagged(records: Iterable[Record], tag: str) -> list[Record]:
    """Return `records` on topics of their own: `orders-TAG` and so on."""
    return [record._replace(topic=f"{record.topic}-{tag}") for record in records]


def topics_of(tag: str) -> dict[str, int]:
    """Return the topics that `tagged` names, with their partitions."""
    return {f"{topic}-{tag}": count for topic, count in PARTITIONS.items()}


def write_recording(
    folder: Path, records: Sequence[Record], offsets: Sequence[int] | None = None, idle: Sequence[Idle] = ()
) -> None:
    """Write a recording of what is on topics: the embedded replay of it tells what a job must put out.

    It does not say that time goes on after the last record, for on topics nothing says so either.

    Args:
        folder: Where to.
        records: In the order in which they were written.
        offsets: Of each record; by default 0, 1, 2 … in each partition.
        idle: When partitions were idle.
    """
    batches: dict[tuple[str, int], RawBatch] = {}
    for number, record in enumerate(records):
        place = (record.topic, record.partition)
        batch = batches.setdefault(place, RawBatch(*place, [], [], [], []))
        for column, value in (
            (batch.offsets, len(batch) if offsets is None else offsets[number]),
            (batch.timestamps, record.timestamp),
            (batch.keys, record.key),
            (batch.values, record.value),
            (batch.headers, list(record.headers)),
        ):
            cast(list[object], column).append(value)
    with RecordingWriter(folder, created_at=MADE_AT) as writer:
        for batch in batches.values():
            writer.append(batch)
        writer.finish(recorded_until=0, idle=idle)


def _closing(until: int) -> list[Record]:
    """Return a last record for each partition: all that is before it becomes due, and no idle time is left open."""
    at = until + CLOSING_AFTER_US
    found = []
    for topic, number in PARTITIONS_OF_ALL:
        event = {
            "specversion": "1.0",
            "id": f"closing-{topic}-{number}",
            "source": "/chaos",
            "type": "contact.made",
            "subject": f"closing-{topic}-{number}",
            "time": to_text(at),
            "data": {"contact_id": f"c-{topic}-{number}", "customer_id": f"closing-{topic}-{number}", "channel": "web"},
        }
        key = str(event["subject"]).encode()
        found.append(Record(topic, number, at // 1000, key, orjson.dumps(event)))
    return found


def _poison(value: bytes, draw: random.Random) -> bytes | None:
    """Return a value that is not to be used, made of one that is."""
    kinds = (
        lambda: None,
        lambda: b"",
        lambda: b"{",
        lambda: b"[" * 5_000,
        lambda: bytes(draw.randrange(256) for _ in range(draw.randrange(1, 200))),
        lambda: value[: draw.randrange(1, max(len(value), 2))],
        lambda: value.replace(b'"time":"2', b'"time":"1'),
        lambda: value.replace(b'"time":"20', b'"time":"29'),
        lambda: value.replace(b'"type":"', b'"type":"no.such.'),
        lambda: value.replace(b'"data":{', b'"data":{"sum":NaN,'),
        lambda: value.replace(b'"id":"', b'"id":"\xff\xfe'),
        lambda: value.replace(b'"data":{', b'"data":{"x":"\x00\x1b[31m",'),
        lambda: b'{"a":"' + b"x" * HUGE_BYTES + b'"}',
        lambda: msgspec.json.encode([1, "two", None]),
    )
    return draw.choice(kinds)()
