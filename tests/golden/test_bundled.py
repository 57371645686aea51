"""The bundled recording gives the stored results: past decisions are guarded, changes of them are meant.

After a change that is meant, run this file as a program to store the new results, and note it in CHANGELOG.md.
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


def results(folder: Path) -> dict[str, Any]:
    recording, store = ROOT / "replay" / "bundled", store_url(folder / "store.db")
    # Coverage would make it five times as slow, and what a replay runs is covered by the tests of each part.
    counts = end(start("replay", recording, "--store", store, "--json", measured=False)).document
    labels = recording / "labels.json"
    report = end(start("report", "--store", store, "--labels", labels, "--json", measured=False)).document
    return {name: counts[name] for name in KEPT} | {"labelled": report["labelled"]}


@pytest.mark.slow
def test_the_bundled_recording_gives_the_stored_results(tmp_path: Path) -> None:
    assert results(tmp_path) == json.loads(STORED.read_text())


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        STORED.write_text(json.dumps(results(Path(folder)), indent=1) + "\n")
    sys.stdout.write(STORED.read_text())
