"""A world on disk: a whole recording with its labels, the same bytes each time; the command that makes it again."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from config.errors import UsageError
from replay.recording import Recording
from replay.world import Labels, Spec, World, simulate
from replay.world.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

SPEC = Spec(seed=5, events=3_000, days=14)


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_recording_is_whole_and_carries_its_labels(tmp_path: Path) -> None:
    manifest, labels = simulate(SPEC, tmp_path / "world")
    opened = Recording.open(tmp_path / "world")
    assert opened.manifest == manifest
    assert opened.labels is not None
    assert Labels.read(opened.labels) == labels
    assert opened.recorded_until == SPEC.until
    assert {(p.topic, p.partition) for p in opened.partitions} == set(World(SPEC).partitions)


@pytest.mark.slow
def test_the_same_spec_makes_the_same_files(tmp_path: Path) -> None:
    simulate(SPEC, tmp_path / "one")
    simulate(SPEC, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_progress_adds_up_to_the_records(tmp_path: Path) -> None:
    steps: list[int] = []
    manifest, _ = simulate(SPEC, tmp_path / "world", steps.append)
    assert sum(steps) == sum(manifest.topics.values())
    assert len(steps) > 10


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UsageError):
        simulate(SPEC, tmp_path)
    assert contents(tmp_path).keys() == {"letter.txt"}


def test_labels_are_not_given_before_the_world_was_made() -> None:
    with pytest.raises(AssertionError, match="all batches"):
        World(SPEC).labels()


def test_the_bundled_recording_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("replay.world.__main__.BUNDLED", SPEC)
    main(["--bundled", str(tmp_path / "bundled")])
    first = contents(tmp_path / "bundled")
    main(["--bundled", str(tmp_path / "bundled")])
    assert contents(tmp_path / "bundled") == first
    assert "3,000 records" in capsys.readouterr().out
