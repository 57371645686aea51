"""When a job is ready, and what is said when it is not."""

from __future__ import annotations

from dataclasses import replace

from dataflows.health import Health, Partition

NOW, STALLED_AFTER, IDLE_TIMEOUT = 1_700_000_000.0, 30.0, 20.0
WELL = Health(
    processes={0: True, 1: True},
    workers=2,
    heartbeats={"0": NOW - 0.1, "1": NOW - 0.2},
    partitions={"orders/0": Partition(NOW - 1), "crm/0": Partition(NOW - 20)},
)


def hindrance(health: Health) -> str | None:
    return health.hindrance(NOW, STALLED_AFTER, IDLE_TIMEOUT)


def test_a_job_that_makes_progress_is_ready() -> None:
    assert hindrance(WELL) is None


def test_one_partition_that_makes_no_progress_is_enough() -> None:
    """Its watermark holds up all stages, whatever the others do."""
    partitions = {**WELL.partitions, "telemetry/3": Partition(NOW - 51)}
    said = hindrance(replace(WELL, partitions=partitions))
    assert said == "telemetry/3 has made no progress for 51.0 s, nor 0 other partitions"


def test_a_partition_that_is_silent_has_time_to_become_idle() -> None:
    assert hindrance(replace(WELL, partitions={"orders/0": Partition(NOW - 49)})) is None


def test_a_partition_that_has_ended_need_not_make_progress() -> None:
    assert hindrance(replace(WELL, partitions={"orders/0": Partition(NOW - 3600, ended=True)})) is None


def test_one_worker_that_stands_still_is_enough() -> None:
    said = hindrance(replace(WELL, heartbeats={"0": NOW - 0.1, "1": NOW - 31}))
    assert said == "worker 1 has stood still for 31.0 s"


def test_one_process_that_is_dead_is_enough() -> None:
    assert hindrance(replace(WELL, processes={0: True, 1: False})) == "worker process 1 does not run"


def test_a_job_is_not_ready_before_all_workers_have_begun() -> None:
    assert hindrance(replace(WELL, workers=0, heartbeats={})) == "starting: 0 of all workers have begun"
    assert hindrance(replace(WELL, heartbeats={"0": NOW})) == "starting: 1 of 2 workers have begun"


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    assert WELL.hindrance(NOW - 3600, STALLED_AFTER, IDLE_TIMEOUT) is None
