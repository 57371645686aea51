"""What is known of a life that failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT

FAILS = """
import sys
from pathlib import Path
from config.errors import StoreError
from tests.support.chaos import apart_code

def run():
    raise StoreError("database is locked", retry=sys.argv[2] == "passes")

assert apart_code(run, Path(sys.argv[1])) == 1
"""


@pytest.mark.parametrize("how", ["passes", "lasts"])
def test_a_life_that_fails_before_it_has_workers_says_whether_the_reason_passes(tmp_path: Path, how: str) -> None:
    subprocess.run([sys.executable, "-c", FAILS, str(tmp_path), how], cwd=ROOT, check=True)
    (words,) = [path.read_text() for path in tmp_path.glob("*.failure")]
    assert "database is locked" in words
    assert ('"retry":true' in words) == (how == "passes")
