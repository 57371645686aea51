"""What is measured, in which order, and how it is shown."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import orjson
from rich.progress import Progress

from benchmarks.layers import layers
from benchmarks.ledger import ledger
from benchmarks.policy import policy
from benchmarks.policy_diff import policy_diff
from benchmarks.recordings import FOLDER, beginning, world
from benchmarks.replays import Replay, replay
from benchmarks.state_gate import state_gate
from benchmarks.state_services import services_gate
from benchmarks.usage import run_module, run_modules
from dataflows.cli.console import out, print_json, progress, table
from replay.recording import Recording
from replay.world.scenario import Mix

EVENTS = 5_000_000
SIZES = {"fifth": 0.2, "whole": 1.0, "fourfold": 4.0}
LAYER_EVENTS = 1_000_000
GATE_RATE = 10_000
"""Journeys that change per second in the state gate: what a tenth of 100,000 events a second are in (c)."""
GATE_EPOCHS = 30
SERVICE_EPOCHS = 120
RULES = 100
DECISIONS = 5_000
EVENTS_PER_ACTION = 250
"""Of the size given: 20,000 actions go through the ledger by default."""
EPOCH_S = 1.0
"""The default epoch interval."""

Found = dict[str, Any]


class Bench:
    """One run of all measurements."""

    def __init__(self, events: int, display: Progress) -> None:
        self._events = events
        self._display = display
        self.found: Found = {
            "machine": {"cores": os_cores(), "python": platform.python_version(), "system": platform.machine()},
            "events": events,
        }

    def throughput(self) -> None:
        """Measure (a) bare decoding, (b) the telemetry path in three lengths, (a) again."""
        whole = self._world("telemetry")
        once = self._beginning(whole, self._events)
        first = self._decode_only(once)
        runs = {}
        for name, factor in SIZES.items():
            runs[name] = self._replay(f"(b) telemetry, {name}", self._beginning(whole, int(self._events * factor)))
        again = self._decode_only(once)
        wall, cpu = (first["wall"] + again["wall"]) / 2, (first["cpu"] + again["cpu"]) / 2
        a = {"per_s": first["records"] / wall, "us_per_event": 1e6 * wall / first["records"]}
        a |= {"cpu_us_per_event": 1e6 * cpu / first["records"], "spread": abs(first["wall"] - again["wall"]) / wall}
        self.found["a"] = a
        for name, run in runs.items():
            self.found[f"b_{name}"] = shown(run)
        b = self.found["b_whole"]
        self.found["b_over_a"] = b["per_s"] / a["per_s"]
        self.found["b_over_a_cpu"] = a["cpu_us_per_event"] / b["cpu_us_per_event"]
        self.found["b_over_a_with_start"] = b["per_s_with_start"] / a["per_s"]
        self.found["flat"] = self.found["b_fourfold"]["cpu_us_per_event"] / b["cpu_us_per_event"]

    def full(self) -> None:
        """Measure (c) the whole job: a tenth of the events are orders and CRM."""
        self.found["c"] = shown(self._replay("(c) full mix", self._beginning(self._world("full"), self._events)))

    def processes(self) -> None:
        """Measure two processes against one, and two bare decoders side by side against one."""
        recording = self._beginning(self._world("telemetry"), self._events)
        with self._task("one bare decoder, and two", None):
            one, *two = (
                1 / max(each["wall"] for each in run_modules(count, "benchmarks.decode_only", str(recording.folder)))
                for count in (1, 2)
            )
        runs = {count: self._replay(f"{count} processes", recording, count) for count in (1, 2)}
        per_s = {count: run.records / run.processing.wall for count, run in runs.items()}
        self.found["processes"] = {
            "one_per_s": per_s[1],
            "two_per_s": per_s[2],
            "two_over_one": per_s[2] / per_s[1],
            "two_decoders_over_one": 2 * two[0] / one,
        }

    def layers(self) -> None:
        """Measure each layer of the telemetry path."""
        recording = self._world("telemetry")
        events = min(LAYER_EVENTS, self._events)
        with self._task("layers", events) as advance:
            self.found["layers"] = layers(recording, events, advance)

    def gate(self) -> None:
        """Measure the gate of state."""
        customers = max(self._events // 5, 1000)
        with self._task("state gate", customers + GATE_EPOCHS) as advance:
            self.found["gate"] = state_gate(customers, min(GATE_RATE, customers // 50), GATE_EPOCHS, advance)
        services = max(self._events // 500, 100)
        with self._task("state gate of services", None) as advance:
            self.found["gate_services"] = services_gate(services, SERVICE_EPOCHS, advance)

    def policy(self) -> None:
        """Measure a decision."""
        with self._task("policy", None):
            self.found["policy"] = policy(RULES, DECISIONS)

    def policy_diff(self) -> None:
        """Measure two policies held against many recorded decisions."""
        decisions = self._events // 5
        with self._task("policy diff", decisions) as advance:
            self.found["policy_diff"] = policy_diff(decisions, advance)

    def ledger(self) -> None:
        """Measure actions through the effect ledger."""
        with self._task("ledger", None):
            actions = self._events // EVENTS_PER_ACTION
            self.found["ledger"] = ledger(actions)
            self.found["ledger_processes"] = ledger(actions, processes=2)
            self.found["ledger_threads"] = ledger(actions, processes=2, threads=True)

    def _world(self, mix: Mix) -> Recording:
        events = int(self._events * max(SIZES.values()))
        with self._task(f"make {mix}", events) as advance:
            return world(mix, events, advance)

    def _beginning(self, whole: Recording, events: int) -> Recording:
        with self._task("cut", events) as advance:
            return beginning(whole, events, advance)

    def _decode_only(self, recording: Recording) -> Found:
        with self._task("(a) decode only", None):
            found: Found = run_module("benchmarks.decode_only", str(recording.folder))
        return found

    def _replay(self, name: str, recording: Recording, processes: int = 1) -> Replay:
        task = self._display.add_task(name, total=None)

        def advance(done: int, total: int) -> None:
            self._display.update(task, completed=done, total=total)

        try:
            return replay(recording, advance, processes)
        finally:
            self._display.remove_task(task)

    def _task(self, name: str, total: int | None) -> Task:
        return Task(self._display, name, total)


class Task:
    """A bar that is there while its block runs."""

    def __init__(self, display: Progress, name: str, total: int | None) -> None:
        self._display, self._name, self._total = display, name, total

    def __enter__(self) -> Callable[[int], None]:
        self._task = self._display.add_task(self._name, total=self._total)
        return lambda count: self._display.advance(self._task, count)

    def __exit__(self, *_: object) -> None:
        self._display.remove_task(self._task)


def os_cores() -> int:
    """Return how many cores there are."""
    return os.cpu_count() or 0


def shown(run: Replay) -> Found:
    """Return the figures of one replay."""
    probe, n = run.probe, run.records
    wall, seconds = run.processing.wall, probe["seconds"]
    snapshots = sum(spent for name, spent in seconds.items() if name.startswith("snapshot"))
    epochs = max(wall / EPOCH_S, 1.0)
    return {
        "records": n,
        "per_s": n / wall,
        "per_s_with_start": n / (wall + run.start_wall_s),
        "start_s": run.start_wall_s,
        "us_per_event": 1e6 * wall / n,
        "cpu_us_per_event": 1e6 * run.processing.cpu / n,
        "peak_bytes": probe["peak_bytes"],
        "snapshot_ms_per_epoch": 1000 * snapshots / epochs,
        "snapshot_share": snapshots / wall,
        "snapshot_bytes_per_epoch": probe["snapshot_bytes"] / epochs,
        "release_share": seconds.get("release", 0.0) / wall,
        "frames_per_s": {stage: count / wall for stage, count in probe["frames"].items()},
        "state_bytes_per_key": {s: of["bytes"] / of["keys"] for s, of in probe["state"].items() if of["keys"]},
        "keys": {s: of["keys"] for s, of in probe["state"].items()},
        "outputs": run.counts,
    }


PARTS: dict[str, Callable[[Bench], None]] = {
    "throughput": Bench.throughput,
    "full": Bench.full,
    "processes": Bench.processes,
    "layers": Bench.layers,
    "gate": Bench.gate,
    "policy": Bench.policy,
    "policy-diff": Bench.policy_diff,
    "ledger": Bench.ledger,
}


@click.command()
@click.option("--events", type=click.IntRange(min=20_000), default=EVENTS, show_default=True, help="Size of (b), (c).")
@click.option("--only", type=click.Choice(list(PARTS)), multiple=True, help="Measure this alone; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def main(events: int, only: tuple[str, ...], as_json: bool) -> None:
    """Measure throughput against bare decoding, cost per layer, memory, snapshots and state, in one run."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with progress() as display:
        bench = Bench(events, display)
        for name in only or PARTS:
            PARTS[name](bench)
    (FOLDER / "result.json").write_bytes(orjson.dumps(bench.found, option=orjson.OPT_INDENT_2))
    if as_json:
        print_json(bench.found)
        return
    for title, value in bench.found.items():
        if isinstance(value, dict):
            out.print(table(title, ("figure", "value"), [(name, text(each)) for name, each in value.items()]))
        else:
            out.print(f"{title}: {text(value)}")
    out.print(f"kept in {Path(FOLDER) / 'result.json'}")


def text(value: object) -> str:
    """Return a figure with three significant digits, or with separators."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {text(each)}" for name, each in value.items())
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
