"""Jobs of earlier releases, killed in the middle, go on under today's code: see `recovery/README.md`."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import forestall, store_url
from tests.support.verdict import broken_at_end, content_of

ARCHIVES = sorted((Path(__file__).parent / "recovery").glob("*.tar.xz"))


class Left:
    """What a killed job of an earlier release left, unpacked."""

    def __init__(self, archive: Path, folder: Path) -> None:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        self.told: dict[str, Any] = json.loads(archive.with_name(archive.name.replace(".tar.xz", ".json")).read_text())
        self.recording, self.recovery = folder / "recording", folder / "store.db.recovery"
        self.store = store_url(folder / "store.db")


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Left:
    return Left(request.param, tmp_path)


def test_there_is_one() -> None:
    assert ARCHIVES


def test_a_killed_job_can_be_resumed_and_has_zombies_to_purge(left: Left) -> None:
    document = forestall("recovery", "check", left.recovery, "--store", left.store, "--json").document
    assert document["faults"] == []
    assert sum(row["snapshots"] for row in document["purge"]) > 0
    assert sum(channel["records"] for channel in document["channels"]) >= left.told["killed"]["records"] > 0
    assert sum(stage["log_bytes"] for stage in document["stages"]) > 0


@pytest.mark.slow
def test_a_killed_job_resumes_and_comes_to_what_an_unbroken_one_does(left: Left) -> None:
    before = content_of(left.store)
    assert (before.digest, before.counts) == (left.told["killed"]["digest"], left.told["killed"]["outputs"])
    resumed = forestall("replay", left.recording, "--store", left.store, "--json").document
    assert resumed["complete"]
    assert before.outputs < content_of(left.store).outputs
    assert resumed["digest"] == left.told.get("resumed", left.told["whole"]["digest"])
    if "resumed" not in left.told:
        unbroken = store_url(left.recovery.parent / "unbroken.db")
        whole = forestall("replay", left.recording, "--store", unbroken, "--json").document
        assert whole["digest"] == left.told["whole"]["digest"], "today's code finds something else: see README.md"
        assert broken_at_end(left.store, content_of(unbroken)) == []
