"""`python -m benchmarks.latency`: how long after an output was due it is durable, at rising rates and epoch intervals.

Open-loop: each record has an instant at which it is to be written, whatever the job does, and delays count from there,
so that a job that stands still is not asked less often for it (coordinated omission). Two kinds of outputs are timed,
from outside, by looking into the store every few milliseconds:

- *dead letters* of records that cannot be read: due at once;
- *findings, cases, decisions* about orders whose promise passes: due with the first order that lets the watermark pass
  their event time. They take the whole way, through all stages.

What event time itself demands (lateness, the slowest channel) is told apart, from the job's own histograms.
"""

from __future__ import annotations

import os

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # before Polars is imported

import math
import sqlite3
import threading
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import orjson
from confluent_kafka import Producer

from benchmarks.command import Task, text
from benchmarks.live_jobs import measured_broker
from benchmarks.recordings import FOLDER
from benchmarks.soak import SERVICES, SETTINGS
from config.clock import DAY, SECOND, to_text
from config.metrics import EVENT_DELAY
from dataflows.cli.console import out, print_json, progress, table
from tests.support.commands import eventually
from tests.support.kafka import Broker
from tests.support.live import Job
from tests.support.metrics import Series, series, total
from tests.support.prometheus import fetch, free_port

PARTITIONS = 2
ORDER_EVERY = 200
"""One record in so many is an order; the next one shows how far its partition has come."""
POISON_EVERY = 500
PROMISE_US = 2 * SECOND
"""From an order to its promise, which nobody keeps."""
LATENESS_S = 1
TICK_S = 0.005
LOOK_S = 0.005
WARM_S = 5.0
"""Outputs of the first seconds do not count: the job starts, and no promise has passed."""
BACKLOG = 2_000_000
EPOCH_S = 1.0
"""While the highest rate is measured."""
TIMED = ("dead letters", "findings")
QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}
CAUSES = ("arrival", "lateness", "slowest_channel")


