"""The live job on a real broker: the same results as a replay, however often it is stopped and killed."""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import eventually, forestall
from tests.support.kafka import Broker
from tests.support.live import Job, World, simulated

pytestmark = pytest.mark.slow

MakeJob = Callable[..., Job]


@pytest.fixture
def world(tmp_path: Path, kafka: Broker) -> World:
    made = simulated(tmp_path / "world", uuid.uuid4().hex[:8])
    made.create(kafka)
    return made


@pytest.fixture
def make_job(tmp_path: Path, kafka: Broker) -> Iterator[MakeJob]:
    jobs: list[Job] = []

    def made(topics: list[str], name: str = "job", **more: Any) -> Job:
        jobs.append(Job(kafka, tmp_path / name, topics, **more))
        return jobs[-1]

    yield made
    for job in jobs:
        if job.process is not None and job.process.poll() is None:
            job.kill()


def replayed(world: World, folder: Path, settings: Path) -> dict[str, Any]:
    """What a replay of the same records finds."""
    recording = world.record(folder / "recording")
    store = f"sqlite:///{folder / 'replay.db'}"
    found: dict[str, Any] = forestall("replay", recording, "--config", settings, "--store", store, "--json").document
    return found


def assert_same(live: dict[str, Any], replay: dict[str, Any]) -> None:
    names = ("events", "late", "duplicates", "dead_letters", "findings", "cases", "decisions", "actions", "digest")
    assert {name: live[name] for name in names} == {name: replay[name] for name in names}
    assert live["findings"] > 0


def test_a_live_run_finds_what_a_replay_of_the_same_records_finds(
    kafka: Broker, world: World, make_job: MakeJob, tmp_path: Path
) -> None:
    job = make_job(world.topics)
    world.produce(kafka, 0.5)
    job.start("--processes", 2)
    job.wait_for(world.ends(0.5))
    world.produce(kafka)
    job.wait_for(world.ends())
    eventually(lambda: job.committed() == world.ends(), "the group's offsets follow")
    time.sleep(1)
    assert_same(job.stop().document, replayed(world, tmp_path, job.config))


def test_a_job_that_is_killed_again_and_again_leaves_the_same(
    kafka: Broker, world: World, make_job: MakeJob, tmp_path: Path
) -> None:
    chance = random.Random(11)
    job = make_job(world.topics, restarts={"deaths_max": 100})
    for share in (0.2, 0.4, 0.6, 0.8):
        world.produce(kafka, share)
        job.start("--processes", chance.choice((1, 2)))
        eventually(lambda: bool(job.workers()), "workers started")
        time.sleep(chance.uniform(2.0, 6.0))
        job.kill()
        durable = job.durable()
        assert all(offset <= durable[channel] for channel, offset in job.committed().items() if offset > 0)
    world.produce(kafka)
    job.start()
    eventually(lambda: bool(job.workers()), "workers started")
    time.sleep(chance.uniform(2.0, 4.0))
    for pid in job.workers():  # the supervisor starts them again
        os.kill(pid, signal.SIGKILL)
    job.wait_for(world.ends())
    time.sleep(1)
    ended = job.stop()
    assert ended.document["restarts"] >= 1
    assert_same(ended.document, replayed(world, tmp_path, job.config))


def test_a_stop_lets_out_all_that_was_read_and_a_start_goes_on(
    kafka: Broker, world: World, make_job: MakeJob, tmp_path: Path
) -> None:
    job = make_job(world.topics)
    world.produce(kafka, 0.5)
    job.start()
    job.wait_for(world.ends(0.5))
    time.sleep(1)
    stopped = job.stop().document
    job.start()
    eventually(lambda: bool(job.workers()), "workers started")
    time.sleep(5)
    again = job.stop().document
    assert again["digest"] == stopped["digest"], "something was held back at the stop"
    world.produce(kafka)
    job.start()
    job.wait_for(world.ends())
    time.sleep(1)
    assert_same(job.stop().document, replayed(world, tmp_path, job.config))


def test_a_broker_that_is_killed_is_waited_for_and_costs_nothing(
    kafka: Broker, world: World, make_job: MakeJob, tmp_path: Path
) -> None:
    if not kafka.may_be_killed:
        pytest.skip("the broker is not ours to kill")
    job = make_job(world.topics)
    world.produce(kafka, 0.5)
    job.start()
    job.wait_for(dict.fromkeys(world.records, 1))
    kafka.kill()
    time.sleep(5)
    kafka.restart()
    world.produce(kafka)
    job.wait_for(world.ends())
    time.sleep(1)
    ended = job.stop()
    assert ended.document["restarts"] == 0
    assert_same(ended.document, replayed(world, tmp_path, job.config))
