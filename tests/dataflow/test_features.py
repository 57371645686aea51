"""What `forestall features export` writes is what a job reads at each checkpoint, and nothing that comes later."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

from config.clock import DAY, to_micros
from operators.risk import Judgement, RiskLogic
from replay.cut import cut
from replay.manifest import Idle
from replay.play import Job, flow_of, prepared
from replay.recording import Recording
from replay.world.model import SINCE, spec_of
from replay.world.record import simulate
from replay.world.scenario import load_scenario
from tests.support.commands import forestall
from tests.support.recordings import MADE_AT, Record, record, records_of

pytestmark = pytest.mark.slow

DAYS = 21
THEN = SINCE + 14 * DAY
LATER_KNOWN = ("answered_at", "complained_at")
"""What became of an order: the only columns that come from its future."""

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("features") / "world"
    simulate(spec_of(load_scenario("experience"), 11, 4_000, DAYS), folder)
    return Recording.open(folder)


@pytest.fixture(scope="module")
def rows(world: Recording) -> Rows:
    return read_at_checkpoints(exported(world))


def exported(recording: Recording) -> pl.DataFrame:
    """Return the table that the command writes of a recording."""
    into = recording.folder.with_suffix(".parquet")
    assert forestall("features", "export", recording.folder, "--into", into).code == 0
    return pl.read_parquet(into)


def read_at_checkpoints(table: pl.DataFrame) -> Rows:
    return table.drop(LATER_KNOWN).to_dicts()


def before(rows: Rows, at: int) -> Rows:
    return [row for row in rows if to_micros(row["at"]) < at]


def of_a_job(recording: Recording, workers: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Rows:
    """Return what the risk stage of a real job read, checkpoint by checkpoint."""
    judgements: list[Judgement] = []
    monkeypatch.setattr(RiskLogic, "observer", staticmethod(judgements.append))
    job = Job(
        recording=str(recording.folder),
        store_url=f"sqlite:///{folder / 'store.db'}",
        recovery=str(folder / "recovery"),
        workers=workers,
    )
    with prepared(job):
        cluster_main(
            flow_of(job, lambda: False),
            [],
            0,
            worker_count_per_proc=workers,
            epoch_interval=timedelta(milliseconds=200),
            recovery_config=RecoveryConfig(job.recovery, timedelta(0)),
        )
    return [row_of(judgement) for judgement in judgements]


def row_of(judgement: Judgement) -> dict[str, Any]:
    return {
        "order": judgement.order,
        "at": datetime.fromtimestamp(0, UTC) + timedelta(microseconds=judgement.at),
        **{f"order_progress.{name}": number for name, number in judgement.progress.items()},
        **{f"fleet_history.{name}": number for name, number in judgement.history.items()},
        "probability": judgement.probability,
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_an_export_holds_what_a_job_read_value_for_value(
    world: Recording, rows: Rows, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = of_a_job(world, workers, tmp_path, monkeypatch)
    assert len(job) > 1_000
    assert len({row["probability"] for row in job}) > 500, "the model has hardly learned"
    assert job == rows


def test_an_export_knows_where_partitions_were_idle_as_a_job_does(
    world: Recording, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = world.partitions[0]
    with world.reader(part.topic, part.partition) as reader:
        offset = reader.end_before(THEN // 1000)
    # Far ahead, so that reviews after it are late.
    idle = [Idle(part.topic, part.partition, offset, THEN + 2 * DAY)]
    paused = record(tmp_path / "paused", contents(world), recorded_until=world.recorded_until, idle=idle)
    told = read_at_checkpoints(exported(paused))
    assert told == of_a_job(paused, 1, tmp_path, monkeypatch)
    assert before(told, THEN) == before(rows, THEN)
    assert told != rows


def test_records_that_are_not_there_yet_change_no_row_before(world: Recording, rows: Rows, tmp_path: Path) -> None:
    cut(world, tmp_path / "early", created_at=MADE_AT, until=THEN)
    early = read_at_checkpoints(exported(Recording.open(tmp_path / "early")))
    assert len(early) > 500
    assert early == before(rows, THEN)


def test_records_shuffled_change_no_row_before(world: Recording, rows: Rows, tmp_path: Path) -> None:
    rng = random.Random(5)
    shuffled = {place: shuffled_from(records, THEN, rng) for place, records in contents(world).items()}
    other = record(tmp_path / "other", shuffled, recorded_until=world.recorded_until)
    told = read_at_checkpoints(exported(other))
    assert before(told, THEN) == before(rows, THEN)
    assert told != rows


def contents(recording: Recording) -> dict[tuple[str, int], list[Record]]:
    content: dict[tuple[str, int], list[Record]] = {}
    for part in recording.partitions:
        with recording.reader(part.topic, part.partition) as reader:
            content[part.topic, part.partition] = records_of(reader)
    return content


def shuffled_from(records: Sequence[Record], at: int, rng: random.Random) -> list[Record]:
    """Return the records with keys and values of those after the last one stamped before `at` in another order."""
    begin = max((number + 1 for number, record in enumerate(records) if record[1] * 1000 < at), default=0)
    bodies = [record[2:] for record in records[begin:]]
    rng.shuffle(bodies)
    return [
        *records[:begin],
        *((offset, stamp, *body) for (offset, stamp, *_), body in zip(records[begin:], bodies, strict=True)),
    ]
