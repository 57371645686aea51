"""Seconds, and programs run to be measured."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True)
class Seconds:
    """How long something took."""

    wall: float
    cpu: float
    """User and system, all threads of the process. On a busy machine it says more than `wall`."""


def run_module(module: str, *arguments: str) -> Any:
    """Run a module of this package as a program of its own and return the JSON that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    return orjson.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
