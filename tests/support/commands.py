"""The `forestall` command as a user runs it: real processes where it matters, this process where it does not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from click.testing import CliRunner

from dataflows.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = str(Path(sys.executable).with_name("forestall"))
PATIENCE_S = 420.0
"""Wall time for anything to happen; far more than it takes, for machines that are busy."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended. Making one asserts what holds for all: no traceback, and one of the exit codes."""

    code: int
    out: str
    err: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.out + self.err
        assert self.code in (0, 1, 2, 3), self.err

    @property
    def document(self) -> Any:
        """What `--json` printed."""
        assert self.code == 0, self.err
        return orjson.loads(self.out)

    def says(self, code: int, *words: str) -> None:
        """Assert that the command failed with this code and one message, which holds all these words.

        A message of several faults lists them, one a line.
        """
        assert self.code == code, self.err
        starts = [line.partition(": ")[0] for line in self.err.splitlines() if not line.startswith("- ")]
        assert starts in (["error"], ["error", "remedy"]), self.err
        for word in words:
            assert word in self.err, f"{word!r} is not in: {self.err}"
        assert self.out == ""


def forestall(*arguments: object, **variables: str) -> Ended:
    """Run a command in this process (what workers it starts are real), under these variables of the environment."""
    unset = dict.fromkeys(os.environ.keys() - unmeasured().keys())
    result = CliRunner().invoke(main, list(map(str, arguments)), env={**unset, **variables})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


def unmeasured() -> dict[str, str]:
    """Return an environment in which coverage is not measured.

    It makes a process two to three times as slow, its start too: only few of those that do the same are measured.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS_")}


def start(*arguments: object, measured: bool = False, **variables: str) -> subprocess.Popen[str]:
    """Start the installed command as a process of its own."""
    return subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        cwd=ROOT,
        env={**(os.environ if measured else unmeasured()), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> Ended:
    """Wait for a started command."""
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return Ended(process.returncode, out, err)


def children(process: subprocess.Popen[str]) -> list[int]:
    """Return the process ids of a running command's workers."""
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def logs(recovery: Path) -> str:
    """Return what the workers of a job wrote down."""
    return "".join(path.read_text() for path in sorted(recovery.glob("worker-*.log")))


def store_url(path: Path) -> str:
    """Return the URL of the store in a file."""
    return f"sqlite:///{path}"
