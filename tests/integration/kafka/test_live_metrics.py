"""Metrics and readiness of a live job, while its broker is well and while it is not."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.clock import to_text
from sinks.store import Store
from tests.support.cloudevents import ORDER, cloud_event
from tests.support.commands import eventually
from tests.support.kafka import Broker
from tests.support.live import Job, simulated
from tests.support.metrics import Series, series, total, value
from tests.support.prometheus import fetch, free_port

pytestmark = pytest.mark.slow

STALLED_AFTER = {"stalled_after": "3s"}


class Watched:
    """A job, and what it says of itself."""

    def __init__(self, job: Job) -> None:
        self.job, self._port = job, free_port()
        job.start("--processes", 2, "--metrics-port", self._port)

    def ready(self) -> tuple[int, str]:
        """Return what /health/ready says; the job must run."""
        assert self.job.process is not None
        assert self.job.process.poll() is None, self.job.process.communicate()
        return fetch(f"http://127.0.0.1:{self._port}/health/ready")

    def is_ready(self) -> bool:
        return self.ready()[0] == 200

    def metrics(self) -> Series:
        return series(fetch(f"http://127.0.0.1:{self._port}/metrics")[1])


@pytest.fixture
def jobs() -> Iterator[list[Watched]]:
    started: list[Watched] = []
    yield started
    for watched in started:
        process = watched.job.process
        if process is not None and process.poll() is None:
            watched.job.kill()


def test_figures_of_a_live_job_agree_with_the_topics_and_the_store(
    kafka: Broker, tmp_path: Path, jobs: list[Watched]
) -> None:
    world = simulated(tmp_path / "world", uuid.uuid4().hex[:8])
    world.create(kafka)
    world.produce(kafka)
    watched = Watched(Job(kafka, tmp_path / "job", world.topics))
    jobs.append(watched)
    watched.job.wait_for(world.ends())
    with Store.open(watched.job.store_url) as store:
        eventually(
            lambda: total(watched.metrics(), "forestall_released_total", sink="store") == sum(store.counts().values()),
            "what was released is counted",
        )
        found, counts = watched.metrics(), store.counts()
    for topic in world.topics:
        ends = sum(end for channel, end in world.ends().items() if channel.rpartition("/")[0] == topic)
        assert value(found, "forestall_records_total", topic=topic) == ends
        assert total(found, "forestall_partition_offset", topic=topic) == ends
        assert total(found, "forestall_consumer_lag_records", topic=topic) == 0
    released = {kind: value(found, "forestall_released_total", sink="store", kind=kind) for kind in counts}
    assert released == counts
    meant = sum(count for kind, count in counts.items() if kind in ("finding", "case", "decision", "action"))
    assert total(found, "forestall_end_to_end_seconds_count") == meant > 0
    # All began with these processes, so of each output is known when it was due; epochs are of 200 ms.
    assert total(found, "forestall_processing_seconds_count") == meant
    assert total(found, "forestall_processing_seconds_sum") < 30 * meant
    assert total(found, "forestall_event_delay_seconds_count") == 3 * meant


def test_a_job_is_ready_in_silence_but_not_without_its_broker(
    kafka: Broker, tmp_path: Path, jobs: list[Watched]
) -> None:
    if not kafka.may_be_killed:
        pytest.skip("this broker must not be stopped")
    topic = kafka.topic(partitions=2)
    settings = {"time": {"idle_timeout": "1s", "lateness_max": "1s"}, "metrics": STALLED_AFTER}
    watched = Watched(Job(kafka, tmp_path / "job", [topic], **settings))
    jobs.append(watched)
    eventually(watched.is_ready, "the job is ready")
    now = to_text(time.time_ns() // 1000)
    kafka.produce(topic, [cloud_event("order.placed", ORDER, id=str(n), time=now) for n in range(20)], 0)
    eventually(lambda: total(watched.metrics(), "forestall_records_total") == 20, "records are read")
    eventually(lambda: total(watched.metrics(), "forestall_partition_idle") == 2, "both partitions fall silent")
    silent_until = time.monotonic() + 8  # longer than `stalled_after` and `idle_timeout`
    while time.monotonic() < silent_until:
        assert watched.ready() == (200, "ready\n")
        time.sleep(0.5)
    lags = [lag for (name, _), lag in watched.metrics().items() if name == "forestall_watermark_lag_seconds"]
    assert len(lags) == 2
    assert max(lags) < 30
    kafka.pause()
    try:
        eventually(lambda: not watched.is_ready(), "a broker that does not answer is seen")
        assert f"{topic}/" in watched.ready()[1]
        assert "has made no progress" in watched.ready()[1]
    finally:
        kafka.resume()
    eventually(watched.is_ready, "it goes on")
    assert watched.job.stop().code == 0


def test_a_death_of_workers_is_seen_and_counters_go_on(kafka: Broker, tmp_path: Path, jobs: list[Watched]) -> None:
    topic = kafka.topic(partitions=2)
    watched = Watched(Job(kafka, tmp_path / "job", [topic], restarts={"backoff_first": "2s"}))
    jobs.append(watched)
    eventually(watched.is_ready, "the job is ready")
    now = to_text(time.time_ns() // 1000)
    kafka.produce(topic, [cloud_event("order.placed", ORDER, id=str(n), time=now) for n in range(20)], 0)
    watched.job.wait_for({f"{topic}/0": 20})
    os.kill(watched.job.workers()[0], signal.SIGKILL)
    eventually(lambda: not watched.is_ready(), "the death is seen")
    assert "does not run" in watched.ready()[1] or "starting" in watched.ready()[1]
    eventually(watched.is_ready, "all are started again")
    found = watched.metrics()
    assert [value(found, "forestall_process_starts_total", process=number) for number in "01"] == [2, 2]
    assert total(found, "forestall_records_total") == 20
    assert total(found, "forestall_partition_offset") == 20
    assert value(found, "forestall_processes") == 2
