"""`python -m benchmarks.worlds`: what is found in worlds of many seeds, added up by kind.

One world has a dozen issues of a kind, of which one more or less found says little; ten have enough.
"""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from config.errors import ForestallError
from replay.backtest.labels import judged
from replay.backtest.run import replayed
from replay.score import Score, score
from replay.world import LABELS, Labels, simulate
from replay.world.model import spec_of
from replay.world.scenario import load_scenario
from sinks import queries

COLUMNS = (
    "kind", "issues", "found_in_time", "found_late", "missed", "recall", "right_alarms", "false_alarms", "precision",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Make, replay and judge the worlds asked for; print the table, or JSON."""
    asked = _asked(arguments)
    try:
        document = _document(asked)
    except ForestallError as error:
        sys.stderr.write(f"{error} {error.remedy}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(document) + "\n" if asked.json else _shown(document))
    return 0


def _document(asked: Namespace) -> dict[str, Any]:
    whole = Score([], [], 0)
    for seed, world in _worlds(asked):
        began = perf_counter()
        with replayed(world) as store:
            one = score(Labels.read(world / LABELS), list(queries.bodies(store, "finding")))
        whole = whole.plus(one, f"world {seed}")
        sys.stderr.write(f"seed {seed}: {one.found} of {len(one.verdicts)} in time, {perf_counter() - began:.0f} s\n")
    return judged(whole, asked.budget) | {"seeds": list(asked.seeds), "scenario": str(asked.scenario)}


def _asked(arguments: list[str]) -> Namespace:
    parser = ArgumentParser(
        prog="python -m benchmarks.worlds",
        description=__doc__,
        epilog="Example: python -m benchmarks.worlds --seeds 101-110 --scenario noise-double --json",
    )
    parser.add_argument("--seeds", type=seeds_of, default=range(101, 111), metavar="A-B", help="default: 101-110")
    parser.add_argument("--scenario", default="default", metavar="FILE", help="a name or a file; default: default")
    parser.add_argument("--events", type=int, metavar="N", help="records of each world; by default the scenario's")
    parser.add_argument("--budget", type=float, help="share of false alarms; by default what the manifests say")
    parser.add_argument("--into", type=Path, metavar="DIR", help="keep the worlds there, and use those that are there")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    return parser.parse_args(arguments)


def seeds_of(text: str) -> range:
    """Return the seeds that `101-110` or `7` names.

    Raises:
        ValueError: It is neither a number nor two with a dash.
    """
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _worlds(asked: Namespace) -> Iterator[tuple[int, Path]]:
    """Yield each seed's world, made if it is not there."""
    scenario = load_scenario(asked.scenario)
    with tempfile.TemporaryDirectory(prefix="forestall-worlds-") as scratch:
        for seed in asked.seeds:
            folder = (asked.into or Path(scratch)) / f"{scenario.name}-{seed}"
            if not (folder / "manifest.json").exists():
                simulate(spec_of(scenario, seed, asked.events), folder)
            yield seed, folder


def _shown(document: dict[str, Any]) -> str:
    rows = [COLUMNS, *([row[name] for name in COLUMNS] for row in document["by_kind"])]
    lines = [f"{row[0]:28}" + "".join(f"{_text(cell):>14}" for cell in row[1:]) for row in rows]
    for row in document["by_agent"]:
        rate, claimed = _text(row["false_discovery_rate"]), _text(row["claimed"])
        lines.append(f"{row['agent']}: {rate} of alarms false; budget {row['budget']}, claimed {claimed}")
    lines += [
        f"{row['agent']} {row['kind']}: {row['findings']} claim {row['claimed']}, so are {row['so']}"
        for row in document["claims"]
    ]
    return "\n".join(lines) + "\n"


def _text(cell: object) -> str:
    return "" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
