"""What is asked of the brokers beside the records: where partitions end, and whether topics are still the same.

One per process, whatever the number of partitions. Nothing here waits: questions are sent, and answers come when
they come. An end is known as of the moment the question was sent, so a partition is never called idle on the strength
of an old answer, and never while no broker answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

ENDS_EVERY_S = 0.25
"""Wall time between two questions for ends: an idle partition holds others back so long, at most."""
TOPICS_EVERY_S = 10.0
UNKNOWN_EVERY_S = 0.5
"""The same, while there is a topic of which nothing is known: a start waits for that."""
ANSWER_S = 10.0
"""Wall time after which an answer is not waited for any more."""
RENEW_EVERY_S = 2.0
"""A client goes on asking with what it knew of a leader, though there is another one: after an error it is replaced."""
WANTED_S = 2.0
"""A partition is asked for so long after somebody wanted to know."""


class SteadyClock:
    """Wall time that no step of the machine's clock can move, from the moment it is made."""

    def __init__(self) -> None:
        self._wall, self._monotonic = time.time_ns() // 1000, time.monotonic_ns() // 1000

    def now(self) -> int:
        """Return microseconds since the epoch."""
        return self._wall + time.monotonic_ns() // 1000 - self._monotonic


class BrokerWatch:
    """Ends of partitions, and ids of topics.

    Args:
        config: Of a client: `config.kafka.client_config`.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = {**config, "log_level": 0}
        self._admin = AdminClient(self._config)
        self._renewed_at = time.monotonic()
        self._failed = False
        self._clock = SteadyClock()
        self._lock = threading.Lock()
        self._wanted: dict[tuple[str, int], float] = {}
        self._ends: dict[tuple[str, int], tuple[int, int]] = {}
        self._topics: dict[str, tuple[str, int]] = {}
        self._asked = {"ends": 0.0, "topics": time.monotonic()}
        self._open: dict[str, list[Future[Any]]] = {"ends": [], "topics": []}

    def end(self, topic: str, partition: int) -> tuple[int, int] | None:
        """Return (instant, end offset): the partition ended there at that instant, microseconds, or later.

        None while it is not known. The answer gets newer as long as it is asked for.
        """
        with self._lock:
            self._wanted[topic, partition] = time.monotonic()
            self._ask("ends", ENDS_EVERY_S)
            return self._ends.get((topic, partition))

    def topic(self, topic: str) -> tuple[str, int] | None:
        """Return (id, number of partitions) of a topic as of late; None while unknown, ("", 0) if there is none."""
        with self._lock:
            if topic not in self._topics:
                self._topics[topic] = ("?", -1)
                self._open["topics"] += self._ask_topics([topic])
            unknown = any(partitions < 0 for _, partitions in self._topics.values())
            self._ask("topics", UNKNOWN_EVERY_S if unknown else TOPICS_EVERY_S)
            found = self._topics[topic]
            return None if found[1] < 0 else found

    def _ask(self, what: str, every: float) -> None:
        now = time.monotonic()
        open_ = [each for each in self._open[what] if not each.done()]
        if now - self._asked[what] < (ANSWER_S if open_ else every):
            return
        self._asked[what] = now
        self._open[what] = self._ask_ends(now) if what == "ends" else self._ask_topics(list(self._topics))

    def _ask_ends(self, now: float) -> list[Future[Any]]:
        if self._failed and now - self._renewed_at > RENEW_EVERY_S and all(map(Future.done, self._open["topics"])):
            self._admin, self._renewed_at, self._failed = AdminClient(self._config), now, False
        wanted = [key for key, at in self._wanted.items() if now - at < WANTED_S]
        asked_at = self._clock.now()
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        answers = self._admin.list_offsets({TopicPartition(*key): latest for key in wanted}, request_timeout=ANSWER_S)
        for partition, answer in answers.items():
            key = (partition.topic, partition.partition)
            answer.add_done_callback(partial(self._note_end, key, asked_at))
        return list(answers.values())

    def _note_end(self, key: tuple[str, int], asked_at: int, done: Future[Any]) -> None:
        if done.exception() is None:
            self._ends[key] = (asked_at, done.result().offset)
        else:
            self._failed = True

    def _ask_topics(self, topics: list[str]) -> list[Future[Any]]:
        answers = self._admin.describe_topics(TopicCollection(topics), request_timeout=ANSWER_S)
        for topic, answer in answers.items():
            answer.add_done_callback(partial(self._note_topic, topic))
        return list(answers.values())

    def _note_topic(self, topic: str, done: Future[Any]) -> None:
        error = done.exception()
        if error is None:
            found = done.result()
            self._topics[topic] = (str(found.topic_id), len(found.partitions))
        elif isinstance(error, KafkaException) and error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._topics[topic] = ("", 0)
