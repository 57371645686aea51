"""Overload: which records of telemetry are looked at when there are more of them than can be.

A partition under overload looks into one record in so many of the types whose contracts allow it; of the others it
reads no more than type and id, so that they tell no time either. Which ones, the hash of the event's id says: the same
in every run, whatever the batches; and whoever is kept at a low rate is kept at every higher one. A record that is kept
stands for as many as its rate says (the estimator of Horvitz and Thompson, 1952): counts and sums over what is kept,
each weighted so, are those of all records but for chance, also where the rate changes within a pane; and being whole
numbers they stay exact sums.

The rate is decided live, from how far the partition is behind. From then on it is part of what the partition brought,
as its records are: it stands in the partition's state, and each change of it is released, so that a replay applies
the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from zlib import crc32

import msgspec
import numpy as np

from config.contracts.model import Contract

Change = tuple[int, int]
"""From this offset on, one record in so many is looked at."""

_SPREAD = 0x9E3779B1  # odd, so that no two checksums fall together; of checksums alone, like ids give like ones


class Head(msgspec.Struct, gc=False):
    """What is read of a record to tell whether it may be shed."""

    type: str
    id: str


_UNREADABLE = Head("", "")
_decode = msgspec.json.Decoder(Head).decode


class Shedding:
    """Chooses records by what their contracts allow. Holds no state.

    Args:
        contracts: Of all types.
    """

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self._most = {each.type: each.sampled_max for each in contracts if each.sampled_max > 1}

    def weights(self, values: Sequence[bytes], one_in: np.ndarray) -> np.ndarray:
        """Return how many records each of `values` stands for (Int64): 0 for one that is shed.

        Type and id are parsed, not searched for: nothing that an order quotes may make it look like telemetry. What
        cannot be read so is kept, and what is wrong with it told later.

        Args:
            values: CloudEvents as JSON.
            one_in: The partition's rate at each of them; a contract allows that or less.
        """
        heads = self._heads(values)
        most = self._most
        weights: np.ndarray = np.fromiter((most.get(head.type, 1) for head in heads), np.int64, len(heads))
        np.minimum(weights, one_in, out=weights)
        chosen = np.flatnonzero(weights > 1)
        if len(chosen):
            ids = [head.id for head in (heads if len(chosen) == len(heads) else map(heads.__getitem__, chosen))]
            weights[chosen[~kept(ids, weights[chosen])]] = 0
        return weights

    def _heads(self, values: Sequence[bytes]) -> list[Head]:
        heads: list[Head] = []
        rest = iter(values)
        while True:
            try:
                heads.extend(map(_decode, rest))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                heads.append(_UNREADABLE)
            else:
                return heads


def kept(ids: Sequence[str], one_in: np.ndarray) -> np.ndarray:
    """Return which of `ids` are among the one in so many that is looked at (Boolean)."""
    checksums = np.fromiter(map(crc32, map(str.encode, ids)), np.uint64, len(ids))
    within: np.ndarray = ((checksums * _SPREAD) & 0xFFFFFFFF) * one_in.astype(np.uint64) < 2**32
    return within


class Rates:
    """The rate of a partition by offset.

    Args:
        changes: Rising; kept by the caller as part of its state.
    """

    def __init__(self, changes: list[Change]) -> None:
        self._changes = changes

    @property
    def current(self) -> int:
        """One record in so many is looked at from now on."""
        return self._changes[-1][1] if self._changes else 1

    def change(self, offset: int, one_in: int) -> None:
        """Note the rate from `offset` on, before which all is read."""
        if self._changes and self._changes[-1][0] == offset:
            self._changes.pop()  # nothing was read at that rate
        if one_in != self.current:
            self._changes.append((offset, one_in))

    def changed_at(self, offset: int) -> bool:
        """Return whether the rate changes with the record at `offset`."""
        return bool(self._changes) and self._changes[-1][0] == offset

    def at(self, offsets: Sequence[int]) -> np.ndarray | None:
        """Return the rates at `offsets`, which rise; None where all are 1."""
        changes = self._changes
        if not changes or not offsets:
            return None
        if changes[-1][0] <= offsets[0]:
            return None if self.current == 1 else np.full(len(offsets), self.current, np.int64)
        rates = [1, *(one_in for _, one_in in changes)]
        return np.array([rates[bisect_right(changes, offset, key=_offset)] for offset in offsets], np.int64)

    def forget(self, before: int) -> None:
        """Forget what no offset from `before` on needs."""
        changes = self._changes
        del changes[: max(bisect_right(changes, before, key=_offset) - 1, 0)]
        if len(changes) == 1 and changes[0][1] == 1:
            changes.clear()


def _offset(change: Change) -> int:
    return change[0]
