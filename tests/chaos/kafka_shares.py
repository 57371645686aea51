"""A campaign in several processes at once, each with a broker of its own: most of its time is waiting."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO, Any


def run(given: Sequence[str], jobs: int) -> tuple[int, dict[str, Any]]:
    """Run the campaign that `given` asks for in `jobs` shares; return exit code and figures, added up.

    Args:
        given: Options of a campaign.
        jobs: How many.
    """
    command = [sys.executable, "-m", "tests.chaos.kafka_campaign", *given, "--jobs", "1"]
    shares = []
    for number in range(1, jobs + 1):
        # Controls are all for the first.
        more = [] if number == 1 else ["--controls", ""]
        line = [*command, *more, "--share", f"{number}/{jobs}"]
        shares.append(subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    relays = [_relay(share.stderr, number) for number, share in enumerate(shares, 1) if share.stderr is not None]
    told = [share.stdout.read() if share.stdout is not None else "" for share in shares]
    codes = [share.wait() for share in shares]
    for relay in relays:
        relay.join()
    total: dict[str, Any] = {}
    for text in told:
        if text:
            total = _sum(total, json.loads(text)["figures"])
    return max(codes, key=abs), total


def _relay(lines: IO[str], number: int) -> threading.Thread:
    def run() -> None:
        for line in lines:
            sys.stderr.write(f"{number}: {line}")
            sys.stderr.flush()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def _sum(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Add figures up; of what took long, the longest counts."""
    total = dict(first)
    for name, value in second.items():
        if name not in total:
            total[name] = value
        elif isinstance(value, dict):
            total[name] = _sum(total[name], value)
        elif name in ("wall_s", "settle_s_max"):
            total[name] = max(total[name], value)
        else:
            total[name] += value
    return total
