"""A dense partition beside a sparse one, 1,000 records to 1: what the stages hold meanwhile stays bounded.

Alignment keeps the dense one from running ahead; without it, all that it holds would be buffered until the sparse
one has caught up. The sources and key groups are real, and everything is in
one thread, so that the order of reading is the worst there can be, and the same each time.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from config.clock import DAY, TIME_MAX, to_text
from config.contracts import BUILT_IN, load_contracts
from dataflows.alignment import AlignmentBoard
from dataflows.sources import PartitionTicks, SourceSettings
from operators.batch import RawBatch
from operators.channel import Channel, Position
from operators.decode import Decoder
from operators.journey import JourneyLogic, JourneySettings
from operators.keyed import KeyedGroup
from tests.support.cloudevents import cloud_event

DECODER = Decoder(load_contracts(BUILT_IN))
START = 1_700_000_000_000_000
DAYS = 20
DENSE, SPARSE = "crm/0", "orders/0"
PER_DAY = {DENSE: 1_000, SPARSE: 1}
BATCH = 500
EPOCH = timedelta(seconds=1)
CENTURY = 36_500 * DAY
GROUPS = 2


class Steady:
    """A reader of so many records a day, evenly, made as they are read, a day at once at most."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.until = START + DAYS * DAY
        self.count = PER_DAY[channel] * DAYS

    def read(self, next_offset: int, limit: int) -> RawBatch | None:
        end = min(next_offset + min(limit, PER_DAY[self.channel]), self.count)
        if next_offset >= end:
            return None
        offsets = list(range(next_offset, end))
        times = [START + offset * DAY // PER_DAY[self.channel] for offset in offsets]
        values: list[bytes | None] = [
            cloud_event("contact.made", _contact(offset), id=f"{self.channel}-{offset}", time=to_text(at))
            for offset, at in zip(offsets, times, strict=True)
        ]
        topic = self.channel.partition("/")[0]
        return RawBatch(topic, 0, offsets, [at // 1000 for at in times], [None] * len(offsets), values)

    def open(self, left: Position) -> Position:
        return left

    def silent_until(self, next_offset: int) -> int | None:
        return None

    def publish(self, next_offset: int) -> None:
        pass

    def close(self) -> None:
        pass

    def idle_until(self, next_offset: int) -> int | None:
        return None

    def next_idle(self, next_offset: int) -> int | None:
        return None

    def behind(self, next_offset: int) -> int:
        return 0


def _contact(offset: int) -> dict[str, str]:
    return {"contact_id": str(offset), "customer_id": f"c{offset % 50}", "channel": "chat"}


def most_buffered(alignment_max: int, folder: Path) -> tuple[int, int]:
    """Read to the end, the dense partition whenever it has something.

    Returns:
        The most events a group held at once, and the most bytes that were allocated.
    """
    tracemalloc.start()
    try:
        most = max(_held(alignment_max, folder))
        return most, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _held(alignment_max: int, folder: Path) -> Iterator[int]:
    channels = [DENSE, SPARSE]
    AlignmentBoard.create(folder / "board", channels)
    settings = SourceSettings(BATCH, alignment_max, timedelta(0), EPOCH, {"telemetry": 1, "journey": GROUPS}, 1, {})
    ticks = {
        name: PartitionTicks(
            settings,
            Channel(name.partition("/")[0], 0, DECODER, 0, 30 * DAY),
            Steady(name),
            AlignmentBoard(folder / "board", channels),
            lambda: False,
            None,
        )
        for name in channels
    }
    groups = [KeyedGroup(JourneyLogic([], JourneySettings()), channels) for _ in range(GROUPS)]
    while ticks:
        for name in list(ticks):
            try:
                items = ticks[name].next_batch()
            except StopIteration:
                del ticks[name]
                break
            frames = [frame for item in items for frame in item.frames.get("journey", ())]
            for frame in frames:
                groups[frame.to].receive(frame)
            for group in groups:
                group.advance()
                group.delta()
            yield max(group.open_events for group in groups)
            if any(frame.events or frame.ended for frame in frames):
                break
    assert min(group.cut for group in groups) == START + DAYS * DAY < TIME_MAX


@pytest.mark.slow
def test_a_dense_partition_does_not_run_ahead_of_a_sparse_one(tmp_path: Path) -> None:
    aligned, aligned_bytes = most_buffered(DAY, tmp_path)
    free, free_bytes = most_buffered(CENTURY, tmp_path)
    assert aligned <= 2 * PER_DAY[DENSE] + BATCH
    assert free > 0.4 * DAYS * PER_DAY[DENSE]
    assert aligned_bytes < free_bytes / 2
