"""Kills a live job again and again, and the broker it reads from, and compares what is left with an embedded replay.

    python -m tests.chaos.kafka_campaign --seeds 200 --processes 1,2 --seed 1

Each round has a fresh job: some lives, most of which are killed; one that must put out all that it should within half
a minute; and one that must change nothing. What it must put out is told by an embedded replay of what was written to
the topics. After every life store and topics are looked at, from outside. `--points` adds rounds in which lives are
killed at enumerated system calls and at each step of each transaction. The exit code is 1 when anything was lost,
doubled, invented or halted; `--only ROUND` with the other options as they were repeats a round. No two runs on a
machine take quite the same time, so a round may have to be repeated more than once.
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
from typing import Any

from rich.console import Console
from rich.markup import escape

from detectors.methods import load_learners
from sinks import statelog
from tests.chaos import kafka_shares
from tests.chaos.campaign import COMPACTION_BYTES_MIN, SETTINGS
from tests.chaos.kafka_controls import rounds as controls
from tests.chaos.kafka_damages import DAMAGES
from tests.chaos.kafka_plans import Plan, plan, points, points_total, special
from tests.chaos.kafka_rounds import Figures, KafkaCampaign
from tests.support.chaos_place import Place
from tests.support.faults import has_strace

SPECIAL = ("outage", "disk", "host")
POINT_LIVES = 10
"""Crash points of one round."""


def main(arguments: list[str]) -> int:
    """Run a campaign; return the exit code."""
    options = _parser().parse_args(arguments)
    if not has_strace():
        print("Crash points need strace, and the right to trace: install it.", file=sys.stderr)
        return 3
    if options.jobs > 1:
        code, figures = kafka_shares.run(arguments, options.jobs)
    else:
        code, figures = _campaign(options)
    print(json.dumps({"seed": options.seed, "events": options.events, "figures": figures}))
    return code


def _campaign(options: argparse.Namespace) -> tuple[int, dict[str, Any]]:
    for name in [name for name in os.environ if name.startswith("FORESTALL_")]:
        del os.environ[name]
    os.environ.update(SETTINGS, FORESTALL_RUNTIME_SINK_PARTS="2")
    statelog.COMPACTION_BYTES_MIN = COMPACTION_BYTES_MIN
    load_learners()  # once, and not in each of thousands of workers
    folder = Path(tempfile.mkdtemp(prefix="forestall-chaos-", dir=options.dir))
    try:
        place = Place.started(folder / "broker")
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 3, {}
    failed, began = True, time.monotonic()
    try:
        campaign = KafkaCampaign(folder, place, options.events)
        noticed = _controls(campaign, options.controls.split(",")) if options.controls else {}
        failed = _run(options, campaign) or not all(noticed.values())
        seen = place.call("seen")
    finally:
        place.stop()
        if failed:
            print(f"what is left of it: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    more = {"wall_s": round(time.monotonic() - began, 1), "proxy": seen, "controls": noticed}
    return int(failed), asdict(campaign.figures) | more


def _run(options: argparse.Namespace, campaign: KafkaCampaign) -> bool:
    say = Console(stderr=True, highlight=False, quiet=options.quiet, soft_wrap=True).print
    failed = False
    for name, chosen in _rounds(options):
        started = time.monotonic()
        wrong = campaign.run(name, chosen, DAMAGES.get(options.without))
        figures = campaign.figures
        took = time.monotonic() - started
        say(f"{name} {chosen.input} {took:.1f} s, {figures.lives} lives, {figures.kills} kills so far")
        for each in wrong:
            say(f"[red]VIOLATION[/] {name} seed {options.seed}: {escape(each)}", markup=True)
        if wrong:
            failed = True
            say(f"again: python -m tests.chaos.kafka_campaign {' '.join(options.given)} --only {name}")
            if options.first:
                break
    return failed


def _controls(campaign: KafkaCampaign, names: list[str]) -> dict[str, str]:
    """Switch off one safeguard after the other; return what was found of each, "" for nothing."""
    noticed = {}
    for control in names:
        damage = DAMAGES[control]
        found: list[str] = []
        for number, chosen in enumerate(controls(control)):
            found = campaign.run(f"{control}-{number}", chosen, damage)
            if found:
                break
        noticed[control] = "; ".join(found)
    campaign.figures = Figures()
    return noticed


def _rounds(options: argparse.Namespace) -> Iterator[tuple[str, Plan]]:
    rounds = min(-(-points_total() // POINT_LIVES), options.points)
    every = [(f"seed-{number}", number) for number in range(options.seeds)]
    every += [(f"points-{number}", number) for number in range(rounds)]
    every += [(f"{kind}-{number}", number) for kind in SPECIAL for number in range(getattr(options, f"{kind}s"))]
    number, _, shares = options.share.partition("/")
    every = every[int(number) - 1 :: int(shares)]
    for name, number in [(options.only, int(options.only.partition("-")[2]))] if options.only else every:
        if name.startswith("points"):
            yield name, points(number, -(-points_total() // POINT_LIVES), POINT_LIVES, options.worlds)
        elif name.partition("-")[0] in SPECIAL:
            yield name, special(name.partition("-")[0], number, options.seed, options.worlds)
        else:
            yield name, plan(number, options.seed, options.processes, options.worlds, weather=not options.fair)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.kafka_campaign", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--seeds", type=int, default=0, help="rounds drawn from a seed of their own")
    add("--points", type=int, default=0, help=f"rounds of {POINT_LIVES} enumerated crash points, at most")
    add("--outages", type=int, default=0, help="rounds in which the broker is away for a minute")
    add("--disks", type=int, default=0, help="rounds on a disk that is full now and then; for root")
    add("--hosts", type=int, default=0, help="rounds in which a job goes on elsewhere, and the first wakes up")
    add("--jobs", type=int, default=1, help="so many shares at once, each with a broker of its own")
    add("--share", default="1/1", help="of these rounds, only every third, beginning with the first: 1/3")
    add("--processes", type=_numbers, default=[1, 2], help="numbers of processes to draw from, as 1,1,2")
    add("--events", type=int, default=2_000, help="size of a world")
    add("--worlds", type=int, default=6, help="how many worlds there are on topics")
    add("--fair", action="store_true", help="nothing befalls broker and network")
    add("--seed", default="1", help="of all that is drawn")
    add("--only", metavar="ROUND", help="one round, as seed-17")
    add("--controls", default="", help=f"first, negative controls, each of which must be noticed: {','.join(DAMAGES)}")
    add("--without", choices=sorted(DAMAGES), help="negative control: switch a safeguard off")
    add("--first", action="store_true", help="stop at the first violation")
    add("--dir", help="where all goes; by default the system's place for temporary files")
    add("--quiet", action="store_true", help="no progress")
    parser.set_defaults(given=sys.argv[1:])
    return parser


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
