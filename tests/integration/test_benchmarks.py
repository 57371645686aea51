from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.support.commands import unmeasured

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_benchmark_runs_on_a_small_world(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--events", "20000", "--json"]
    environment = {**unmeasured(), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, check=True)
    found = orjson.loads(ran.stdout)
    assert found["b_whole"]["records"] >= 20_000
    assert found["b_fourfold"]["records"] == 80_000
    assert found["b_over_a"] == found["b_whole"]["per_s"] / found["a"]["per_s"]
    assert found["c"]["records"] >= 20_000
    assert found["processes"]["two_over_one"] > 0
    assert found["gate"]["log_bytes"] > 0
    assert found["gate_services"]["services"] == 100
    assert all(found["policy"][name] > 0 for name in ("p50_us", "explained_p99_us", "recorded_p99_us"))
    for measured in (found["ledger"], found["ledger_processes"], found["ledger_threads"]):
        assert (measured["actions"], measured["per_s"] > 0) == (80, True)
    assert orjson.loads((tmp_path / "var/bench/result.json").read_bytes()) == found


def test_a_size_too_small_to_measure_is_misuse() -> None:
    command = [sys.executable, "-m", "benchmarks", "--events", "10"]
    ran = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, check=False)
    assert ran.returncode == 2
    assert b"--events" in ran.stderr
