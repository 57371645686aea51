"""Runs a kill campaign in a process of its own: it forks, which a process with threads must not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.commands import unmeasured

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "tests.chaos.campaign", "--events", "3000", "--json", "--quiet"]


class Found(NamedTuple):
    """What a campaign found."""

    code: int
    violations: str
    rounds: dict[str, Any]


def campaign(*options: str) -> Found:
    """Run a campaign with `options`."""
    ran = subprocess.run([*PROGRAM, *options], cwd=ROOT, env=unmeasured(), capture_output=True, text=True, check=False)
    assert ran.stdout, ran.stderr
    rounds = json.loads(ran.stdout)["rounds"]
    return Found(ran.returncode, "\n".join(each for kind in rounds.values() for each in kind["violations"]), rounds)
