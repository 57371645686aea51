"""`forestall bench-detectors`: what it prints and refuses, on series made up for it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import orjson
import pytest
from click.testing import CliRunner

from dataflows.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["bench-detectors", *arguments])
    return result.exit_code, result.output


def time(row: int) -> str:
    return f"2030-01-{1 + row // 288:02} {row // 12 % 24:02}:{row % 12 * 5:02}:00"


@pytest.fixture
def nab(tmp_path: Path) -> Path:
    """Two series of noise: one quiet, one whose level doubles in its only window."""
    rng = random.Random(1)
    quiet = [rng.gauss(50, 1) for _ in range(400)]
    shifted = [rng.gauss(50, 1) + 50 * (300 <= row < 340) for row in range(400)]
    for name, values in {"calm/quiet.csv": quiet, "trouble/shifted.csv": shifted}.items():
        file = tmp_path / name
        file.parent.mkdir()
        lines = [f"{time(row)},{value}" for row, value in enumerate(values)]
        file.write_text("\n".join(["timestamp,value", *lines]) + "\n")
    windows = {"calm/quiet.csv": [], "trouble/shifted.csv": [[f"{time(row)}.000000" for row in (300, 339)]]}
    (tmp_path / "windows.json").write_bytes(orjson.dumps(windows))
    return tmp_path


def test_a_clear_change_of_level_is_found_at_once(nab: Path) -> None:
    code, output = run("nab", str(nab), "--json")
    document = orjson.loads(output)
    assert code == 0
    assert (document["windows"], document["found"]) == (1, 1)
    assert document["profile"].keys() == {"standard", "reward_low_fp", "reward_low_fn"}
    assert document["optimised"]["standard"]["score"] >= 95
    assert document["by_category"]["calm"]["standard"] is None
    assert document["by_category"]["trouble"]["windows"] == 1
    assert [row["series"] for row in document["by_series"]] == ["calm/quiet.csv", "trouble/shifted.csv"]
    baselines = document["baselines"]
    assert baselines["null"]["profile"]["standard"] == 0
    assert baselines["windowed_gaussian"]["profile"]["standard"] > 95


def test_a_baseline_can_be_asked_for(nab: Path) -> None:
    _, output = run("nab", str(nab), "--detector", "windowed_gaussian", "--json")
    document = orjson.loads(output)
    assert document["detector"] == "windowed_gaussian"
    assert document["profile"] == document["baselines"]["windowed_gaussian"]["profile"]


def test_people_see_the_detector_beside_the_baselines(nab: Path) -> None:
    code, output = run("nab", str(nab))
    assert code == 0
    assert all(word in output for word in ("windowed_gaussian", "metronome", "standard", "trouble", "1 of 1"))


def test_an_unknown_detector_is_a_misuse_that_names_the_known_ones(nab: Path) -> None:
    code, output = run("nab", str(nab), "--detector", "oracle")
    assert code == 2
    assert "windowed_gaussian" in output


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("windows.json", "{", "windows.json"),
        ("windows.json", '{"calm/none.csv": []}', "none.csv: no such file"),
        ("windows.json", '{"calm/quiet.csv": [["1", "2"]]}', "no row at 1"),
        ("calm/quiet.csv", "timestamp,value\n2030-01-01 00:00:00,many\n", "many"),
        ("calm/quiet.csv", "when,what\n1,2\n", "timestamp"),
    ],
)
def test_what_is_not_the_benchmark_is_refused_by_name(nab: Path, file: str, content: str, message: str) -> None:
    (nab / file).write_text(content)
    code, output = run("nab", str(nab))
    assert code == 3
    assert message in output
    assert "remedy" in output


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    code, output = run("nab", str(tmp_path))
    assert code == 3
    assert "windows.json" in output
