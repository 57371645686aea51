"""A model of how Bytewax runs epochs, keeps snapshots, dies and resumes, to drive the real outbox and store.

One epoch: batches flow from source partitions through a keyed count to the sink parts; then source snapshots, keyed
snapshots and sink snapshots become durable one after the other, each in a transaction of its own; then the frontier
moves, which is what makes the epoch count. A crash may come between any two of these.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from config.events import Event
from sinks.chain import Entry
from sinks.outbox import Outbox, Release, part_of
from sinks.part_writer import ChannelStats, PartWriter
from sinks.schema import metadata, outputs
from sinks.store import Store

PARTS = ("part-000", "part-001")
PARTITIONS = ("t/0", "t/1", "t/2")
KEYS = 5
EVERY = 3
SENDERS = frozenset(f"@count/{key}" for key in range(KEYS))


class Crash(Exception):
    """The process is gone."""


class Engine:
    """What is durable: snapshots by step and key and epoch, and the frontier. Outlives crashes."""

    def __init__(self) -> None:
        self.snapshots: dict[tuple[str, str], dict[int, Any]] = {}
        self.frontier = 1

    def write(self, step: str, states: dict[str, Any], epoch: int) -> None:
        for key, state in states.items():
            self.snapshots.setdefault((step, key), {})[epoch] = state

    def commit(self, epoch: int) -> None:
        self.frontier = epoch + 1

    def collect(self) -> None:
        """Forget, of each key, what is older than its newest committed snapshot."""
        for rows in self.snapshots.values():
            committed = [epoch for epoch in rows if epoch < self.frontier]
            for epoch in committed[:-1] if committed else []:
                if epoch != max(committed):
                    del rows[epoch]

    def purge(self) -> int:
        """Drop zombie snapshots, as `sinks.preflight` does in the files."""
        zombies = [(rows, epoch) for rows in self.snapshots.values() for epoch in rows if epoch >= self.frontier]
        for rows, epoch in zombies:
            del rows[epoch]
        return len(zombies)

    def load(self, step: str) -> dict[str, Any]:
        loaded = {}
        for (of, key), rows in self.snapshots.items():
            committed = [epoch for epoch in rows if epoch < self.frontier]
            if of == step and committed:
                loaded[key] = rows[max(committed)]
        return loaded


class Faults:
    """Decides, by seed, where the process dies, how much it reads, and when it idles."""

    def __init__(self, seed: int, crash_rate: float) -> None:
        self.random = random.Random(seed)
        self.crash_rate = crash_rate

    def point(self) -> None:
        if self.random.random() < self.crash_rate:
            raise Crash


class MortalWriter:
    """The real writer in a process that may die just before or just after the store's commit."""

    def __init__(self, writer: PartWriter, faults: Faults) -> None:
        self.writer, self.faults = writer, faults

    def release(self, entries: Sequence[Entry], stats: Sequence[ChannelStats]) -> bool:
        self.faults.point()
        done = self.writer.release(entries, stats)
        self.faults.point()
        return done

    def mark_done(self) -> None:
        self.faults.point()
        self.writer.mark_done()


