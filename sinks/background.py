"""Releasing beside the dataflow: what waits for brokers must not hold up the worker that computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from sinks.chain import Entry
from sinks.part_writer import ChannelStats


class Releaser(Protocol):
    """Writes entries, and waits until they are safe."""

    @property
    def seq(self) -> int:
        """The number of the last entry that is safe."""

    def open(self, base_seq: int, heads: Sequence[bytes]) -> None:
        """Take the part over."""

    def release(self, entries: Sequence[Entry]) -> None:
        """Write all that is not there yet."""


class BackgroundWriter:
    """A `Writer` that releases in a thread of its own, one release at a time.

    Args:
        pool: Has a thread to spare for each writer.
        releaser: Who does the work, in that thread only.
        base_seq: For `Releaser.open`, which comes first.
        heads: For `Releaser.open`.
        mark_done: Notes that everything of this run is released; called by who calls `mark_done`.
    """

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        releaser: Releaser,
        base_seq: int,
        heads: Sequence[bytes],
        mark_done: Callable[[], None],
    ) -> None:
        self._pool, self._releaser, self._mark_done = pool, releaser, mark_done
        self._running: Future[None] | None = pool.submit(releaser.open, base_seq, heads)

    def release(self, entries: Sequence[Entry], stats: Sequence[ChannelStats]) -> bool:
        """Return whether all of `entries` are safe; begin with those that are not, unless a release is under way.

        To be called again, until it returns True.

        Raises:
            ForestallError: What the release under way has failed of.
        """
        if self._running is not None:
            if not self._running.done():
                return False
            self._running.result()
            self._running = None
        if not entries or entries[-1].seq <= self._releaser.seq:
            return True
        self._running = self._pool.submit(self._releaser.release, list(entries))
        return False

    @property
    def busy(self) -> bool:
        """Whether a release is under way, or is over and nobody has asked for it yet."""
        return self._running is not None

    def mark_done(self) -> None:
        """Note that everything of this run is released."""
        self._mark_done()
