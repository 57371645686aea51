"""A live job in tests: a simulated world on topics of a broker, the job as a process, and what it left."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson
from confluent_kafka import Consumer, TopicPartition

from config.clock import DAY, HOUR, to_text
from dataflows.recovered import interpret
from replay.manifest import Idle
from replay.recording import Recording
from replay.world import Spec, simulate
from replay.writer import RecordingWriter
from sinks.preflight import inspect
from tests.support.cloudevents import cloud_event
from tests.support.commands import Ended, children, end, eventually, start
from tests.support.kafka import Broker
from tests.support.recordings import MADE_AT

LONG_AGO = 0
"""A recording until then says no more about time than its records do, as a live partition that is not idle."""


@dataclass
class World:
    """Records by channel; the same on topics and in recordings. Topics have fresh names: results name them."""

    records: Mapping[str, list[tuple[int, bytes | None, bytes | None]]]
    """(timestamp in ms, key, value) by channel, `topic/partition`."""
    produced: dict[str, int] = field(default_factory=dict)

    @property
    def topics(self) -> list[str]:
        """Names of the topics."""
        return sorted({channel.rpartition("/")[0] for channel in self.records})

    def create(self, kafka: Broker) -> None:
        """Make the topics."""
        for topic in self.topics:
            kafka.create(topic, sum(channel.rpartition("/")[0] == topic for channel in self.records))

    def produce(self, kafka: Broker, until: float = 1.0, channels: list[str] | None = None) -> None:
        """Put the records up to a share of all onto the topics, after those that are there."""
        for channel in channels or list(self.records):
            rows = self.records[channel]
            done, last = self.produced.get(channel, 0), int(len(rows) * until)
            chosen = rows[done:last]
            topic, _, partition = channel.rpartition("/")
            stamps, keys, values = zip(*chosen, strict=True) if chosen else ((), (), ())
            kafka.produce(topic, values, int(partition), keys, stamps)
            self.produced[channel] = max(last, done)

    def ends(self, share: float = 1.0) -> dict[str, int]:
        """Return the offset after the last record, by channel."""
        return {channel: int(len(rows) * share) for channel, rows in self.records.items()}

    def record(self, folder: Path, idle: list[Idle] | None = None) -> Path:
        """Write a recording of all records."""
        with RecordingWriter(folder, created_at=MADE_AT) as writer:
            for channel, rows in self.records.items():
                topic, _, partition = channel.rpartition("/")
                writer.declare(topic, int(partition))
                for offset, (stamp, key, value) in enumerate(rows):
                    writer.write(topic, int(partition), offset, stamp, key, value)
            writer.finish(LONG_AGO, idle=idle or [])
        return folder


def simulated(folder: Path, suffix: str, events: int = 4000, seed: int = 7) -> World:
    """Return a simulated world whose topics end on `suffix`."""
    simulate(Spec(seed, events, 12, "full"), folder, lambda made: None)
    recording = Recording.open(folder)
    records = {}
    for part in recording.partitions:
        reader, rows, at = recording.reader(part.topic, part.partition), [], 0
        while (batch := reader.read(at, 100_000)) is not None:
            rows += list(zip(batch.timestamps, batch.keys, batch.values, strict=True))
            at = batch.offsets[-1] + 1
        records[f"{part.topic}-{suffix}/{part.partition}"] = rows
    return World(records)


def late_orders(kafka: Broker, topic: str, count: int, now: int) -> None:
    """Write an order of each of so many customers that is promised for a day after `now` and still here: it is late."""
    for number in range(count):
        whose = {"order_id": f"o{number}", "customer_id": f"c{number}"}
        items = [{"product_id": "p", "seller_id": "s", "seller_state": "SP", "price": 9.9, "freight": 1.0}]
        placed = whose | {"customer_state": "RJ", "promised_at": to_text(now + DAY), "items": items}
        value = cloud_event("order.placed", placed, id=f"placed-{number}", time=to_text(now - HOUR))
        kafka.produce(topic, [value], number % 2, [f"c{number}".encode()])


class Job:
    """A live job: `forestall run detection` as a process.

    Args:
        kafka: The broker.
        folder: Of its settings, store and recovery folder.
        topics: What it reads.
        more: Settings, by table and name.
    """

    def __init__(self, kafka: Broker, folder: Path, topics: list[str], /, **more: Mapping[str, Any]) -> None:
        self._kafka = kafka
        folder.mkdir(parents=True, exist_ok=True)
        self.store = folder / "store.db"
        self.recovery = folder / "store.db.recovery"
        self.config = folder / "job.toml"
        self.topics = topics
        self.group = f"g-{folder.name}-{topics[0]}"
        tables: dict[str, dict[str, Any]] = {
            "kafka": {
                "bootstrap_servers": kafka.bootstrap,
                "topics": topics,
                "group_id": self.group,
                "start": "earliest",
            },
            # Worlds are of long ago: on the wall's time, whoever is silent would promise today.
            "time": {"idle_timeout": "1d", "lateness_max": "1h", "alignment_max": "1000d"},
            "runtime": {"epoch_interval": "200ms"},
        }
        for table, values in more.items():
            tables.setdefault(table, {}).update(values)
        self.config.write_text("".join(_toml(name, values) for name, values in tables.items()))
        self.process: subprocess.Popen[str] | None = None

    @property
    def store_url(self) -> str:
        """The URL of its store."""
        return f"sqlite:///{self.store}"

    def start(self, *arguments: object, measured: bool = False) -> None:
        """Start it."""
        given = ("--config", self.config, "--store", self.store_url, "--json")
        self.process = start("run", "detection", *given, *arguments, measured=measured)

    def offsets(self) -> dict[str, int]:
        """Return the next offset by channel, as far as the store knows."""
        return dict(self._rows("SELECT channel, next_offset FROM channels WHERE channel NOT LIKE '@%'"))

    def watermarks(self) -> dict[str, int]:
        """Return the watermark by channel, as far as the store knows."""
        return dict(self._rows("SELECT channel, watermark FROM channels WHERE channel NOT LIKE '@%'"))

    def idle_times(self) -> list[Idle]:
        """Return the idle times that were released."""
        bodies = self._rows("SELECT body FROM outputs WHERE kind = 'idle'")
        return [msgspec.json.decode(body, type=Idle) for (body,) in bodies]

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        """Return the outputs of a kind that were released, as far as there is a store yet."""
        return [orjson.loads(body) for (body,) in self._rows(f"SELECT body FROM outputs WHERE kind = '{kind}'")]

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        if not self.store.exists():
            return []
        connection = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:  # its tables are still to be made
            return []
        finally:
            connection.close()

    def durable(self) -> dict[str, int]:
        """Return the next offset by channel in the recovery folder; the job must not run."""
        found = interpret(inspect(self.recovery).snapshots).channels
        return {channel: state.next_offset for channel, state in found.items()}

    def promised(self, channel: str) -> Idle:
        """Return what a partition without a record since has promised; the job must not run."""
        state = interpret(inspect(self.recovery).snapshots).channels[channel]
        assert state.idle is not None, f"{channel} is not idle"
        topic, _, partition = channel.rpartition("/")
        return Idle(topic, int(partition), *state.idle)

    def wait_for(self, ends: Mapping[str, int]) -> None:
        """Wait until everything before `ends` is read and durable, and what follows from it is out."""

        def reached() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the job ended: {self.process.communicate()}")
            offsets = self.offsets()
            return all(offsets.get(channel, 0) >= end for channel, end in ends.items())

        eventually(reached, f"{ends} read")

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        assert self.process is not None
        return children(self.process)

    def stop(self) -> Ended:
        """Ask it to stop and wait for it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return end(self.process)

    def kill(self) -> None:
        """Kill supervisor and workers as a loss of power would."""
        assert self.process is not None
        for pid in self.workers():
            _kill(pid)
        self.process.kill()
        self.process.communicate()

    def committed(self, channels: Iterable[str] | None = None) -> dict[str, int]:
        """Return what lag tools see: the offsets committed to the group; of the channels in the store by default."""
        names = [channel.rpartition("/") for channel in (self.offsets() if channels is None else channels)]
        wanted = [TopicPartition(topic, int(partition)) for topic, _, partition in names]
        consumer = Consumer(self._kafka.client(group_id=self.group))
        try:
            found = consumer.committed(wanted, timeout=10)
        finally:
            consumer.close()
        return {f"{each.topic}/{each.partition}": each.offset for each in found}


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _toml(table: str, values: Mapping[str, Any]) -> str:
    lines = []
    for name, value in values.items():
        if isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, list):
            text = "[" + ", ".join(f'"{each}"' for each in value) + "]"
        else:
            text = str(value) if isinstance(value, int) else f'"{value}"'
        lines.append(f"{name} = {text}\n")
    return f"[{table}]\n{''.join(lines)}\n"
