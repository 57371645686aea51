"""Frames, channels and watermarks: what travels between stages, and what it promises.

A *channel* is one ordered producer of frames: a source partition (`topic/partition`) or a key group of the stage
upstream (`@stage/group`). A *frame* of a channel carries events and a watermark W, the promise that the channel will
bring no event with time < W. The notions are Flink's (Akidau et al., "The Dataflow Model", VLDB 2015); unlike
Bytewax's, the watermark never looks at the wall clock, so a pause changes nothing and a replay is a replay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from config.clock import TIME_MIN
from config.events import Event


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A batch of one channel for one key group of the receiving stage."""

    to: int
    """Key group of the receiving stage."""
    channel: str
    watermark: int
    """Event time, microseconds: nothing earlier will follow on this channel."""
    events: list[Event] = []
    partials: list[Any] = []
    """Commutative, exact contributions that need no order: mergeable aggregates of panes."""
    ended: bool = False
    """The channel has come to the end of its input. Not the end of time: the watermark says how far time went."""


class Watermarks:
    """The watermarks of a key group's channels, and their minimum.

    A channel that has not spoken holds the minimum at `TIME_MIN`. Watermarks only rise: a frame with a lower one
    (a resumed channel that repeats itself) leaves it where it was.
    """

    def __init__(self, channels: Iterable[str]) -> None:
        self._of = dict.fromkeys(sorted(channels), TIME_MIN)
        self._ended: set[str] = set()

    def raise_to(self, channel: str, watermark: int) -> None:
        """Take note of a frame's promise.

        Raises:
            KeyError: `channel` is none of the channels declared when the stage was built.
        """
        if watermark > self._of[channel]:
            self._of[channel] = watermark

    def end(self, channel: str) -> None:
        """Take note that `channel` has ended in this run."""
        self._ended.add(channel)

    @property
    def minimum(self) -> int:
        """Everything strictly before this may be processed."""
        return min(self._of.values())

    @property
    def ended(self) -> bool:
        """Whether all channels have ended in this run. Not part of the state: each run tells it anew."""
        return len(self._ended) == len(self._of)

    def dump(self) -> dict[str, int]:
        """Return the state: watermark by channel."""
        return dict(self._of)

    def restore(self, state: dict[str, int]) -> None:
        """Merge a dumped state into the declared channels; channels added since stay at `TIME_MIN`."""
        for channel, watermark in state.items():
            if channel in self._of:
                self.raise_to(channel, watermark)
