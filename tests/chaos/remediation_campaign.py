"""Thousands of worlds of remedies: `python -m tests.chaos.remediation_campaign --seed 1 --seeds 2000`.

Each is one seed: decisions, a target that misbehaves, a network, and kills at every boundary; see
`tests/support/remedy_world.py`. What came of it is reckoned up by `tests/support/remedy_oracle.py`. Controls take a
mechanism away, and must be found out. Prints one line of JSON; exits 1 if anything is wrong.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.remedy_check import check
from tests.support.remedy_world import CONTROLS, Setting

CONTROL_SEEDS = 60
TELL_EVERY_S = 10.0


def main(arguments: list[str]) -> int:
    """Run the worlds; return the exit code."""
    parser = ArgumentParser(prog="python -m tests.chaos.remediation_campaign", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--no-controls", action="store_true", help="leave the controls out")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="forestall-worlds-") as folder:
        setting = Setting(Path(folder))
        told = worlds(setting, options.seed, options.seeds)
        if not options.no_controls:
            told["controls"] = {name: found_out(setting, name) for name in CONTROLS}
    print(json.dumps(told))
    return int(bool(told["wrong"]) or not all(told.get("controls", {"none": True}).values()))


def worlds(setting: Setting, first: int, count: int) -> dict[str, Any]:
    """Run so many worlds; return what was seen."""
    states: Counter[str] = Counter()
    kills: Counter[str] = Counter()
    wrong: dict[int, list[str]] = {}
    effects = undone = 0
    spoke = began = time.monotonic()
    for seed in range(first, first + count):
        checked = check(seed, setting)
        states.update(checked.states)
        kills.update(checked.kills)
        effects, undone = effects + checked.effects, undone + checked.undone
        if checked.wrong:
            wrong[seed] = checked.wrong
            print(f"seed {seed}: {'; '.join(checked.wrong)}", file=sys.stderr, flush=True)
        if time.monotonic() - spoke > TELL_EVERY_S:
            spoke = time.monotonic()
            print(f"{seed - first + 1} of {count} worlds, {len(wrong)} wrong", file=sys.stderr, flush=True)
    return {
        "seeds": [first, first + count - 1],
        "wrong": wrong,
        "actions": dict(sorted(states.items())),
        "effects": effects,
        "undone": undone,
        "kills": dict(sorted(kills.items())),
        "seconds": round(time.monotonic() - began, 1),
    }


def found_out(setting: Setting, control: str) -> bool:
    """Return whether it is noticed that a mechanism is missing."""
    return any(check(seed, setting, control).wrong for seed in range(CONTROL_SEEDS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
