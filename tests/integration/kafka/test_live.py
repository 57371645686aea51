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

from config.clock import to_text
from tests.support.cloudevents import ORDER, cloud_event
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
    job.start("--processes", 2, measured=True)
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


def test_topics_are_added_and_retired_between_runs(
    kafka: Broker, world: World, make_job: MakeJob, tmp_path: Path
) -> None:
    orders, crm = (next(topic for topic in world.topics if topic.startswith(name)) for name in ("orders", "crm"))
    job = make_job([orders])
    world.produce(kafka)
    of = {topic: {c: end for c, end in world.ends().items() if c.startswith(topic)} for topic in (orders, crm)}
    job.start()
    job.wait_for(of[orders])
    job.stop()

    both = make_job([orders, crm])
    both.start()
    both.wait_for(of[orders] | of[crm])
    late = both.stop().document["late"]
    assert late > 0, "what is older than what the job had come to is late"

    job = make_job([orders])
    job.start()
    assert job.process is not None
    job.process.wait(60)
    _, complaint = job.process.communicate()
    assert f"topic {crm} was read before and is not among kafka.topics." in complaint
    assert f"forestall topics retire {crm}" in complaint
    retired = forestall("topics", "retire", crm, "--store", job.store_url, "--json").document
    assert retired["offsets"] == of[crm]
    kafka.produce(orders, [b"{}"])
    job.start()
    job.wait_for({f"{orders}/0": of[orders][f"{orders}/0"] + 1})
    assert job.stop().document["late"] == late


def test_partitions_that_are_added_are_read_from_their_first_record_after_a_restart(
    kafka: Broker, world: World, make_job: MakeJob
) -> None:
    topic = next(topic for topic in world.topics if topic.startswith("crm"))
    job = make_job([topic], kafka={"start": "latest"})
    job.start()
    count = kafka.partitions(topic)
    known = [f"{topic}/{number}" for number in range(count)]
    eventually(lambda: list(job.committed(known).values()) == [0] * count, "all partitions are open")
    time.sleep(1)
    kafka.add_partitions(topic, count + 1)
    kafka.produce(topic, [b"not read", b"either"], partition=count)
    job.stop()
    job.start()
    job.wait_for({f"{topic}/{count}": 2})
    assert job.stop().document["dead_letters"] == 2


def test_all_that_is_wrong_at_the_start_is_said_at_once(kafka: Broker, make_job: MakeJob, tmp_path: Path) -> None:
    policy = tmp_path / "no-policy"
    job = make_job(["no-such-topic", "nor-this"], kafka={"start": "yesterday"}, policy={"bundle": str(policy)})
    job.start()
    assert job.process is not None
    job.process.wait(60)
    _, complaint = job.process.communicate()
    assert job.process.returncode == 3
    for words in ("3 faults", "kafka.start = 'yesterday'", "no topic no-such-topic, nor-this", str(policy)):
        assert words in complaint
    assert not job.store.exists()


def test_a_broker_that_is_not_there_is_said_to_be_missing(make_job: MakeJob) -> None:
    job = make_job(["orders"], kafka={"bootstrap_servers": "127.0.0.1:9"})
    job.start()
    assert job.process is not None
    job.process.wait(60)
    _, complaint = job.process.communicate()
    assert job.process.returncode == 3
    assert "brokers at 127.0.0.1:9" in complaint
    assert "Connection refused" in complaint


def test_an_idle_partition_lets_time_go_on_and_a_replay_repeats_it(
    kafka: Broker, make_job: MakeJob, tmp_path: Path
) -> None:
    topic = kafka.topic(2, prefix="orders")
    now_ms = time.time_ns() // 1_000_000

    def order(number: int, seconds: float) -> tuple[int, bytes, bytes]:
        at = now_ms + int(seconds * 1000)
        data = ORDER | {"order_id": f"o{number}"}
        return at, b"c1", cloud_event("order.placed", data, id=str(number), time=to_text(at * 1000))

    job = make_job([topic], time={"idle_timeout": "2s", "lateness_max": "1s"})
    world = World({f"{topic}/0": [order(n, n - 120) for n in range(60)], f"{topic}/1": []})
    world.produce(kafka)
    job.start()
    job.wait_for({f"{topic}/0": 60})
    eventually(lambda: len(job.watermarks()) == 2 and min(job.watermarks().values()) > now_ms * 1000, "both are idle")
    world.records[f"{topic}/0"].append(order(1000, 600))
    world.records[f"{topic}/1"].extend([order(1001, -100), order(1002, 600)])
    world.produce(kafka)
    job.wait_for({f"{topic}/0": 61, f"{topic}/1": 2})
    live = job.stop().document
    idle = job.idle_times()
    assert sorted((each.partition, each.next_offset) for each in idle) == [(0, 60), (1, 0)]
    assert live["late"] == 1, "a record older than what was promised while the partition was idle"
    recording = world.record(tmp_path / "recording", idle)
    store = f"sqlite:///{tmp_path / 'replay.db'}"
    replay = forestall("replay", recording, "--config", job.config, "--store", store, "--json").document
    assert (replay["late"], replay["digest"]) == (1, live["digest"])