@dataclass(frozen=True)
class Schedule:
    """When records are to be written: record `n` at `began_us` + n / `rate`, and it says so itself."""

    topics: tuple[str, str]
    rate: float
    began_us: int

    def at(self, number: int) -> int:
        """Return the instant of a record, microseconds since the epoch."""
        return self.began_us + int(number * 1e6 / self.rate)

    def due(self, kind: str, event_at: int) -> int:
        """Return when an output can be known: with the first order past its event time and the lateness granted."""
        if kind == "dead_letter":
            return event_at
        gap = ORDER_EVERY * 1e6 / self.rate
        orders = math.floor((event_at + LATENESS_S * SECOND - self.began_us) / gap) + 1
        return self.began_us + int(orders * gap)

    def write(self, producer: Producer, numbers: range) -> None:
        """Hand records to the producer."""
        telemetry, orders = self.topics
        for number in numbers:
            at = self.at(number)
            topic, partition = (telemetry, number % PARTITIONS) if number % ORDER_EVERY else (orders, 0)
            value = self._order(number, at) if topic == orders else self._request(number, at)
            if number % POISON_EVERY == 1:
                value = b"{"
            while True:
                try:
                    producer.produce(topic, value, partition=partition, timestamp=at // 1000)
                    break
                except BufferError:
                    producer.poll(0.01)
        producer.poll(0)

    def _request(self, number: int, at: int) -> bytes:
        return (
            f'{{"specversion":"1.0","id":"{number}","source":"/latency","type":"request.completed",'
            f'"time":"{to_text(at)}","data":{{"service":"service-{number % SERVICES}","route":"/","status":200,'
            f'"duration_ms":{20 + number * 7919 % 180}.0}}}}'
        ).encode()

    def _order(self, number: int, at: int) -> bytes:
        item = {"product_id": "p", "seller_id": "s", "seller_state": "SP", "price": 10.0, "freight": 1.0}
        data = {
            "order_id": f"o{number}",
            "customer_id": f"c{number}",
            "customer_state": "SP",
            "promised_at": to_text(at + PROMISE_US),
            "items": [item],
        }
        head = {"specversion": "1.0", "id": f"{number}", "source": "/latency", "type": "order.placed"}
        return orjson.dumps(head | {"time": to_text(at), "data": data})


class Watcher:
    """Looks into a store for outputs as they become visible."""

    def __init__(self, store: Path, schedule: Schedule) -> None:
        self._store, self._schedule = store, schedule
        self._seen: dict[str, int] = {}
        self._end = threading.Event()
        self.delays: dict[str, list[float]] = defaultdict(list)
        """Seconds from when an output was due until it was seen, by what was timed."""
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        query = "SELECT seq, kind, event_at FROM outputs WHERE part = ? AND seq > ? ORDER BY seq"
        with closing(sqlite3.connect(f"file:{self._store}?mode=ro", uri=True, timeout=10)) as connection:
            while not self._end.wait(LOOK_S):
                for (part,) in connection.execute("SELECT part FROM progress").fetchall():
                    rows = connection.execute(query, (part, self._seen.get(part, 0))).fetchall()
                    now = time.time_ns() // 1000
                    for seq, kind, event_at in rows:
                        self._seen[part] = seq
                        self._note(kind, event_at, now)

    def _note(self, kind: str, event_at: int, now: int) -> None:
        if kind not in ("dead_letter", "finding", "case", "decision"):
            return
        due = self._schedule.due(kind, event_at)
        if due >= self._schedule.began_us + WARM_S * SECOND:
            self.delays["dead letters" if kind == "dead_letter" else "findings"].append((now - due) / 1e6)


def quantile(values: list[float], share: float) -> float:
    """Return the value below or at which `share` of all lie."""
    return sorted(values)[min(math.ceil(share * len(values)), len(values)) - 1] if values else math.nan


class Runs:
    """Live jobs, one after the other, on one broker."""

    def __init__(self, broker: Broker, folder: Path, processes: int) -> None:
        self._broker, self._folder, self._processes = broker, folder, processes
        self._number = 0

    def highest(self) -> float:
        """Return records per second over a backlog."""
        job, topics, _ = self._job(EPOCH_S)
        producer = self._producer()
        long_ago = time.time_ns() // 1000 - DAY
        Schedule(topics, 10_000.0, long_ago).write(producer, range(BACKLOG))
        producer.flush()
        job.start("--processes", self._processes)
        try:
            # The first are seen when the first epoch is over.
            eventually(lambda: sum(job.offsets().values()) > 0, "something is read")
            began = time.monotonic()
            eventually(lambda: sum(job.offsets().values()) >= BACKLOG, "all is read")
            return BACKLOG / (EPOCH_S + time.monotonic() - began)
        finally:
            job.kill()

    def one(self, rate: float, epoch_s: float, seconds: float) -> dict[str, Any]:
        """Measure at `rate` records a second with epochs of so many seconds."""
        job, topics, port = self._job(epoch_s)
        producer = self._producer()
        job.start("--processes", self._processes, "--metrics-port", port)
        try:
            eventually(lambda: is_ready(job, port), "the job is ready")
            schedule = Schedule(topics, rate, time.time_ns() // 1000 + SECOND // 2)
            eventually(job.store.exists, "the store is made")
            watcher = Watcher(job.store, schedule)
            written, last = 0, int(rate * (seconds + WARM_S))
            while written < last:
                now = min(max(int((time.time_ns() // 1000 - schedule.began_us) * rate / 1e6), written), last)
                schedule.write(producer, range(written, now))
                written = now
                time.sleep(TICK_S)
            producer.flush()
            time.sleep(2 * epoch_s + LATENESS_S)
            watcher.end()
            metrics = series(fetch(f"http://127.0.0.1:{port}/metrics")[1])
            lag = written - sum(job.offsets().values())
        finally:
            job.kill()
        return {
            "rate_per_s": round(rate),
            "epoch_s": epoch_s,
            "behind_at_end": lag,
            **{name: shown(watcher.delays[name]) for name in TIMED},
            "event_time_s": event_time(metrics),
        }

    def _job(self, epoch_s: float) -> tuple[Job, tuple[str, str], int]:
        self._number += 1
        topics = (f"telemetry-{self._number}", f"orders-{self._number}")
        self._broker.create(topics[0], PARTITIONS)
        self._broker.create(topics[1], 1)
        settings = SETTINGS | {
            "time": SETTINGS["time"] | {"lateness_max": f"{LATENESS_S}s"},
            "runtime": {"epoch_interval": f"{round(epoch_s * 1000)}ms"},
        }
        return Job(self._broker, self._folder / f"job-{self._number}", list(topics), **settings), topics, free_port()

    def _producer(self) -> Producer:
        return Producer(self._broker.client(linger_ms=2, compression_type="lz4"))


def is_ready(job: Job, port: int) -> bool:
    """Return whether a job is ready; it must run."""
    assert job.process is not None
    if job.process.poll() is not None:
        raise RuntimeError(f"the job ended: {job.process.communicate()}")
    return fetch(f"http://127.0.0.1:{port}/health/ready")[0] == 200


def shown(delays: list[float]) -> dict[str, Any]:
    """Return how many there are, and their quantiles in seconds."""
    quantiles = {name: round(quantile(delays, share), 4) for name, share in QUANTILES.items()}
    return {"count": len(delays)} | quantiles


def event_time(metrics: Series) -> dict[str, dict[str, float]]:
    """Return what outputs waited for by cause: the mean in seconds, and the histogram's cumulative counts."""
    found: dict[str, dict[str, float]] = {}
    for cause in CAUSES:
        count = total(metrics, f"{EVENT_DELAY.name}_count", cause=cause)
        mean = total(metrics, f"{EVENT_DELAY.name}_sum", cause=cause) / count if count else math.nan
        buckets = {
            f"<= {dict(labels)['le']}": number
            for (name, labels), number in metrics.items()
            if name == f"{EVENT_DELAY.name}_bucket" and dict(labels)["cause"] == cause and number
        }
        found[cause] = {"mean": round(mean, 3)} | buckets
    return found


@click.command()
@click.option("--seconds", type=float, default=20.0, show_default=True, help="Of each measurement, after its warm-up.")
@click.option("--epochs", default="0.1,0.5,1,10", show_default=True, help="Epoch intervals in seconds.")
@click.option("--shares", default="0.25,0.5,0.75", show_default=True, help="Shares of the highest rate.")
@click.option("--rate", type=float, help="The highest rate, records per second; else it is measured first.")
@click.option("--processes", type=int, default=1, show_default=True, help="Worker processes of the job.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def main(seconds: float, epochs: str, shares: str, rate: float | None, processes: int, as_json: bool) -> None:
    """Measure how long after they were due outputs of a live job are durable, open-loop, on a broker of its own.

    \b
    Example:
      python -m benchmarks.latency --epochs 0.5,1 --shares 0.5
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    plans = [(float(share), float(epoch)) for epoch in epochs.split(",") for share in shares.split(",")]
    rows = []
    with progress() as display, TemporaryDirectory(dir=FOLDER.resolve()) as scratch, measured_broker() as broker:
        runs = Runs(broker, Path(scratch), processes)
        with Task(display, "highest rate", None):
            highest = rate or runs.highest()
        for share, epoch in plans:
            with Task(display, f"{share:.0%} of {highest:,.0f} a second, epochs of {epoch:g} s", None):
                rows.append({"share": share} | runs.one(share * highest, epoch, max(seconds, 3 * epoch)))
    found = {"highest_per_s": round(highest), "processes": processes, "runs": rows}
    (FOLDER / "latency.json").write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if as_json:
        print_json(found)
        return
    columns = ("epoch s", "share", "rate/s", *(f"{kind} {q}" for kind in TIMED for q in QUANTILES))
    lines = [
        (
            text(row["epoch_s"]),
            text(row["share"]),
            str(row["rate_per_s"]),
            *(text(row[kind][q]) for kind in TIMED for q in QUANTILES),
        )
        for row in rows
    ]
    out.print(table("seconds from due to durable", columns, lines))


if __name__ == "__main__":
    main()
