"""Kills a replay again and again, and compares what it leaves with what an unbroken one leaves.

    python -m tests.chaos.campaign --kills 200 --crash-points 100 --processes 1,2 --seed 1

Each round has a fresh store and a seed of its own: some lives that are killed, one that runs to its end, and one more
that must change nothing. After every life the store is looked at. The exit code is 1 when anything was lost, doubled,
invented or halted; `--only ROUND` with the other options as they were repeats a round. No two runs on a machine take
quite the same time, so a round may have to be repeated more than once.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detectors.methods import load_learners
from sinks import statelog
from tests.chaos.damages import DAMAGES
from tests.chaos.plans import Kind
from tests.chaos.rounds import BrokenReference, Campaign, Figures
from tests.support.faults import has_strace

SETTINGS = {
    "FORESTALL_RUNTIME_BATCH_RECORDS": "100",
    "FORESTALL_RUNTIME_EPOCH_INTERVAL": "20ms",
    "FORESTALL_RUNTIME_EMIT_INTERVAL": "5ms",
    "FORESTALL_RUNTIME_STATE_INLINE_BYTES": "1024",
    "FORESTALL_TIME_ALIGNMENT_MAX": "1d",
    "POLARS_MAX_THREADS": "1",
}
"""Many small epochs, in most of which state logs are written."""
COMPACTION_BYTES_MIN = 16_384
"""So that state logs are rewritten, too, however small the recording."""


def main(arguments: list[str]) -> int:
    """Run a campaign; return the exit code."""
    options = _parser().parse_args(arguments)
    if (options.crash_points or options.errors) and not has_strace():
        print("Crash points need strace, and the right to trace: install it, or leave them out.", file=sys.stderr)
        return 3
    for name in [name for name in os.environ if name.startswith("FORESTALL_")]:
        del os.environ[name]
    os.environ.update(SETTINGS)
    statelog.COMPACTION_BYTES_MIN = COMPACTION_BYTES_MIN
    load_learners()  # once, and not in each of thousands of workers
    folder = Path(tempfile.mkdtemp(prefix="forestall-chaos-", dir=options.dir))
    failed = True
    try:
        campaign, failed = _run(options, folder)
    except BrokenReference as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if failed:
            print(f"what is left of it: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    _report(options, campaign)
    return int(failed)


def _run(options: argparse.Namespace, folder: Path) -> tuple[Campaign, bool]:
    say = Console(stderr=True, highlight=False, quiet=options.quiet).print
    campaign = Campaign(folder, options.events, options.processes, options.seed, DAMAGES.get(options.without))
    say(f"unbroken: {campaign.outputs}")
    if options.crash_points or options.errors:
        campaign.count_calls()
        say(f"system calls: {campaign.calls}")
    failed = False
    for kind, number, total in _rounds(options, campaign):
        started = time.monotonic()
        wrong = campaign.run(kind, number, total)
        say(f"{kind}:{number} {time.monotonic() - started:.1f} s, {campaign.figures[kind].struck} struck so far")
        for each in wrong:
            say(f"[red]VIOLATION[/] {kind}:{number} seed {options.seed}: {escape(each)}")
        if wrong:
            failed = True
            say(f"again: python -m tests.chaos.campaign {' '.join(options.given)} --only {kind}:{number}")
            if options.first:
                break
    return campaign, failed


def _rounds(options: argparse.Namespace, campaign: Campaign) -> Iterator[tuple[Kind, int, int]]:
    """Yield kind, number and total of the rounds to run."""
    wanted: dict[Kind, int] = {
        "kill": options.kills,
        "call": options.crash_points,
        "point": options.points,
        "error": options.errors,
        "zombie": options.zombies,
        "hold": options.holds,
        "rescale": options.rescales,
    }
    if options.only:
        name, _, number = options.only.partition(":")
        kind = cast(Kind, name)
        yield kind, int(number), max(wanted[kind], 1)
        return
    for kind, total in wanted.items():
        number = 0
        # Random kills are counted; of the others, the rounds are, which are spread over all there is to strike at.
        while (campaign.figures.get(kind, Figures()).struck if kind == "kill" else number) < total:
            yield kind, number, total
            number += 1


def _report(options: argparse.Namespace, campaign: Campaign) -> None:
    figures = {kind: asdict(each) for kind, each in campaign.figures.items()}
    if options.json:
        print(json.dumps({"seed": options.seed, "outputs": campaign.outputs, "rounds": figures}))
        return
    table = Table(title=f"seed {options.seed}, {options.events} events, processes {options.processes}")
    columns = ("rounds", "lives", "struck", "purging", "purged", "seconds")
    for column in ("", *columns, "violations"):
        table.add_column(column, justify="right" if column else "left")
    for kind, row in figures.items():
        table.add_row(kind, *(f"{row[column]:,.0f}" for column in columns), str(len(row["violations"])))
    Console().print(table)
    for row in figures.values():
        for violation in row["violations"]:
            print(violation)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.campaign", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--kills", type=int, default=0, help="lives to end by kill -9 at drawn instants")
    add("--crash-points", type=int, default=0, help="rounds killed at enumerated system calls, many of them twice")
    add(
        "--points",
        type=int,
        default=0,
        help="rounds killed twice amid an epoch's commit, and stopped by SIGTERM",
    )
    add("--zombies", type=int, default=0, help="rounds that leave one worker's half of an epoch, on two processes")
    add("--holds", type=int, default=0, help="rounds killed while one of two threads has yet to commit an epoch")
    add("--rescales", type=int, default=0, help="rounds killed on one, two, three and one process")
    add("--errors", type=int, default=0, help="rounds in which enumerated system calls say EIO or ENOSPC")
    add("--processes", type=_numbers, default=[1, 2], help="numbers of processes to draw from, as 1,1,2")
    add("--events", type=int, default=6_000, help="size of the recording")
    add("--seed", default="1", help="of all that is drawn")
    add("--only", metavar="ROUND", help="one round, as kill:17")
    add("--without", choices=sorted(DAMAGES), help="negative control: switch a safeguard off")
    add("--first", action="store_true", help="stop at the first violation")
    add("--dir", help="where stores go; by default the system's place for temporary files")
    add("--json", action="store_true", help="print one JSON document instead of a table")
    add("--quiet", action="store_true", help="no progress")
    parser.set_defaults(given=sys.argv[1:])
    return parser


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
