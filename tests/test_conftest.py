"""What the suite says about tests that cannot run here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SAMPLE = """
import pytest

def test_reads_topics(shared_data):
    assert (shared_data / "orders").read_text() == "one"

@pytest.mark.slow
def test_takes_long():
    pass

def test_is_marked(request, shared_data):
    assert request.node.get_closest_marker("shared_data")
"""


pytestmark = pytest.mark.slow


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests" / "test_sample.py").write_text(SAMPLE)
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "orders").write_text("one")
    return tmp_path


def run(suite: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("FORESTALL", "COV", "PYTEST"))
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=suite, env=inherited | variables, capture_output=True, text=True, check=False)


def test_recorded_topics_are_found_by_variable(suite: Path) -> None:
    done = run(suite, FORESTALL_DATA=str(suite / "topics"))
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
    assert "not run" not in done.stdout


def test_absent_topics_skip_and_are_named_last_with_the_way_to_get_them(suite: Path) -> None:
    done = run(suite, FORESTALL_DATA=str(suite / "nowhere"))
    assert done.returncode == 0, done.stdout
    *_, heading, reason, _ = done.stdout.splitlines()
    assert " not run " in heading
    assert f"2 skipped: no recorded topics at {suite / 'nowhere'}; get them there or set FORESTALL_DATA" in reason


def test_absent_topics_fail_where_all_is_required(suite: Path) -> None:
    done = run(suite, FORESTALL_DATA=str(suite / "nowhere"), FORESTALL_REQUIRE="all")
    assert done.returncode == 1, done.stdout
    assert "no recorded topics" in done.stdout


def test_tests_left_out_by_choice_are_counted(suite: Path) -> None:
    done = run(suite, "-m", "not slow", "-q", FORESTALL_DATA=str(suite / "topics"))
    assert "1 left out by the choice of markers or names; `make test` runs all" in done.stdout
