"""The bundled recording gives the stored results: past decisions are guarded, changes of them are meant.

After a change that is meant, run this file as a program to store the new results, and note it in CHANGELOG.md. Those
under `acting` are of the settings that `make run` has, which `tests/integration/test_run.py` runs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import ROOT, end, start, store_url

STORED = Path(__file__).with_name("bundled.json")
KEPT = ("events", "late", "duplicates", "held", "dead_letters", "findings", "cases", "decisions", "actions", "digest")


RECORDING = ROOT / "replay" / "bundled"


def results(folder: Path) -> dict[str, Any]:
    store = store_url(folder / "store.db")
    # Coverage would make it five times as slow, and what a replay runs is covered by the tests of each part.
    counts = end(start("replay", RECORDING, "--store", store, "--json", measured=False)).document
    labels = RECORDING / "labels.json"
    report = end(start("report", "--store", store, "--labels", labels, "--json", measured=False)).document
    return {name: counts[name] for name in KEPT} | {"labelled": report["labelled"]}


def acting(folder: Path) -> dict[str, Any]:
    store, config = store_url(folder / "acting.db"), RECORDING.with_suffix(".toml")
    counts = end(start("replay", RECORDING, "--store", store, "--config", config, "--json", measured=False)).document
    return {name: counts[name] for name in KEPT}


@pytest.mark.slow
def test_the_bundled_recording_gives_the_stored_results(tmp_path: Path) -> None:
    stored = json.loads(STORED.read_text())
    del stored["acting"]
    assert results(tmp_path) == stored


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        made = results(Path(folder)) | {"acting": acting(Path(folder))}
        STORED.write_text(json.dumps(made, indent=1) + "\n")
    sys.stdout.write(STORED.read_text())
