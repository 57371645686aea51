"""The benchmarks on topics run to their ends, on small worlds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.commands import unmeasured

ROOT = Path(__file__).parents[3]


pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.usefixtures("kafka")]


def test_each_way_of_reading_a_topic_is_measured(tmp_path: Path) -> None:
    found = measured(tmp_path, "kafka", "--events", "20000", "--rounds", "1")
    assert found["records"] >= 20_000
    wall = found["wall_us_per_event"]
    assert list(wall) == ["bare", "decoding", "plain", "exactly_once"]
    assert min(wall.values()) > 0
    assert found["wall_ratios"]["whole/bare"] == pytest.approx(wall["bare"] / wall["exactly_once"])


def test_outputs_are_timed_from_when_they_were_due(tmp_path: Path) -> None:
    found = measured(tmp_path, "latency", "--rate", "2000", "--epochs", "0.2", "--shares", "0.5", "--seconds", "4")
    (run,) = found["runs"]
    assert run["behind_at_end"] == 0
    # 4 s of 1,000 records a second: two in a thousand are poison, five are orders that are too late.
    assert 6 <= run["dead letters"]["count"] <= 9
    assert run["findings"]["count"] >= 3 * 15
    for timed in ("dead letters", "findings"):
        assert 0 < run[timed]["p50"] <= run[timed]["p99"] <= run[timed]["max"]
    # A promise is given for two seconds, and one more second is granted to who is late; batches come in between.
    assert 0.3 < run["event_time_s"]["lateness"]["mean"] < 2


def measured(folder: Path, benchmark: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", *arguments, "--json"]
    environment = {**unmeasured(), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = orjson.loads(ran.stdout)
    return found
