"""When a job is ready, and what is said when it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dataflows.health import Health, Partition

NOW, STALLED_AFTER = 1_700_000_000.0, 30.0
BUSY, QUIET, IDLE = Partition(5, idle=False), Partition(0, idle=False), Partition(5, idle=True)
WELL = Health(
    processes={0: True, 1: True},
    workers=2,
    heartbeats={"0": NOW - 0.1, "1": NOW - 0.2},
    progress=NOW - 1,
    partitions={"orders/0": BUSY, "crm/0": QUIET},
)


def hindrance(health: Health) -> str | None:
    return health.hindrance(NOW, STALLED_AFTER)


def test_a_job_that_makes_progress_is_ready() -> None:
    assert hindrance(WELL) is None


@pytest.mark.parametrize("partition", [QUIET, IDLE])
def test_a_job_with_nothing_to_read_is_ready_without_progress(partition: Partition) -> None:
    assert hindrance(replace(WELL, progress=NOW - 3600, partitions={"orders/0": partition})) is None


def test_a_job_that_has_records_to_read_and_reads_none_is_not_ready() -> None:
    said = hindrance(replace(WELL, progress=NOW - 31))
    assert said == "no progress for 31.0 s, though orders/0 and 0 other partitions have records to read"
    assert hindrance(replace(WELL, progress=NOW - 29)) is None


def test_a_job_that_never_made_progress_is_not_ready() -> None:
    assert str(hindrance(replace(WELL, progress=0.0))).startswith("no progress yet")


def test_one_worker_that_stands_still_is_enough() -> None:
    said = hindrance(replace(WELL, heartbeats={"0": NOW - 0.1, "1": NOW - 31}))
    assert said == "worker 1 has stood still for 31.0 s"


def test_one_process_that_is_dead_is_enough() -> None:
    assert hindrance(replace(WELL, processes={0: True, 1: False})) == "worker process 1 does not run"


def test_a_job_is_not_ready_before_all_workers_have_begun() -> None:
    assert hindrance(replace(WELL, workers=0, heartbeats={})) == "starting: 0 of all workers have begun"
    assert hindrance(replace(WELL, heartbeats={"0": NOW})) == "starting: 1 of 2 workers have begun"


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    assert WELL.hindrance(NOW - 3600, STALLED_AFTER) is None
