"""What campaigns of seeded worlds share: run one world after the other, then controls, and tell what was seen.

Each world is a seed. A control takes a mechanism away or breaks something, and must be found out: else nothing was
proven by worlds in which all is well.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

TELL_EVERY_S = 10.0


class Checked(Protocol):
    """What came of a world."""

    @property
    def wrong(self) -> list[str]:
        """What must not be."""
        ...


S = TypeVar("S")
C = TypeVar("C", bound=Checked)


@dataclass(frozen=True)
class Campaign(Generic[S, C]):
    """A kind of world, and what is told of many.

    Args:
        name: Of its module in `tests.chaos`.
        description: What it is about.
        unit: What is counted until there are enough, and the option that says how many.
        enough: So many, unless the option says otherwise.
        make: Makes in a folder what all worlds share.
        check: Runs the world of a seed, with a control or "" for none.
        counted: How many units a world is.
        told: What is told of all worlds.
        controls: What can be taken away, or broken.
        tries: Seeds in which that has to be found out.
    """

    name: str
    description: str
    unit: str
    enough: int
    make: Callable[[Path], S]
    check: Callable[[int, S, str], C]
    counted: Callable[[C], int]
    told: Callable[[list[C]], dict[str, Any]]
    controls: Iterable[str]
    tries: range

    def main(self, arguments: list[str]) -> int:
        """Run the worlds and the controls; print one line of JSON; return the exit code, 1 if anything is wrong."""
        parser = ArgumentParser(prog=f"python -m tests.chaos.{self.name}", description=self.description)
        parser.add_argument("--seed", type=int, default=1, help="the first")
        many = f"at least so many, over all worlds; {self.enough} by default"
        parser.add_argument(f"--{self.unit}", type=int, default=self.enough, help=many)
        parser.add_argument("--no-controls", action="store_true", help="leave the controls out")
        options = parser.parse_args(arguments)
        with tempfile.TemporaryDirectory(prefix="forestall-worlds-") as folder:
            setting = self.make(Path(folder))
            told = self._run(setting, options.seed, getattr(options, self.unit))
            found = {}
            if not options.no_controls:
                found = {name: found_out(self.check, setting, name, self.tries) for name in self.controls}
                told["controls"] = found
        print(json.dumps(told))
        return int(bool(told["wrong"]) or not all(found.values()))

    def _run(self, setting: S, first: int, enough: int) -> dict[str, Any]:
        """Run worlds until there were enough; return what was seen."""
        all_checked: list[C] = []
        wrong: dict[int, list[str]] = {}
        had, seed = 0, first
        spoke = began = time.monotonic()
        while had < enough:
            checked = self.check(seed, setting, "")
            all_checked.append(checked)
            had += self.counted(checked)
            if checked.wrong:
                wrong[seed] = checked.wrong
                print(f"seed {seed}: {'; '.join(checked.wrong)}", file=sys.stderr, flush=True)
            if time.monotonic() - spoke > TELL_EVERY_S:
                spoke = time.monotonic()
                print(f"{had} of {enough} {self.unit}, {len(wrong)} worlds wrong", file=sys.stderr, flush=True)
            seed += 1
        seconds = round(time.monotonic() - began, 1)
        return {"seeds": [first, seed - 1], "wrong": wrong, **self.told(all_checked), "seconds": seconds}


def found_out(check: Callable[[int, S, str], Checked], setting: S, control: str, seeds: Iterable[int]) -> bool:
    """Return whether it is noticed in any of the worlds that something is missing or broken."""
    return any(check(seed, setting, control).wrong for seed in seeds)
