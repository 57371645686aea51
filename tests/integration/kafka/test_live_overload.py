"""A live job that falls behind: it catches up, and where it samples meanwhile, a replay of its recording does too."""

from __future__ import annotations

import os
import signal
import time
import uuid
from pathlib import Path

import msgspec
import pytest

from config.clock import SECOND, to_text
from replay.manifest import MANIFEST, content_id, encode
from replay.recording import Recording
from tests.integration.kafka.test_live import MakeJob, assert_same, make_job, replayed
from tests.support.cloudevents import ORDER, REQUEST, cloud_event
from tests.support.commands import eventually, forestall
from tests.support.kafka import Broker
from tests.support.live import LONG_AGO, World, simulated

__all__ = ["make_job"]
pytestmark = [pytest.mark.kafka, pytest.mark.slow]

START = 1_700_000_000 * SECOND
STALL_S = 10.0


def test_a_job_that_stood_still_catches_up_and_finds_the_same(kafka: Broker, make_job: MakeJob, tmp_path: Path) -> None:
    world = simulated(tmp_path / "world", uuid.uuid4().hex[:8])
    world.create(kafka)
    job = make_job(world.topics)
    world.produce(kafka, 0.3)
    job.start("--processes", 2)
    job.wait_for(world.ends(0.3))
    stopped = job.workers()[:1]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    world.produce(kafka)
    time.sleep(STALL_S)
    behind = job.committed()
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert behind != world.ends()
    job.wait_for(world.ends())
    eventually(lambda: job.committed() == world.ends(), "the lag is 0")
    time.sleep(1)
    assert_same(job.stop().document, replayed(world, tmp_path, job.config))


def test_what_was_sampled_live_is_sampled_in_a_replay_of_its_recording(
    kafka: Broker, make_job: MakeJob, tmp_path: Path
) -> None:
    suffix = uuid.uuid4().hex[:8]
    requests = [_record("request.completed", REQUEST, number, 0.05) for number in range(40_000)]
    due = to_text(START + 1_000 * SECOND)  # these orders are late
    customers = [{"order_id": f"o{n}", "customer_id": f"c{n}", "promised_at": due} for n in range(100)]
    orders = [_record("order.placed", ORDER | each, number, 20) for number, each in enumerate(customers)]
    world = World({f"telemetry-{suffix}/0": requests, f"orders-{suffix}/0": orders})
    world.create(kafka)
    world.produce(kafka)
    job = make_job(
        world.topics,
        runtime={"batch_records": 100},
        overload={"lag_max": 4_000, "step_interval": "1s"},
        time={"lateness_max": "1s"},
    )
    job.start()
    job.wait_for(world.ends())
    time.sleep(1)
    live = job.stop().document
    into, store = tmp_path / "recording", f"sqlite:///{tmp_path / 'replay.db'}"
    recorded = forestall(
        *("record", "--topics", ",".join(world.topics), "--bootstrap-servers", kafka.bootstrap, "--into", into),
        *("--idle-times", job.store_url, "--json"),
    ).document
    manifest = Recording.open(into).manifest
    sampled = manifest.sampled or []
    assert recorded["sampled"] == len(sampled) > 0
    assert {each.topic for each in sampled} == {f"telemetry-{suffix}"}
    # A recording says until when it is complete; the job was never told.
    manifest = msgspec.structs.replace(manifest, recorded_until=LONG_AGO, recorded_until_text=to_text(LONG_AGO))
    (into / MANIFEST).write_bytes(encode(msgspec.structs.replace(manifest, id=content_id(manifest))))
    replay = forestall("replay", into, "--config", job.config, "--store", store, "--json").document
    assert_same(live, replay)


def _record(kind: str, data: dict[str, object], number: int, seconds: float) -> tuple[int, bytes | None, bytes | None]:
    at = START + int(number * seconds * SECOND)
    return at // 1000, None, cloud_event(kind, data, id=f"{kind}-{number}", time=to_text(at))
