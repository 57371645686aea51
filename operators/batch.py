"""A batch of raw records as a source partition hands it over: columns, nothing decoded."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Consecutive records of one partition, as parallel columns in offset order.

    Offsets rise but may have holes (compaction, transaction markers). `values[i]` is None for a tombstone. What is
    asked for may be made at that moment: ask once, for a stretch rather than for each record.
    """

    topic: str
    partition: int
    offsets: list[int]
    timestamps: Sequence[int]
    """The records' own timestamps, milliseconds since the epoch; -1 where there is none."""
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: list[list[tuple[str, bytes | None]]] = field(default_factory=list)
    """Empty when no record of the batch has a header that matters for decoding."""

    def __len__(self) -> int:
        return len(self.offsets)

    def until(self, offset: int) -> RawBatch:
        """Return the records before `offset`."""
        end = bisect_left(self.offsets, offset)
        if end == len(self):
            return self
        return RawBatch(
            self.topic,
            self.partition,
            self.offsets[:end],
            self.timestamps[:end],
            self.keys[:end],
            self.values[:end],
            self.headers[:end],
        )

    @property
    def channel(self) -> str:
        """The name of the partition's channel: `topic/partition`."""
        return f"{self.topic}/{self.partition}"
