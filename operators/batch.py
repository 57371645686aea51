"""A batch of raw records as a source partition hands it over: columns, nothing decoded."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, overload

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Consecutive records of one partition, as parallel columns in offset order.

    Offsets rise but may have holes (compaction, transaction markers). `values[i]` is None for a tombstone. What is
    asked for may be made at that moment: ask once, for a stretch rather than for each record.
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    """A `range` where nothing is missing: tens of thousands of numbers need not be made then."""
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

    def offset_array(self) -> np.ndarray:
        """Return the offsets as an array (Int64)."""
        offsets = self.offsets
        if isinstance(offsets, range):
            return np.arange(offsets.start, offsets.stop, offsets.step, dtype=np.int64)
        return np.array(offsets, np.int64)

    @property
    def channel(self) -> str:
        """The name of the partition's channel: `topic/partition`."""
        return f"{self.topic}/{self.partition}"


class Derived(Sequence[T], Generic[T]):
    """A column made of what a client handed over, when it is asked for: most keys and timestamps never are.

    Args:
        items: What it is made of, one for each record.
        make: Makes a value of an item.
    """

    def __init__(self, items: list[Any], make: Callable[[Any], T]) -> None:
        self._items, self._make = items, make

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> list[T]: ...
    def __getitem__(self, place: int | slice) -> T | list[T]:
        found = self._items[place]
        return list(map(self._make, found)) if isinstance(place, slice) else self._make(found)

    def __iter__(self) -> Iterator[T]:
        return map(self._make, self._items)
