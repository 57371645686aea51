"""Flags on the stream: decided by from their effective time on, however the job is cut up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from config.clock import DAY, HOUR, to_text
from replay.manifest import Idle
from replay.recording import Recording
from sinks import queries
from sinks.store import Store
from tests.support.cloudevents import cloud_event
from tests.support.recordings import Record, record
from tests.support.replays import Left, Run, replayed
from tests.support.shop import START, recorded, shop

pytestmark = pytest.mark.slow

EFFECTIVE, LIFTED = START + 20 * DAY, START + 30 * DAY + HOUR


def flags() -> list[Record]:
    """Two flags: one set long before the watermark that was promised when it came, and one that takes it back."""
    values: list[Record] = []
    for number, (at, mode) in enumerate([(START + DAY, "observe-only"), (LIFTED, "normal")]):
        data = {"scope": "*", "mode": mode, "set_by": "on-call", "reason": "drill"}
        values.append((number, at // 1000, None, cloud_event("flag.set", data, id=str(number), time=to_text(at))))
    return values


def with_flags(folder: Path) -> Recording:
    content = shop(5)
    idle = [Idle("flags", 0, 0, EFFECTIVE), Idle("flags", 0, 1, EFFECTIVE + DAY)]
    partitions = recorded(content) | {("flags", 0): flags()}
    return record(folder, partitions, recorded_until=content.until, idle=idle)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Left]]:
    folder = tmp_path_factory.mktemp("flags")
    recording = with_flags(folder / "recording")
    plain = Run((recording.folder,))
    runs = {
        "plain": plain,
        "two processes": replace(plain, processes=2, settings="runtime.batch_records = 7\n"),
        "two workers": replace(plain, workers=2, settings='runtime.emit_interval = "0ms"\n'),
        "paced": replace(plain, settings='time.alignment_max = "12h"\n'),
    }
    return folder, replayed(runs, folder)


def test_the_outputs_do_not_depend_on_how_the_job_is_cut_up(left: tuple[Path, dict[str, Left]]) -> None:
    _, runs = left
    assert {each.digest for each in runs.values()} == {runs["plain"].digest}
    assert runs["plain"].counts.get("dead_letter", 0) == 0


def test_decisions_heed_a_flag_from_its_effective_time_until_it_is_taken_back(
    left: tuple[Path, dict[str, Left]],
) -> None:
    folder, _ = left
    with Store.open(f"sqlite:///{folder / 'plain' / 'store.db'}") as store:
        decisions = [msgspec.convert(body, dict) for body in queries.bodies(store, "decision")]
    within = [each for each in decisions if EFFECTIVE <= each["at"] < LIFTED]
    others = [each for each in decisions if not EFFECTIVE <= each["at"] < LIFTED]
    assert len(within) > 5
    assert {each["outcome"] for each in within if not each["error"]} == {"observe"}
    assert any("The flag observe-only for everything was set by on-call" in each["reason"] for each in within)
    assert "recommend" in {each["outcome"] for each in others}
    assert not any("The flag" in each["reason"] for each in others)
