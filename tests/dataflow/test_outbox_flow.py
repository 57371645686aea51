"""A small flow on real Bytewax: source, keyed state, outbox, gate, SQLite."""

from __future__ import annotations

import pickle
import re
import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
import sqlalchemy as sa
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.inputs import DynamicSource, FixedPartitionedSource, StatefulSourcePartition, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig
from bytewax.testing import TestingSink, cluster_main

from config.errors import SequenceError, UsageError
from config.events import Event
from sinks.audit import verify_chain
from sinks.gate import Gate, assert_gated
from sinks.outbox import OutboxSink, Release, part_names, part_of
from sinks.outlets import StoreOutlet
from sinks.part_writer import ChannelStats
from sinks.preflight import preflight
from sinks.schema import channels
from sinks.store import Store

PARTS = part_names(2)
PARTITIONS = ["t/0", "t/1", "t/2"]
GROUPS = 4
IDENTITY = {"parts": PARTS}
IDLE = -1
"""Instead of the number at which a source dies: it dies without having read anything, some epochs later."""
IDLE_S = 0.4
EPOCH = timedelta(milliseconds=60)


class Numbers(StatefulSourcePartition[Any, bytes]):
    """Emits the numbers up to `count`, then its end marker, then stops."""

    def __init__(self, name: str, at: int, count: int, dies_at: int | None) -> None:
        self.name, self.at, self.count, self.dies_at, self.ended = name, at, count, dies_at, False
        self.idle_until = time.monotonic() + IDLE_S if dies_at == IDLE else None

    def next_batch(self) -> list[Any]:
        if self.ended:
            raise StopIteration
        if self.dies_at is not None and self.dies_at != IDLE and self.at >= self.dies_at:
            raise RuntimeError("killed")
        if self.idle_until is not None:  # as a consumer that waits for its assignment, and dies before it comes
            if time.monotonic() > self.idle_until:
                raise RuntimeError("killed")
            return []
        time.sleep(0.002)  # lets epochs end in between
        batch = list(range(self.at, min(self.at + 25, self.count)))
        self.at += len(batch)
        self.ended = not batch
        return [(self.name, batch, self.ended)]

    def snapshot(self) -> bytes:
        return str(self.at).encode()


class NumbersSource(FixedPartitionedSource[Any, bytes]):
    def __init__(self, count: int, dies_at: int | None) -> None:
        self.count, self.dies_at = count, dies_at

    def list_parts(self) -> list[str]:
        return PARTITIONS

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> Numbers:
        return Numbers(for_part, int(resume_state or 0), self.count, self.dies_at)


class CountingGroup(op.StatefulBatchLogic[Any, Any, bytes]):
    """Emits every third number it gets, and its end when all partitions have ended."""

    def __init__(self, state: bytes | None) -> None:
        self.seen = int(state or 0)
        self.ended: set[str] = set()

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        out: list[Any] = []
        for group, channel, numbers, ended in values:
            sender = f"@count/{group}"
            for number in numbers:
                self.seen += 1
                event = Event(number, f"{channel}/{number}", channel, "finding", {"number": number})
                if number % 3 == 0:
                    out.append((part_of(group, PARTS), Release(sender, [event])))
            if ended:
                self.ended.add(channel)
                stats = ChannelStats(f"count/{group}", next_offset=self.seen, watermark=0)
                out.append((part_of(group, PARTS), Release(sender, stats=[stats])))
        if len(self.ended) == len(PARTITIONS):
            out += [(part, Release(f"@count/{group}", ended=True)) for part in PARTS]
        return out, False

    def snapshot(self) -> bytes:
        return str(self.seen).encode()


def routed(item: Any) -> list[Any]:
    channel, numbers, ended = item
    return [(str(group), (group, channel, numbers[group::GROUPS], ended)) for group in range(GROUPS)]


def build(url: str, finished: Callable[[], bool], count: int, dies_at: int | None = None) -> Dataflow:
    flow = Dataflow("small")
    gate = op.input("gate", flow, Gate(finished))
    groups = op.flat_map("route", op.input("in", flow, NumbersSource(count, dies_at)), routed)
    counted = op.map("rekey", op.stateful_batch("count", groups, CountingGroup), lambda keyed: keyed[1])
    senders = frozenset(f"@count/{group}" for group in range(GROUPS))
    op.output("out", op.merge("gated", counted, gate), OutboxSink(StoreOutlet(url), PARTS, senders))
    assert_gated(flow)
    return flow


def run(tmp_path: Path, name: str, count: int, dies_at: int | None = None, workers: int = 1) -> tuple[Store, str]:
    url = f"sqlite:///{tmp_path}/{name}.db"
    folder = tmp_path / f"{name}.recovery"
    store = Store.open(url, create=True)
    preflight(folder, IDENTITY, store_has_run=store.has_run())
    store.begin_run(PARTS, "job")
    flow = build(url, store.all_done, count, dies_at)
    config = RecoveryConfig(str(folder))
    cluster_main(flow, [], 0, worker_count_per_proc=workers, epoch_interval=EPOCH, recovery_config=config)
    return store, store.digest()


