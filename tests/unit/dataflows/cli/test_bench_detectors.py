"""`forestall bench-detectors`: what it prints and refuses, on series made up for it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
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


@pytest.fixture
def smd(tmp_path: Path) -> Path:
    """Two machines of three metrics that follow one another; each time two of them part, once short and once long."""
    rng = np.random.default_rng(1)
    for name in ("machine-9-1", "omi-99"):
        common = rng.normal(0, 0.1, (5600, 1))
        values = 0.5 + common * [1.0, 0.5, -0.7] + rng.normal(0, 0.01, (5600, 3))
        label = np.zeros(800, dtype=np.int8)
        for first, end in ((200, 203), (500, 560)):
            label[first:end] = 1
            values[4800 + first : 4800 + end] += [1.0, 0, 1.0]
        np.savez(tmp_path / f"{name}.npz", train=values[:4800], test=values[4800:], label=label)
    return tmp_path


def test_machines_are_judged_by_segments(smd: Path) -> None:
    code, output = run("smd", str(smd), "--json")
    document = orjson.loads(output)
    assert code == 0
    assert (document["segments"], document["found"], document["recall"]) == (4, 4, 1.0)
    assert document["false_per_1000"] <= 2.5
    assert document["delay_points"] == 0
    assert document["by_data_set"].keys() == {"ASD", "SMD"}
    assert document["by_machine"].keys() == {"machine-9-1", "omi-99"}
    assert document["unmerged"]["alarms"] >= document["alarms"]


def test_people_see_machines_and_data_sets(smd: Path) -> None:
    code, output = run("smd", str(smd))
    assert code == 0
    assert all(word in output for word in ("machine-9-1", "SMD", "2 of 2", "4 of 4"))


@pytest.mark.parametrize("benchmark", ["nab", "smd"])
def test_a_picture_is_drawn(benchmark: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(benchmark)
    code, _ = run(benchmark, str(folder), "--plot", str(folder / "new" / "seen.png"), "--json")
    assert code == 0
    assert (folder / "new" / "seen.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_no_known_format_is_refused_before_the_work(nab: Path) -> None:
    (nab / "windows.json").unlink()
    code, output = run("nab", str(nab), "--plot", str(nab / "seen.docx"))
    assert code == 2
    assert ".png" in output


def test_what_is_no_machine_is_refused_by_name(tmp_path: Path) -> None:
    code, output = run("smd", str(tmp_path))
    assert (code, "no *.npz" in output) == (3, True)
    np.savez(tmp_path / "omi-1.npz", train=np.zeros((5, 2)), test=np.zeros((5, 2)))
    code, output = run("smd", str(tmp_path))
    assert (code, "omi-1.npz" in output, "label" in output) == (3, True, True)
    np.savez(tmp_path / "omi-1.npz", train=np.zeros((5, 2)), test=np.zeros((5, 3)), label=np.zeros(5))
    code, output = run("smd", str(tmp_path))
    assert (code, "(5, 3)" in output) == (3, True)


@pytest.mark.parametrize(("benchmark", "name"), [("nab", "oracle"), ("nab", "coupled"), ("smd", "null")])
def test_a_detector_of_another_benchmark_is_a_misuse(benchmark: str, name: str, tmp_path: Path) -> None:
    code, output = run(benchmark, str(tmp_path), "--detector", name)
    assert code == 2
    assert "no such detector" in output


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
