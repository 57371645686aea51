"""A replay into PostgreSQL, by the commands that people use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import forestall
from tests.support.postgres import Server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
BUNDLED = ROOT / "replay" / "bundled"


def told(*arguments: object) -> Any:
    """Run a command that has to do well; return its JSON."""
    return forestall(*arguments, "--json").document


def test_replay_gives_what_it_gives_into_a_file(postgres_server: Server, tmp_path: Path) -> None:
    url = postgres_server.database()
    stored = json.loads((ROOT / "tests" / "golden" / "bundled.json").read_text())
    replay = ("replay", BUNDLED, "--store", url, "--recovery", tmp_path / "recovery")
    result = told(*replay, "--processes", 2)
    assert result["digest"] == stored["digest"]
    assert result["complete"] is True
    assert told(*replay)["digest"] == stored["digest"]

    report = told("report", "--store", url)
    assert report["outputs"]["finding"] == stored["findings"]
    assert report["digest"] == stored["digest"]
    case = report["top"][0]["case_id"]
    assert told("case", case, "--store", url)["case"]["case_id"] == case
    letters = told("dead-letters", "--store", url)["dead_letters"]
    assert len(letters) == stored["dead_letters"]
    for command in ("verify", "rebuild"):
        ended = forestall("store", command, "--store", url)
        assert ended.code == 0, ended.err


def test_recovery_folder_has_to_be_named(postgres_server: Server) -> None:
    forestall("replay", BUNDLED, "--store", postgres_server.database()).says(2, "Name one with --recovery")
