"""Writes a recording of one control record that continues what a store was filled from.

Without a broker this is how a person speaks to a job: the next replay into the store reads the record, as it would
read the next one of a topic. Nothing else is in the recording, but every partition that was read before, so that it
continues them; and time goes on by a microsecond, so that the record takes effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from config.clock import TIME_MAX, to_text
from config.errors import UsageError
from replay.manifest import Idle, Manifest
from replay.writer import RecordingWriter

LONGEST = 1
"""Microseconds by which time goes on after the record."""


def write_continuation(
    into: Path, channels: Iterable[Mapping[str, Any]], topic: str, key: str, value: bytes, at: int, created_at: int
) -> Manifest:
    """Write a recording that holds just one record.

    Args:
        into: Its folder.
        channels: The partitions that the store was filled from: `channel`, `next_offset` and `watermark` of each.
        topic: The control topic.
        key: Of the record.
        value: The record.
        at: Its own time, event time, microseconds.
        created_at: Wall clock, microseconds.

    Raises:
        UsageError: the store was filled from nothing, or has come further than `at`; or the folder is taken.
    """
    offsets = {row["channel"]: int(row["next_offset"]) for row in channels}
    reached = max((int(row["watermark"]) for row in channels), default=None)
    if reached is None:
        raise UsageError("The store was filled from no recording.", remedy="Replay one into it first.")
    if reached >= TIME_MAX:
        raise UsageError(
            "The store was filled by a replay with --drain: time has run out there.",
            remedy="Replay the recording into another store, without --drain.",
        )
    if at < reached:
        raise UsageError(
            f"The record is of {to_text(at)}, but the store has come to {to_text(reached)} already.",
            remedy=f"Say --at {to_text(reached)}, or later.",
        )
    mine = f"{topic}/0"
    offset = offsets.setdefault(mine, 0)
    with RecordingWriter(into, created_at=created_at) as writer:
        for channel, first in sorted(offsets.items()):
            name, _, number = channel.rpartition("/")
            writer.declare(name, int(number), first)
        writer.write(topic, 0, offset, at // 1000, key.encode(), value)
        return writer.finish(at + LONGEST, idle=[Idle(topic, 0, offset, reached)])
