"""The bundled recording gives the stored results: past decisions are guarded, changes of them are meant.

After a change that is meant, run this file as a program to store the new results, and note it in CHANGELOG.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dataflows.cli import main

ROOT = Path(__file__).parents[2]
STORED = Path(__file__).with_name("bundled.json")
KEPT = ("events", "late", "duplicates", "held", "dead_letters", "findings", "cases", "decisions", "actions", "digest")


def results(folder: Path) -> dict[str, Any]:
    store = f"sqlite:///{folder}/store.db"
    recording = ROOT / "replay" / "bundled"
    replayed = CliRunner().invoke(main, ["replay", str(recording), "--store", store, "--json"])
    assert replayed.exit_code == 0, replayed.output
    labels = str(recording / "labels.json")
    reported = CliRunner().invoke(main, ["report", "--store", store, "--labels", labels, "--json"])
    assert reported.exit_code == 0, reported.output
    counts, report = json.loads(replayed.stdout), json.loads(reported.stdout)
    return {name: counts[name] for name in KEPT} | {"labelled": report["labelled"]}


@pytest.mark.slow
def test_the_bundled_recording_gives_the_stored_results(tmp_path: Path) -> None:
    assert results(tmp_path) == json.loads(STORED.read_text())


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        STORED.write_text(json.dumps(results(Path(folder)), indent=1) + "\n")
    sys.stdout.write(STORED.read_text())
