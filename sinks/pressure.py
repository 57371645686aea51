"""How much waits to be released, shared by all workers and processes of a job: the back-pressure of outboxes.

Nothing leaves before its epoch is durable, nor faster than store and brokers take it; meanwhile outboxes hold it, in
memory and in every snapshot. So sources stop reading while they hold too much. Epochs go on without them: what is held
becomes durable, is released, and the sources read on. It changes pace, never results.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path

_SLOT = struct.Struct("<q")


class Pressure:
    """Bytes held by each outbox: a file of one number per outbox, mapped into every process, made anew for each run.

    Args:
        path: Made by `create`.
        outboxes: Names of all, in the same order in every process; each is written by one worker.
        held_max: Bytes that all of them together may hold before sources wait.
    """

    def __init__(self, path: Path, outboxes: Sequence[str], held_max: int) -> None:
        self._slot = {name: number * _SLOT.size for number, name in enumerate(outboxes)}
        self._all = struct.Struct(f"<{len(outboxes)}q")
        self._held_max = held_max
        handle = os.open(path, os.O_RDWR)
        try:
            self._map = mmap.mmap(handle, self._all.size)
        finally:
            os.close(handle)

    @staticmethod
    def create(path: Path, outboxes: Sequence[str]) -> None:
        """Make the file; nothing is held."""
        path.write_bytes(bytes(_SLOT.size * len(outboxes)))

    def tell(self, outbox: str, held: int) -> None:
        """Note how many bytes an outbox holds."""
        _SLOT.pack_into(self._map, self._slot[outbox], held)

    def held(self) -> int:
        """Return how many bytes all outboxes hold."""
        return sum(self._all.unpack_from(self._map))

    def is_high(self) -> bool:
        """Return whether nothing more is to be read for now."""
        return self.held() > self._held_max