class Execution:
    """One life of the job, from resume to crash or end."""

    def __init__(
        self,
        number: int,
        engine: Engine,
        store: Store,
        faults: Faults,
        counts: dict[str, int],
        outbox_type: type[Outbox] = Outbox,
    ) -> None:
        self.number, self.engine, self.store, self.faults = number, engine, store, faults
        self.lengths = counts
        store.begin_run(PARTS, "model")
        self.offsets: dict[str, int] = {name: engine.load("in").get(name, 0) for name in PARTITIONS}
        self.counts: Counter[int] = Counter({int(key): seen for key, seen in engine.load("count").items()})
        self.sink_states = engine.load("out")
        self.outbox_type = outbox_type
        self.outboxes: dict[str, Outbox] = {}
        self.waiting: list[Callable[[], None]] = []
        self.serial = 0

    def outbox(self, part: str) -> Outbox:
        """Built at the first write, as Bytewax does for a part without a snapshot."""
        if part not in self.outboxes:
            self.outboxes[part] = self.outbox_type(part, SENDERS, self._open, self.sink_states.get(part))
        return self.outboxes[part]

    def _open(self, part: str, base_seq: int, heads: list[bytes]) -> MortalWriter:
        self.faults.point()
        return MortalWriter(self.store.open_part(part, base_seq, heads), self.faults)

    def run(self) -> None:
        """Run epochs until everything is released; `Crash` where the faults will it."""
        for part in sorted(self.sink_states):
            self.outbox(part)
        epoch = self.engine.frontier
        told_end = False
        idle = self.faults.random.random() < 0.5  # as a consumer that waits for its assignment
        while not self.store.all_done():
            self.tick()
            touched_keys: set[int] = set()
            touched_parts: set[str] = set()
            for _ in range(0 if idle else self.faults.random.randrange(1, 4)):
                touched_parts |= self.batch(touched_keys)
            if not told_end and self.offsets == self.lengths and not idle:
                told_end = True
                for part in PARTS:
                    self.outbox(part).write([Release(sender, ended=True) for sender in sorted(SENDERS)])
                    touched_parts.add(part)
            idle = False
            self.commit(epoch, touched_keys, touched_parts)
            epoch += 1

    def tick(self) -> None:
        """The gate: all that waits is durable, for a new epoch begins."""
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()

    def batch(self, touched_keys: set[int]) -> set[str]:
        name = self.faults.random.choice(PARTITIONS)
        size = min(self.faults.random.randrange(1, 8), self.lengths[name] - self.offsets[name])
        parts = set()
        for offset in range(self.offsets[name], self.offsets[name] + size):
            key = offset % KEYS
            touched_keys.add(key)
            self.counts[key] += 1
            if self.counts[key] % EVERY == 0:
                parts.add(part_of(key, PARTS))
                self.outbox(part_of(key, PARTS)).write([self.effect(key, f"{name}@{offset}")])
        self.offsets[name] += size
        self.faults.point()
        return parts

    def effect(self, key: int, cause: str) -> Release:
        """The id carries what no replay repeats: exactly once must not lean on it."""
        self.serial += 1
        data = {"key": key, "n": self.counts[key]}
        event = Event(0, f"{self.number}/{self.serial}/{cause}", str(key), "finding", data)
        return Release(f"@count/{key}", [event], stats=[ChannelStats(cause.partition("@")[0], self.serial, 0)])

    def commit(self, epoch: int, keys: set[int], parts: set[str]) -> None:
        self.engine.write("in", dict(self.offsets), epoch)
        self.faults.point()
        self.engine.write("count", {str(key): self.counts[key] for key in keys}, epoch)
        self.faults.point()
        for part in sorted(parts):
            state, durable = self.outbox(part).snapshot()
            self.waiting.append(durable)
            self.faults.point()
            self.engine.write("out", {part: state}, epoch)
        self.faults.point()
        self.engine.commit(epoch)
        self.faults.point()
        self.engine.collect()


def memory_store() -> Store:
    """Return an empty store in memory: the real code without the disk."""
    store = Store(make_url("sqlite://"))
    store._migrate(create=True)
    return store


def emptied(store: Store) -> Store:
    with store.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
    return store


def expected(lengths: dict[str, int]) -> Counter[tuple[int, int]]:
    """The effects due, each once, whatever the order in which the partitions were read."""
    seen = Counter(offset % KEYS for length in lengths.values() for offset in range(length))
    return Counter((key, n) for key, total in seen.items() for n in range(EVERY, total + 1, EVERY))


def effects(store: Store) -> Counter[tuple[int, int]]:
    return Counter((body["key"], body["n"]) for body in _bodies(store))


def _bodies(store: Store) -> Iterator[dict[str, int]]:
    with store.read() as connection:
        for (body,) in connection.execute(sa.select(outputs.c.body)):
            yield orjson.loads(body)
