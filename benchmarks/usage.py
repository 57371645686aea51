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
    (found,) = run_modules(1, module, *arguments)
    return found


def run_modules(count: int, module: str, *arguments: str) -> list[Any]:
    """Run a module so many times side by side and return the JSON that each prints."""
    command = [sys.executable, "-m", module, *arguments]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]
    printed = [process.communicate()[0] for process in running]
    for process in running:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    return [orjson.loads(each) for each in printed]
