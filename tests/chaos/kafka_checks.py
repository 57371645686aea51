"""Looks at a job from outside: its store, its topics, its consumer group, its recovery folder."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from config.errors import ForestallError
from dataflows.live import LiveJob
from dataflows.recovered import interpret
from replay.manifest import Idle
from sinks.engine import store_path
from sinks.preflight import inspect
from sinks.schema import outputs
from sinks.store import Store
from tests.chaos.kafka_inputs import Input
from tests.chaos.kafka_verdict import broken_topics, expected_on, gone
from tests.support.chaos_place import Place
from tests.support.chaos_topics import Output as Record
from tests.support.chaos_world import topics_of
from tests.support.verdict import Content, Output, Position, broken_at_end, broken_midway, position_of

QUIET_S = 1.5
"""Where it is not known what must come, nothing has come for so long."""
LAG_S = 60.0
"""Within so long after all is out the consumer group shows no lag."""
TOPICS_STEP = "detection.topics"


@dataclass
class Checks:
    """Of one job; remembers what was seen before.

    Args:
        place: The broker.
        group: The job's consumer group.
        input: What it reads.
        outputs: Topics of outputs, by the name of their setting.
        job: Where it is.
    """

    place: Place
    group: str
    input: Input
    outputs: dict[str, str]
    job: LiveJob
    moved: bool = False
    """Whether it goes on on another host: then the one before may have told the consumer group more."""
    _seen: frozenset[Output] = frozenset()
    _told: list[Record] = field(default_factory=list)
    _position: Position | None = None
    _changed_at: float = 0.0
    _complete_at: float | None = None

    def midway(self) -> list[str]:
        """Return what is wrong after a life."""
        path = store_path(self.job.store_url)
        if path is None or not path.exists():
            return []
        return self.outside() or ([] if self.moved else self._ahead())

    def outside(self) -> list[str]:
        """Return what is wrong with the store of a job that does not run."""
        if self.input.reference is None:
            return []
        wrong, self._seen = broken_midway(self.job.store_url, self._seen, self.input.reference)
        return wrong

    def at_end(self, reference: Content) -> list[str]:
        """Return what is wrong with all that is left of a job that has settled and was stopped."""
        wrong = [each for each in broken_at_end(self.job.store_url, reference) if each != "a sink part is not done"]
        if lag := self._lag():
            wrong.append(f"the consumer group shows a lag of {lag}")
        names = list(self.outputs.values())
        if names:
            told = self.place.call("read", names)
            wrong += broken_topics(told, expected_on(self.outputs, reference.outputs), complete=True)
            wrong += gone(self._told, told)
            self._told = told
            if left := self.place.call("undecided", names):
                wrong.append(f"transactions are open: {left}")
        return wrong

    def unchanged(self, before: Position) -> list[str]:
        """Return what has come since `before`, and since `at_end`."""
        wrong = []
        if position_of(self.job.store_url) != before:
            wrong.append("something was released")
        if self.outputs and set(self.place.call("read", list(self.outputs.values()))) != set(self._told):
            wrong.append("something was sent to a topic")
        return wrong

    def settled(self) -> bool:
        """Return whether all that must come is out, as far as a look tells, and the consumer group tells so, too."""
        if not self._complete():
            return False
        now = time.monotonic()
        self._complete_at = now if self._complete_at is None else self._complete_at
        return self._lag() == 0 or now - self._complete_at > LAG_S

    def idle(self) -> list[Idle]:
        """Return when partitions were idle, as the job itself has told."""
        with Store.open(self.job.store_url) as store, store.read() as connection:
            rows = connection.execute(sa.select(outputs.c.body).where(outputs.c.kind == "idle"))
            told: list[dict[str, Any]] = [msgspec.json.decode(bytes(body)) for (body,) in rows]
        return [Idle(each["topic"], each["partition"], each["next_offset"], each["watermark"]) for each in told]

    def _complete(self) -> bool:
        url, reference = self.job.store_url, self.input.reference
        path = store_path(url)
        if path is None or not path.exists():
            return False
        with Store.open(url) as store:
            if store.totals()["records"] < self.input.records:
                return False
            counts: dict[str, int] = store.counts()
        if reference is None:
            position, now = position_of(url), time.monotonic()
            if position != self._position:
                self._position, self._changed_at = position, now
            return now - self._changed_at > QUIET_S
        if any(counts.get(kind, 0) < count for kind, count in reference.counts.items()):
            return False
        wanted = len(expected_on(self.outputs, reference.outputs))
        return not self.outputs or len(self.place.call("read", list(self.outputs.values()))) >= wanted

    def _lag(self) -> int:
        topics = list(topics_of(self.input.tag))
        told = self.place.call("committed", self.group, topics)
        ends: dict[tuple[str, int], int] = self.place.call("ends", topics)
        return sum(max(end - told.get(place, 0), 0) for place, end in ends.items())

    def _ahead(self) -> list[str]:
        """Progress told to the consumer group must not be ahead of what is durable."""
        try:
            durable = interpret(inspect(Path(self.job.recovery)).snapshots, [TOPICS_STEP]).channels
        except ForestallError as error:
            return [f"recovery folder: {error.message}"]
        told = self.place.call("committed", self.group, list(topics_of(self.input.tag)))
        lasts = self.place.call("lasts", self.input.tag)
        wrong = []
        for (topic, partition), offset in told.items():
            state = durable.get(f"{topic}/{partition}")
            reached = 0 if state is None else state.next_offset
            if offset > reached and reached != lasts.get((topic, partition)):
                wrong.append(f"{topic}/{partition}: {offset} committed to the group, durable is {reached}")
        return wrong
