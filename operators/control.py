"""The logic of a control partition: what people and other systems tell the job itself, such as a flag.

A control record has no place in the past: what was decided before it came stays decided. So its *effective time* is
its own time, or the watermark where that is later, and no control record is ever late. And silence on a control topic
says nothing of the shop, so it holds nobody back: live, its watermark follows the slowest data partition
(`dataflows/sources.py`). How far that had come is promised, released and replayed like an idle partition's watermark
(`Channel.stay_idle`): with the same promises at the same offsets the effective times are the same again.
"""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl

from config.clock import TIME_MIN
from config.events import BROADCAST
from operators.batch import RawBatch
from operators.channel import Channel, Taken
from operators.decode import Decoded, Decoder
from operators.flags import FLAG, noted

FOR_ALL = frozenset({FLAG})
"""Types of which every key group is told."""


class ControlChannel(Channel):
    """One control partition's logic and state: see `Channel`.

    No clock is disbelieved either: a record of the far future takes effect in the far future, and holds up none.
    """

    def __init__(self, topic: str, partition: int, decoder: Decoder, state: bytes | None = None) -> None:
        super().__init__(topic, partition, decoder, lateness=0, jump_max=0, state=state)

    @property
    def watermark(self) -> int:
        """What was promised: records say nothing of those that follow."""
        return self._state.promised

    def take(self, batch: RawBatch) -> Taken:
        """Take in the next records of the partition."""
        taken = super().take(batch)
        taken.released += [noted(event) for event in taken.events if event.type == FLAG]
        taken.events = [
            msgspec.structs.replace(event, key=BROADCAST) if event.type in FOR_ALL else event for event in taken.events
        ]
        return taken

    def _decoded(self, batch: RawBatch) -> Decoded:
        decoded = super()._decoded(batch)
        decoded.index = decoded.index.with_columns(pl.col("at").clip(lower_bound=self._state.promised))
        return decoded

    def _believe(self, times: np.ndarray) -> tuple[np.ndarray, list[int], list[int]]:
        return np.arange(len(times)), [], []

    def _watermarks_before(self, times: np.ndarray) -> np.ndarray:
        return np.full(len(times), TIME_MIN)
