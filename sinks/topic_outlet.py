"""Topics as outboxes release to them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sinks.background import BackgroundWriter
from sinks.outbox import Writer
from sinks.outlets import TOPICS, topic_part
from sinks.store import Store
from sinks.topic import TopicPart
from sinks.transaction import TopicOutputs


class TopicOutlet:
    """Topics; the store only learns when each part has released everything.

    Args:
        outputs: Where to.
        parts: Names of all sink parts.
        store_url: An existing store, prepared by `Store.begin_run` for these parts too.
    """

    name = TOPICS

    def __init__(self, outputs: TopicOutputs, parts: Sequence[str], store_url: str) -> None:
        self._outputs, self._parts, self._url = outputs, sorted(parts), store_url
        self._store: Store | None = None
        self._pool = ThreadPoolExecutor(len(self._parts), "topics")
        self._writers: list[BackgroundWriter] = []

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of outputs that go to a topic."""
        return frozenset(self._outputs.by_kind)

    @property
    def busy(self) -> bool:
        """Whether a release is under way in this process."""
        return any(writer.busy for writer in self._writers)

    def open_part(self, part: str, base_seq: int, heads: Sequence[bytes]) -> Writer:
        """Begin to take over a sink part; what comes of it, the first `release` tells."""
        if self._store is None:
            self._store = Store.open(self._url)
        done = self._store.open_beside(topic_part(part))
        releaser = TopicPart(self._outputs, part, self._parts.index(part))
        writer = BackgroundWriter(self._pool, releaser, base_seq, heads, done.mark_done)
        self._writers.append(writer)
        return writer
