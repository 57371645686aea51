"""What a source partition releases by itself: late records, dead letters, and what happened to it between records."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence

import msgspec
import polars as pl

from config.events import Event, Reject


def late_events(channel: str, found: pl.DataFrame, watermarks: Sequence[int]) -> Iterator[Event]:
    """Yield late records as events.

    Args:
        channel: `topic/partition`.
        found: Their `offset`, `at` and `type`.
        watermarks: The watermark that held when each came.
    """
    topic, _, partition = channel.rpartition("/")
    for offset, at, kind, watermark in zip(found["offset"], found["at"], found["type"], watermarks, strict=True):
        data = {
            "topic": topic,
            "partition": int(partition),
            "offset": offset,
            "at": at,
            "watermark": watermark,
            "type": kind,
        }
        yield Event(at, f"{channel}/{offset}", channel, "late", data, channel, offset)


def dead_letter(channel: str, reject: Reject) -> Event:
    """Return a record that could not be processed, with its bytes."""
    data = msgspec.structs.asdict(reject)
    data["value"] = b64encode(reject.value).decode()
    data["key"] = _text(reject.key)
    data["headers"] = [[name, _text(value)] for name, value in reject.headers]
    at = max(reject.timestamp, 0) * 1000
    return Event(at, f"{channel}/{reject.offset}", channel, "dead_letter", data, channel, reject.offset)


def of_partition(channel: str, kind: str, next_offset: int, at: int, **more: int) -> Event:
    """Return what happened to a partition before the record at `next_offset`."""
    topic, _, partition = channel.rpartition("/")
    data = {"topic": topic, "partition": int(partition), "next_offset": next_offset, **more}
    return Event(at, f"{channel}/{next_offset}", channel, kind, data, channel, next_offset)


def _text(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()