@pytest.mark.parametrize("workers", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_finite_run_ends_and_releases_everything_once(tmp_path: Path, workers: int) -> None:
    store, digest = run(tmp_path, "a", 300, workers=workers)
    assert store.all_done()
    assert store.counts() == {"finding": 3 * 100}
    assert sum(verify_chain(store).values()) == 300
    assert counted(store) == 900
    assert run(tmp_path, "b", 300)[1] == digest


def test_running_a_finished_store_again_changes_nothing(tmp_path: Path) -> None:
    store, digest = run(tmp_path, "a", 60)
    totals = store.totals()
    again, digest_again = run(tmp_path, "a", 60)
    assert (digest_again, again.totals(), again.all_done()) == (digest, totals, True)


def test_a_longer_input_goes_on_where_the_shorter_one_ended(tmp_path: Path) -> None:
    run(tmp_path, "a", 60)
    assert run(tmp_path, "a", 150)[1] == run(tmp_path, "b", 150)[1]


def test_runs_that_die_and_resume_equal_one_that_lives(tmp_path: Path) -> None:
    for dies_at in (20, 90, 200):
        with pytest.raises(BytewaxRuntimeError, match="next_batch"):
            run(tmp_path, "a", 300, dies_at=dies_at, workers=2)
    store, digest = run(tmp_path, "a", 300, workers=2)
    assert digest == run(tmp_path, "b", 300)[1]
    assert sum(verify_chain(store).values()) == 300


def test_a_lost_recovery_folder_behind_the_stores_back_stops_the_run(tmp_path: Path) -> None:
    run(tmp_path, "a", 60)
    (tmp_path / "a.recovery").rename(tmp_path / "gone")
    store = Store.open(f"sqlite:///{tmp_path}/a.db")
    preflight(tmp_path / "a.recovery", IDENTITY, store_has_run=False)
    store.begin_run(PARTS, "job")
    before = store.digest()
    with pytest.raises(BytewaxRuntimeError) as raised:
        cluster_main(
            build(f"sqlite:///{tmp_path}/a.db", store.all_done, 60),
            [],
            0,
            epoch_interval=EPOCH,
            recovery_config=RecoveryConfig(str(tmp_path / "a.recovery")),
        )
    assert isinstance(raised.value.__cause__, SequenceError)
    assert "TIME TRAVEL" in str(raised.value.__cause__)
    assert store.digest() == before


def counted(store: Store) -> int:
    """Return how many numbers the keyed state says it has seen."""
    with store.read() as connection:
        return int(connection.execute(sa.select(sa.func.sum(channels.c.next_offset))).scalar_one())


def die(tmp_path: Path, dies_at: int) -> None:
    with pytest.raises(BytewaxRuntimeError, match="next_batch"):
        run(tmp_path, "a", 300, dies_at=dies_at)


def leave_zombie(folder: Path) -> None:
    """Leave what a crash between two transactions of an epoch leaves: a snapshot of the epoch to be run again."""
    epoch = preflight(folder, IDENTITY, store_has_run=True).resume_epoch
    connection = sqlite3.connect(folder / "part-0.sqlite3")
    with connection:
        connection.execute(
            "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES ('small.count', '0', ?, ?)",
            (epoch, pickle.dumps(b"5000")),
        )
    connection.close()


def test_state_of_a_lost_epoch_does_not_come_back_with_a_second_crash(tmp_path: Path) -> None:
    die(tmp_path, 150)
    leave_zombie(tmp_path / "a.recovery")
    die(tmp_path, IDLE)
    store, _ = run(tmp_path, "a", 300)
    assert counted(store) == 900


def test_control_without_purge_it_does_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    die(tmp_path, 150)
    leave_zombie(tmp_path / "a.recovery")
    monkeypatch.setattr("sinks.preflight._purge", lambda connection, resume_epoch: 0)
    die(tmp_path, IDLE)
    store, _ = run(tmp_path, "a", 300)
    assert counted(store) > 5000


class Ungated(DynamicSource[Any]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSourcePartition[Any]:
        raise NotImplementedError


class Stateless(DynamicSink[Any]):
    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:
        raise NotImplementedError


def outbox() -> OutboxSink:
    return OutboxSink(StoreOutlet("sqlite:///unused.db"), PARTS, frozenset())


def test_gate_beside_the_sink_is_refused() -> None:
    flow = Dataflow("small")
    op.input("gate", flow, Gate(lambda: True))
    stream = op.map("map", op.input("in", flow, Ungated()), lambda item: item)
    op.output("out", stream, outbox())
    with pytest.raises(UsageError, match=re.escape("small.out is not downstream of a durability gate")):
        assert_gated(flow)


def test_gate_upstream_of_one_of_two_sinks_is_refused() -> None:
    flow = Dataflow("small")
    gate, stream = op.input("gate", flow, Gate(lambda: True)), op.input("in", flow, Ungated())
    op.output("out", op.merge("gated", stream, gate), outbox())
    op.output("side", stream, outbox())
    with pytest.raises(UsageError, match=re.escape("small.side")):
        assert_gated(flow)


def test_gate_is_found_through_nested_operators() -> None:
    flow = Dataflow("small")
    stream = op.merge("gated", op.input("in", flow, Ungated()), op.input("gate", flow, Gate(lambda: True)))
    keyed = op.key_on("key", op.map("map", stream, lambda item: item), str)
    op.output("out", op.stateful_map("state", keyed, lambda state, item: (state, item)), outbox())
    assert_gated(flow)


def test_sink_outside_the_recovery_is_refused() -> None:
    flow = Dataflow("small")
    op.output("out", op.input("gate", flow, Gate(lambda: True)), Stateless())
    with pytest.raises(UsageError, match="no part in the recovery"):
        assert_gated(flow)
    plain = Dataflow("plain")
    op.output("out", op.input("gate", plain, Gate(lambda: True)), TestingSink([]))
    with pytest.raises(UsageError, match="no part in the recovery"):
        assert_gated(plain)


def test_flow_without_sink_is_refused() -> None:
    flow = Dataflow("small")
    op.input("gate", flow, Gate(lambda: True))
    with pytest.raises(UsageError, match="no sink"):
        assert_gated(flow)
