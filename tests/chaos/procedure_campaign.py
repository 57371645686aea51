"""Was only done what was allowed: `python -m tests.chaos.procedure_campaign --seed 1 --cases 10000`.

Each world is one seed: findings, flags, people and forgers, a policy in two versions, a target that misbehaves, kills
at every boundary; see `tests/support/procedure_world.py`. What was allowed is reckoned up naively, by
`tests/support/procedure_oracle.py`. Controls break something, and must be found out. Prints one line of JSON; exits 1
if anything is wrong.
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

from tests.support.procedure_check import CONTROLS, check, found_out
from tests.support.procedure_world import ProcedureSetting

CONTROL_SEEDS = range(40)
TELL_EVERY_S = 10.0


def main(arguments: list[str]) -> int:
    """Run the worlds; return the exit code."""
    parser = ArgumentParser(prog="python -m tests.chaos.procedure_campaign", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--cases", type=int, default=10_000, help="at least so many, over all worlds")
    parser.add_argument("--no-controls", action="store_true", help="leave the controls out")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="forestall-procedure-") as folder:
        setting = ProcedureSetting(Path(folder))
        told = worlds(setting, options.seed, options.cases)
        if not options.no_controls:
            told["controls"] = {name: found_out(setting, name, CONTROL_SEEDS) for name in CONTROLS}
    print(json.dumps(told))
    return int(bool(told["wrong"]) or not all(told.get("controls", {"none": True}).values()))


def worlds(setting: ProcedureSetting, first: int, cases: int) -> dict[str, Any]:
    """Run worlds until there were so many cases; return what was seen."""
    seen: Counter[str] = Counter()
    wrong: dict[int, list[str]] = {}
    kills = had = 0
    seed = first
    spoke = began = time.monotonic()
    while had < cases:
        checked = check(seed, setting)
        seen.update(checked.seen)
        had, kills = had + checked.cases, kills + len(checked.kills)
        if checked.wrong:
            wrong[seed] = checked.wrong
            print(f"seed {seed}: {'; '.join(checked.wrong)}", file=sys.stderr, flush=True)
        if time.monotonic() - spoke > TELL_EVERY_S:
            spoke = time.monotonic()
            print(f"{had} of {cases} cases, {len(wrong)} worlds wrong", file=sys.stderr, flush=True)
        seed += 1
    return {
        "seeds": [first, seed - 1],
        "cases": had,
        "wrong": wrong,
        "violations": sum(len(found) for found in wrong.values()),
        "seen": dict(sorted(seen.items())),
        "kills": kills,
        "seconds": round(time.monotonic() - began, 1),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
