"""The gate of state: a million journeys, an epoch a second, at most a tenth of the time in snapshots.

Real key groups with the real journey logic and real state logs. Each epoch a share of the customers pays or is
approved; then every group makes its changes durable, as the flow does at the end of an epoch.
"""

from __future__ import annotations

import gc
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.recordings import FOLDER
from benchmarks.state_stage import START, Stage
from config.clock import DAY
from config.events import Event
from config.identity import derived_id
from config.settings import load
from dataflows.domain import load_logics
from dataflows.worker import GC_THRESHOLDS

CHANNEL = "orders/0"
FILL_PER_SECOND = 10_000
"""Orders placed per second of event time while the state is filled."""

Advance = Callable[[int], None]


class Journeys(Stage):
    """The journey stage, and customers who order."""

    def __init__(self, folder: Path, groups: int) -> None:
        super().__init__(folder, load_logics(load()).journey, groups, CHANNEL)
        self._offset = 0

    def fill(self, customers: int, advance: Advance) -> None:
        """Let each customer place one order."""
        for first in range(0, customers, FILL_PER_SECOND):
            events = [self._placed(n, n - first) for n in range(first, min(first + FILL_PER_SECOND, customers))]
            self.pass_second(events)
            advance(len(events))
        self.pass_second()
        self.pass_second()

    def second(self, chosen: list[int]) -> None:
        """Let a second pass in which the `chosen` customers pay for their orders."""
        self.pass_second([self._paid(n, place) for place, n in enumerate(chosen)])

    def _placed(self, n: int, place: int) -> Event:
        item = {
            "product_id": f"p{n % 500}",
            "seller_id": f"s{n % 900}",
            "seller_state": "NW",
            "price": 40.0,
            "freight": 5.0,
        }
        data = {"customer_state": "BY", "promised_at": START + 20 * DAY, "items": [item]}
        return self._event("order.placed", n, place, data)

    def _paid(self, n: int, place: int) -> Event:
        data = {"method": "card", "installments": 1, "amount": 45.0, "sequence": self._offset}
        return self._event("payment.captured", n, place, data)

    def _event(self, kind: str, n: int, place: int, data: dict[str, Any]) -> Event:
        self._offset += 1
        customer, order = derived_id("customer", n), derived_id("order", n)
        data = {"customer_id": customer, "order_id": order, **data}
        return Event(self.now + place, f"/shop|{self._offset}", customer, kind, data, CHANNEL, self._offset)


def state_gate(customers: int, events_per_epoch: int, epochs: int, advance: Advance) -> dict[str, float]:
    """Return what a million journeys cost: see the keys.

    Args:
        customers: How many journeys.
        events_per_epoch: How many of them change in each epoch of one second.
        epochs: How many epochs to measure.
        advance: Told of journeys made, then of epochs.
    """
    gc.set_threshold(*GC_THRESHOLDS)
    random, before = Random(1), resident_bytes()
    with TemporaryDirectory(dir=FOLDER) as scratch:
        stage = Journeys(Path(scratch) / "state", load().runtime.key_groups.journey)
        stage.fill(customers, advance)
        filled = resident_bytes()
        began = time.perf_counter()
        tokens, total = stage.snapshot()
        first_s = time.perf_counter() - began
        spent, spent_cpu, changed, processing_cpu, worst, rewritten = 0.0, 0.0, 0, 0.0, 0.0, 0
        for _ in range(epochs):
            began_cpu = time.process_time()
            stage.second([random.randrange(customers) for _ in range(events_per_epoch)])
            done, done_cpu = time.perf_counter(), time.process_time()
            generations = sum(log._generation for log in stage.logs)
            tokens, written = stage.snapshot()
            took = time.perf_counter() - done
            rewritten += sum(log._generation for log in stage.logs) - generations
            processing_cpu += done_cpu - began_cpu
            spent_cpu += time.process_time() - done_cpu
            spent, changed, worst = spent + took, changed + written, max(worst, took)
            advance(1)
        began = time.perf_counter()
        restored = stage.restored(tokens)
        restore_s = time.perf_counter() - began
        if sum(group.keys for group in restored) != sum(group.keys for group in stage.groups):
            raise AssertionError("what was restored is not what there was")
        restored.clear()
        whole = _whole(stage, Path(scratch) / "whole.db")
        rows = _delta_rows(stage, Path(scratch) / "rows.db", random, customers, events_per_epoch)
        log_bytes = sum(log.size_bytes for log in stage.logs)
    return {
        "journeys": customers,
        "events_per_epoch": events_per_epoch,
        "epochs": epochs,
        "state_bytes_per_journey": total / customers,
        "resident_bytes_per_journey": (filled - before) / customers,
        "first_snapshot_s": first_s,
        "processing_cpu_s_per_epoch": processing_cpu / epochs,
        "snapshot_cpu_s_per_epoch": spent_cpu / epochs,
        "snapshot_s_per_epoch": spent / epochs,
        "snapshot_s_worst": worst,
        "changed_bytes_per_epoch": changed / epochs,
        "logs_rewritten": rewritten,
        "log_bytes": log_bytes,
        "restore_s": restore_s,
        **whole,
        **rows,
    }


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _database(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    database.execute("pragma journal_mode = wal")
    database.execute("pragma synchronous = full")
    database.execute("create table snaps (part text, epoch integer, body blob)")
    return database


def _whole(stage: Journeys, path: Path) -> dict[str, float]:
    """The plain way: every awoken group whole, into SQLite, as Bytewax's recovery does at each epoch."""
    with _database(path) as database:
        began = time.perf_counter()
        bodies = [group.whole() for group in stage.groups]
        encoded = time.perf_counter()
        database.executemany("insert into snaps values (?, 1, ?)", ((str(n), body) for n, body in enumerate(bodies)))
        database.commit()
        written = time.perf_counter()
    return {
        "whole_encode_s": encoded - began,
        "whole_write_s": written - encoded,
        "whole_bytes": sum(map(len, bodies)),
    }


def _delta_rows(stage: Journeys, path: Path, random: Random, customers: int, events: int) -> dict[str, float]:
    """Changes as rows of the recovery, each under a key of its own, for of a key Bytewax keeps the newest."""
    epochs, encode, write = 5, 0.0, 0.0
    with _database(path) as database:
        for epoch in range(epochs):
            stage.second([random.randrange(customers) for _ in range(events)])
            began = time.perf_counter()
            bodies = [group.delta() for group in stage.groups]
            encoded = time.perf_counter()
            database.executemany(
                "insert into snaps values (?, ?, ?)", ((str(n), epoch, body) for n, body in enumerate(bodies))
            )
            database.commit()
            encode, write = encode + encoded - began, write + time.perf_counter() - encoded
    return {"rows_encode_s": encode / epochs, "rows_write_s": write / epochs}
