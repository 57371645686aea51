"""`forestall simulate`: what it writes, what it prints, what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from click.testing import CliRunner

from dataflows.cli import main
from replay.recording import Recording

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["simulate", *arguments])
    return result.exit_code, result.output


def test_json_counts_what_the_recording_holds(tmp_path: Path) -> None:
    code, output = run("--seed", "3", "--events", "4000", "--into", str(tmp_path / "w"), "--json")
    document = orjson.loads(output)
    manifest = Recording.open(tmp_path / "w").manifest
    assert code == 0
    assert document["topics"] == manifest.topics
    assert document["events"] == sum(manifest.topics.values()) == 4000
    assert document["id"] == manifest.id
    assert document["issues"]["service.failing"] >= 1


def test_people_see_topics_and_labelled_issues(tmp_path: Path) -> None:
    code, output = run("--seed", "3", "--events", "4000", "--days", "14", "--into", str(tmp_path / "w"))
    assert code == 0
    assert all(word in output for word in ("telemetry", "orders", "crm", "service.degraded", "labels.json", "4,000"))


def test_a_telemetry_mix_has_no_orders(tmp_path: Path) -> None:
    _, output = run(
        "--seed", "3", "--events", "4000", "--mix", "telemetry", "--into", str(tmp_path / "w"), "--json"
    )  # fmt: skip
    assert orjson.loads(output)["topics"].keys() == {"telemetry"}


def test_a_folder_in_use_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    code, output = run("--seed", "3", "--events", "4000", "--into", str(tmp_path))
    assert code == 2
    assert "remedy" in output


@pytest.mark.parametrize("wrong", [("--events", "10"), ("--days", "3"), ("--mix", "half"), ("--seed", "-1")])
def test_what_cannot_be_made_is_a_misuse(wrong: tuple[str, str], tmp_path: Path) -> None:
    options = {"--seed": "1", "--events": "4000"} | dict([wrong])
    code, _ = run(*(part for pair in options.items() for part in pair), "--into", str(tmp_path / "w"))
    assert code == 2
    assert not (tmp_path / "w").exists()
