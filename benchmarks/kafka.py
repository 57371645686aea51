"""`python -m benchmarks.kafka`: the live job against a bare consumer, on a real broker, in one run.

Everything is read from the same topic: by a bare `consume()` loop, by one that decodes too, by the whole job whose
outputs leave as they come, and by the whole job exactly-once. The broker runs beside them on the same cores.
"""

from __future__ import annotations

import os

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # before Polars is imported

from typing import Any

import click
import orjson

from benchmarks.command import Task, text
from benchmarks.live_jobs import measured_broker, whole_job
from benchmarks.recordings import FOLDER, beginning, records_in, world
from benchmarks.topics import fill
from benchmarks.usage import Seconds, run_module
from dataflows.cli.console import out, print_json, progress, table
from replay.recording import Recording

EVENTS = 2_000_000
WORLD = 10
"""The records are the first tenth of a week as dense as that of `make bench`: much of the work is per pane."""
ROUNDS = 2
KEEP_FOREVER = -1
"""The records are older than any retention."""


def measure(bootstrap: str, recording: Recording, records: int) -> dict[str, Seconds]:
    """Return how long each way of reading all `records` took."""
    (topic,) = recording.manifest.topics
    arguments = (bootstrap, topic, str(len(recording.partitions)), str(records))
    return {
        "bare": Seconds(**run_module("benchmarks.topics", *arguments)),
        "decoding": Seconds(**run_module("benchmarks.topics", *arguments, "decode")),
        "plain": whole_job(bootstrap, [topic], records, plain=True),
        "exactly_once": whole_job(bootstrap, [topic], records, plain=False),
    }


def shown(records: int, rounds: list[dict[str, Seconds]]) -> dict[str, Any]:
    """Return microseconds an event of each way, the best of all rounds, and the ratios between them."""
    found: dict[str, Any] = {"records": records, "rounds": len(rounds)}
    for kind in ("wall", "cpu"):
        best = {way: min(getattr(each[way], kind) for each in rounds) for way in rounds[0]}
        found[f"{kind}_us_per_event"] = {way: 1e6 * seconds / records for way, seconds in best.items()}
        found[f"{kind}_ratios"] = {
            "decoding/bare": best["bare"] / best["decoding"],
            "whole/bare": best["bare"] / best["exactly_once"],
            "whole/decoding": best["decoding"] / best["exactly_once"],
            "cost of exactly-once": best["exactly_once"] / best["plain"] - 1,
        }
    return found


@click.command()
@click.option(
    "--events", type=click.IntRange(min=20_000), default=EVENTS, show_default=True, help="Records on the topic."
)
@click.option("--rounds", type=click.IntRange(min=1), default=ROUNDS, show_default=True, help="The best one counts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def main(events: int, rounds: int, as_json: bool) -> None:
    """Measure the live job against a bare consumer of the same topic, on a broker of its own.

    \b
    Example:
      python -m benchmarks.kafka --events 1000000
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with progress() as display:
        with Task(display, "make telemetry", WORLD * events) as advance:
            recording = beginning(world("telemetry", WORLD * events, advance), events, lambda count: None)
        records = records_in(recording)
        with measured_broker() as broker:
            for topic in recording.manifest.topics:
                broker.create(topic, len(recording.partitions), retention_ms=KEEP_FOREVER)
            with Task(display, "onto topics", records) as advance:
                fill(recording, broker.bootstrap, advance)
            measured = []
            for number in range(rounds):
                with Task(display, f"round {number + 1}", None):
                    measured.append(measure(broker.bootstrap, recording, records))
    found = shown(records, measured)
    (FOLDER / "kafka.json").write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if as_json:
        print_json(found)
        return
    ways = [(way, text(found["wall_us_per_event"][way]), text(found["cpu_us_per_event"][way])) for way in measured[0]]
    out.print(table("reading a topic", ("way", "wall µs/event", "processor µs/event"), ways))
    ratios = [
        (name, text(found["wall_ratios"][name]), text(found["cpu_ratios"][name])) for name in found["wall_ratios"]
    ]
    out.print(table("ratios", ("ratio", "wall", "processor"), ratios))


if __name__ == "__main__":
    main()
