"""The store as outboxes release to it, and the names of what is released elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from sinks.outbox import Writer
from sinks.store import Store

TOPICS = "topics"


class StoreOutlet:
    """The store, opened when the first part is.

    Args:
        store_url: An existing store, prepared by `Store.begin_run`.
    """

    name = ""

    def __init__(self, store_url: str) -> None:
        self._url = store_url
        self._store: Store | None = None

    def open_part(self, part: str, base_seq: int, heads: Sequence[bytes]) -> Writer:
        """Take over a sink part: see `Store.open_part`."""
        if self._store is None:
            self._store = Store.open(self._url)
        return self._store.open_part(part, base_seq, heads)


def topic_part(part: str) -> str:
    """Return what the store calls the part of that name which goes onto topics."""
    return f"{TOPICS}/{part}"
