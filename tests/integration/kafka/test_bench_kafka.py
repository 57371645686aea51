"""The benchmark on topics runs to its end, on a small world."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.usefixtures("kafka")
def test_each_way_of_reading_a_topic_is_measured(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.kafka", "--events", "20000", "--rounds", "1", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, check=True)
    found = orjson.loads(ran.stdout)
    assert found["records"] >= 20_000
    wall = found["wall_us_per_event"]
    assert list(wall) == ["bare", "decoding", "plain", "exactly_once"]
    assert min(wall.values()) > 0
    assert found["wall_ratios"]["whole/bare"] == wall["bare"] / wall["exactly_once"]
