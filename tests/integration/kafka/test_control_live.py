"""Flags on a live topic: they hold nobody up, take effect at once, and a replay of the records decides the same."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.clock import to_text
from config.contracts import BUILT_IN, load_contracts
from operators.decode import Decoder
from sinks import queries
from sinks.store import Store
from tests.support.cloudevents import cloud_event, raw_batch
from tests.support.commands import eventually, forestall
from tests.support.kafka import Broker
from tests.support.live import Job, World, simulated
from tests.support.topics import read

pytestmark = pytest.mark.slow


def flag(number: int, mode: str) -> tuple[int, bytes, bytes]:
    """A flag set before the world began: it takes effect when it is read."""
    data = {"scope": "*", "mode": mode, "set_by": "on-call", "reason": "drill"}
    return 1_000, b"*", cloud_event("flag.set", data, id=str(number), time=to_text(1_000_000_000_000_000))


@pytest.fixture
def world(tmp_path: Path, kafka: Broker) -> World:
    suffix = uuid.uuid4().hex[:8]
    made = simulated(tmp_path / "world", suffix)
    made = World({**made.records, f"flags-{suffix}/0": []})
    made.create(kafka)
    return made


@pytest.fixture
def job(tmp_path: Path, kafka: Broker, world: World) -> Iterator[Job]:
    (flags,) = [topic for topic in world.topics if topic.startswith("flags-")]
    job = Job(kafka, tmp_path / "job", world.topics, control={"topics": [flags]})
    yield job
    if job.process is not None and job.process.poll() is None:
        job.kill()


def test_a_replay_decides_as_the_live_job_did_under_flags(
    kafka: Broker, world: World, job: Job, tmp_path: Path
) -> None:
    (flags,) = [channel for channel in world.records if channel.startswith("flags-")]
    data = [channel for channel in world.records if channel != flags]

    def ends(share: float) -> dict[str, int]:
        return {channel: world.ends(share)[channel] for channel in data}

    world.produce(kafka, 0.4, data)
    job.start("--processes", 2)
    job.wait_for(ends(0.4))
    world.records[flags].append(flag(1, "observe-only"))
    world.produce(kafka, 1.0, [flags])
    job.wait_for({flags: 1})
    world.produce(kafka, 0.6, data)
    job.wait_for(ends(0.6))
    job.kill()
    world.produce(kafka, 0.7, data)
    job.start()
    job.wait_for(ends(0.7))
    world.records[flags].append(flag(2, "normal"))
    world.produce(kafka, 1.0, [flags])
    job.wait_for({flags: 2})
    world.produce(kafka, 1.0, data)
    job.wait_for(world.ends())
    time.sleep(1)
    live = job.stop().document

    idle = job.idle_times()
    assert [each.next_offset for each in idle if flags.startswith(f"{each.topic}/")] == [0, 1]
    recording = world.record(tmp_path / "recording", [*idle, job.promised(flags)])
    store = f"sqlite:///{tmp_path / 'replay.db'}"
    replay = forestall("replay", recording, "--config", job.config, "--store", store, "--json").document
    assert (replay["decisions"], replay["digest"]) == (live["decisions"], live["digest"])
    flagged, others = told(job.store_url)
    assert (len(flagged) > 0, len(others) > 0) == (True, True)


def told(store_url: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the decisions made under the flag, and those made without that say more than to observe."""
    with Store.open(store_url) as store:
        decisions = [msgspec.convert(body, dict[str, Any]) for body in queries.bodies(store, "decision")]
    flagged = [each for each in decisions if "The flag observe-only" in each["reason"]]
    return flagged, [each for each in decisions if each["outcome"] == "recommend"]


def test_an_empty_control_topic_holds_up_no_decision(kafka: Broker, world: World, job: Job) -> None:
    (flags,) = [channel for channel in world.records if channel.startswith("flags-")]
    world.produce(kafka, 1.0, [channel for channel in world.records if channel != flags])
    job.start()
    job.wait_for({channel: end for channel, end in world.ends().items() if channel != flags})

    def decided() -> bool:
        with Store.open(job.store_url) as store:
            return store.counts().get("decision", 0) > 0

    eventually(decided, "decisions while nothing was ever said on the control topic")
    assert job.stop().document["digest"] != ""


def test_the_command_that_sets_a_flag_is_heeded_and_says_what_is_wrong(kafka: Broker) -> None:
    topic = kafka.topic(1, prefix="flags")
    given = ("--by", "on-call", "--reason", "drill", "--bootstrap-servers", kafka.bootstrap, "--json")
    sent = forestall("flag", "set", "observe-only", "--scope", "agent:billing", "--topic", topic, *given).document
    assert sent == {"topic": topic, "partition": 0, "offset": 0, "scope": "agent:billing", "mode": "observe-only"}
    (value,) = [found.value for found in read(kafka, [topic])]
    decoded = Decoder(load_contracts(BUILT_IN), control_topics={topic}).decode(raw_batch([value], topic=topic))
    assert [event.data["mode"] for event in decoded.events()] == ["observe-only"]
    forestall("flag", "set", "observe-only", "--scope", "billing", "--topic", topic, *given).says(2, "$.data.scope")
    forestall("flag", "set", "normal", "--topic", f"{topic}-else", *given).says(3, "There is no topic")
