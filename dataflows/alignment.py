"""How far each partition has come, shared by all workers and processes: the alignment of sources.

A dense topic beside a sparse one would run days of event time ahead, and the stages would have to buffer all of it.
So a partition does not read while it is more than `alignment_max` ahead of the slowest one. The board is a file of
two 64-bit watermarks per channel, mapped into every process; a slot is written by one source only. It is made anew for
each run and changes pace, never results.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from config.clock import TIME_MAX, TIME_MIN

_SLOT = struct.Struct("<qq")
"""How far a channel holds others back, and what it has promised."""


class AlignmentBoard:
    """The watermarks of all source channels.

    Args:
        path: The board's file, made by `create`.
        channels: All channels, in the same order in every process.
    """

    def __init__(self, path: Path, channels: Sequence[str]) -> None:
        self._slot = {channel: n * _SLOT.size for n, channel in enumerate(channels)}
        handle = os.open(path, os.O_RDWR)
        try:
            self._map = mmap.mmap(handle, len(channels) * _SLOT.size)
        finally:
            os.close(handle)
        self._all = struct.Struct(f"<{2 * len(channels)}q")

    @staticmethod
    def create(path: Path, channels: Sequence[str]) -> None:
        """Make the board's file, no channel having spoken."""
        path.write_bytes(_SLOT.pack(TIME_MIN, TIME_MIN) * len(channels))

    def tell(self, channel: str, watermark: int) -> None:
        """Note how far `channel` has come."""
        _SLOT.pack_into(self._map, self._slot[channel], watermark, watermark)

    def leave(self, channel: str, watermark: int = TIME_MAX) -> None:
        """Note that `channel` holds nobody back any more, and what it promised: it has ended, or is idle."""
        _SLOT.pack_into(self._map, self._slot[channel], TIME_MAX, watermark)

    def slowest(self) -> int:
        """Return the watermark of the slowest channel, `TIME_MAX` when all have left."""
        return min(self._slots()[::2])

    def reached(self) -> int:
        """Return what all channels have promised, idle ones too; `TIME_MAX` when all have ended."""
        return min(self._slots()[1::2])

    def _slots(self) -> tuple[int, ...]:
        return self._all.unpack_from(self._map)
