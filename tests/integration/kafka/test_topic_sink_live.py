"""A live job whose outputs go to topics too: there is on the topics what is in the store, each output once."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from config.topics import KINDS
from sinks.schema import outputs
from sinks.store import Store
from tests.support.commands import eventually, forestall
from tests.support.kafka import Broker
from tests.support.live import Job, World, simulated
from tests.support.topics import read

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path, kafka: Broker) -> World:
    made = simulated(tmp_path / "world", uuid.uuid4().hex[:8])
    made.create(kafka)
    return made


@pytest.fixture
def named(kafka: Broker) -> dict[str, str]:
    """The settings `[topics]`: a topic for each kind, and a name of this job."""
    return {name: kafka.topic(2, name.replace("_", "-")) for name in KINDS.values()} | {
        "transactional_id_prefix": f"job-{uuid.uuid4().hex[:8]}"
    }


@pytest.fixture
def job(tmp_path: Path, kafka: Broker, world: World, named: dict[str, str]) -> Iterator[Job]:
    made = Job(kafka, tmp_path / "job", world.topics, topics=named, restarts={"deaths_max": 100})
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def in_store(url: str) -> dict[tuple[str, str], bytes]:
    """Return the outputs of a store that go to topics, by type and id."""
    with Store.open(url) as store, store.read() as connection:
        query = sa.select(outputs.c.type, outputs.c.id, outputs.c.body).where(outputs.c.kind.in_(KINDS))
        return {(row.type, row.id): row.body for row in connection.execute(query)}


def on_topics(kafka: Broker, named: dict[str, str]) -> dict[tuple[str, str], bytes]:
    """Return the outputs on the topics, by type and id; each must be there once."""
    found = read(kafka, [named[name] for name in KINDS.values()])
    by_id = {(record.headers["ce_type"], record.headers["ce_id"]): record.value for record in found}
    assert len(by_id) == len(found), "an output is there twice"
    for record in found:
        assert record.place[0] == named[KINDS[record.headers["ce_type"].partition(".")[0]]]
    numbers: dict[str, list[int]] = {}
    for record in found:
        numbers.setdefault(record.part, []).append(record.seq)
    for part, seqs in numbers.items():
        assert sorted(seqs) == list(range(1, len(seqs) + 1)), f"{part} has holes"
    return by_id


def test_topics_hold_what_the_store_holds_after_kills_of_workers_and_of_all(
    kafka: Broker, world: World, job: Job, named: dict[str, str]
) -> None:
    for share in (0.3, 0.6):
        world.produce(kafka, share)
        job.start("--processes", 2)
        job.wait_for(world.ends(share))
        os.kill(job.workers()[0], signal.SIGKILL)
        time.sleep(3)
        job.kill()
    world.produce(kafka)
    job.start("--processes", 2)
    job.wait_for(world.ends())
    assert job.stop().document["findings"] > 0
    assert on_topics(kafka, named) == in_store(job.store_url)


def test_stop_lets_out_what_was_read_onto_topics_too(
    kafka: Broker, world: World, job: Job, named: dict[str, str]
) -> None:
    world.produce(kafka)
    job.start()
    job.wait_for(world.ends())
    job.stop()
    there = in_store(job.store_url)
    assert len(there) > 40
    assert on_topics(kafka, named) == there


def test_outputs_begin_to_go_to_topics_when_a_job_that_has_run_is_told_so(
    kafka: Broker, world: World, job: Job, named: dict[str, str]
) -> None:
    told = job.config.read_text()
    job.config.write_text(told.partition("[topics]")[0])
    world.produce(kafka, 0.4)
    job.start()
    job.wait_for(world.ends(0.4))
    job.stop()
    before = in_store(job.store_url)
    job.config.write_text(told)
    world.produce(kafka)
    job.start()
    job.wait_for(world.ends())
    job.stop()
    after = {name: body for name, body in in_store(job.store_url).items() if name not in before}
    assert len(after) > 30
    assert on_topics(kafka, named) == after
    # And without them again: what was kept for topics keeps nobody from starting.
    job.config.write_text(told.partition("[topics]")[0])
    job.start()
    eventually(lambda: bool(job.workers()), "workers started")
    job.stop()


def test_mistakes_in_topics_are_told_together_at_the_start(kafka: Broker, job: Job, named: dict[str, str]) -> None:
    text = job.config.read_text().replace(named["findings"], "no-such-topic").replace(named["actions"], "nor-this")
    progress = kafka.topic(1)
    job.config.write_text(text.replace("[topics]\n", f'[topics]\nprogress = "{progress}"\n'))
    ended = forestall("run", "detection", "--config", job.config, "--store", job.store_url)
    assert ended.code == 3
    for words in ("no-such-topic, nor-this", f"{progress}, has 1 partitions for 4", "cleanup.policy = delete"):
        assert words in ended.err, ended.err
