"""Tells others what came of actions: releases the outcomes of a shard onto their topic, in order, each once.

The ledger is the outbox: an outcome stands there, numbered and chained, in the transaction of what it tells of. The
relay releases those that are not known to be on the topic, in a thread beside the shard, and then notes how far it is.
It never releases more than `AHEAD_MAX` before it notes it: so the next one to open the shard can compare all that may
be on the topic already. Brokers that are away hold nobody up; outcomes wait in the ledger meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from config.errors import BrokerError, SequenceError
from config.metrics import UNPUBLISHED
from sinks.background import BackgroundWriter
from sinks.chain import Entry
from sinks.ledger_shard import ShardWriter

AHEAD_MAX = 2_000
"""Outcomes released at once, at most."""
AGAIN_S = 5.0
"""Wall time until brokers that were away for too long are tried again."""
APART = (
    "The ledger and what is on the topics do not belong together: keep both for examination, and put the ledger back "
    "that wrote them; or begin with a new ledger and another topics.transactional_id_prefix."
)


class Part(Protocol):
    """Who releases: `sinks.topic.TopicPart`."""

    @property
    def seq(self) -> int:
        """The number of the last outcome that is safe."""

    def open(self, base_seq: int, heads: Sequence[bytes]) -> None:
        """Take the part over."""

    def release(self, entries: Sequence[Entry]) -> None:
        """Write all that is not there yet."""

    def close(self) -> None:
        """Let go of the brokers."""


class OutcomeRelay:
    """Publishes the outcomes of one shard. Nothing is opened before there is something to publish.

    Args:
        shard: The shard.
        make_part: Makes who releases its outcomes.
        pool: Has a thread to spare for each relay.
        note: Told of what passes.
        monotonic: Seconds of wall time.
    """

    def __init__(
        self,
        shard: ShardWriter,
        make_part: Callable[[], Part],
        pool: ThreadPoolExecutor,
        note: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shard, self._make_part, self._pool = shard, make_part, pool
        self._note, self._monotonic = note, monotonic
        self._part: Part | None = None
        self._background: BackgroundWriter | None = None
        self._entries: list[Entry] = []
        """What is being released."""
        self._again_at = 0.0

    def go_on(self) -> bool:
        """Publish what there is, without waiting; return whether all is published. To be called again and again.

        Raises:
            ForestallError: topic and ledger do not belong together, the topic is gone, the brokers refuse us, or the
                shard was opened by another flow.
        """
        waiting = self._shard.told - self._shard.published
        UNPUBLISHED.set(waiting, self._shard.shard)
        if not waiting:
            return True
        try:
            self._release()
        except BrokerError as error:
            if not error.retry:
                raise
            self._let_go(error)
        except SequenceError as error:
            raise SequenceError(error.message, remedy=APART) from error
        return self._shard.published == self._shard.told

    def _release(self) -> None:
        shard = self._shard
        if self._background is None and self._monotonic() < self._again_at:
            return
        self._entries = self._entries or shard.unpublished(AHEAD_MAX)
        if self._background is None:
            heads = [shard.chain_at(shard.published), *(entry.chain for entry in self._entries)]
            self._part = self._make_part()
            self._background = BackgroundWriter(self._pool, self._part, shard.published, heads, lambda: None)
        if self._background.release(self._entries, ()):
            shard.note_published(self._entries[-1].seq)
            self._entries = []

    def _let_go(self, error: BrokerError) -> None:
        """Begin anew after a while: what became of the last release is then read from the topic."""
        self._note(f"outcomes wait in the ledger: {error.message}")
        if self._part is not None:
            self._pool.submit(self._part.close)
        self._part = self._background = None
        self._entries = []
        self._again_at = self._monotonic() + AGAIN_S
