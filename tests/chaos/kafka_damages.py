"""Negative controls on topics: safeguards switched off in the processes of a life. The harness must notice each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from confluent_kafka import Producer

from sinks.chain import Entry
from sinks.topic import TopicPart
from sinks.topic_progress import Progress
from sinks.transaction import send
from tests.chaos.damages import durability, purge


def transactions() -> None:
    """Send outputs and progress without a transaction."""

    class Plain(Producer):
        """A producer that takes no notice of transactions."""

        def __init__(self, config: dict[str, Any]) -> None:
            left_out = ("transactional.id", "transaction.timeout.ms")
            super().__init__({name: value for name, value in config.items() if name not in left_out})

        def init_transactions(self, *arguments: Any) -> None:
            """Nothing is fenced."""

        def begin_transaction(self) -> None:
            """Nothing is begun."""

        def commit_transaction(self, *arguments: Any) -> None:
            """All is there already."""

    init: Any = TopicPart.__init__
    init.__defaults__ = tuple(Plain if each is Producer else each for each in init.__defaults__)


def readback() -> None:
    """Believe what is remembered and what commits return, not what can be read."""

    def renew(self: Any, deadline: float) -> Progress:
        self._drop()
        self._producer = self._make_producer(self._outputs.producer(self.part))
        self._producer.init_transactions(30)
        return cast(Progress, self._progress)

    def open_(self: Any, base_seq: int, heads: Sequence[bytes]) -> None:
        self._progress = Progress(base_seq, heads[0].hex(), 1, "control")
        renew(self, 0)

    def transact(self: Any, entries: Sequence[Entry], target: Progress, deadline: float) -> None:
        while send(self._producer, self._outputs, self.part, entries, self._place, target.encode()).trouble is not None:
            renew(self, 0)
        self._progress = target

    part: Any = TopicPart
    part._renew, part.open, part._transact = renew, open_, transact


DAMAGES: dict[str, Callable[[], None]] = {
    "purge": purge,
    "durability": durability,
    "transactions": transactions,
    "readback": readback,
}
