"""Eighteen months of real orders, played onto topics and read live by two processes that are killed ten times."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from replay.kcat import import_dumps
from replay.recording import Recording
from replay.writer import RecordingWriter
from tests.support.commands import end, eventually, forestall, start
from tests.support.kafka_cluster import ClusterBroker
from tests.support.live import LONG_AGO, Job
from tests.support.recordings import MADE_AT

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KILLS = 10
SPEED = 1_000_000
"""Eighteen months in some 50 seconds."""
SAME = ("events", "late", "duplicates", "dead_letters", "findings", "cases", "decisions", "actions", "digest")


def test_real_orders_are_judged_live_as_in_a_replay_whoever_is_killed(
    kafka_cluster: ClusterBroker, shared_data: Path, tmp_path: Path
) -> None:
    recording = imported(shared_data / "olist", tmp_path / "olist")
    job = Job(kafka_cluster, tmp_path / "job", list(recording.manifest.topics), restarts={"deaths_max": 100})
    chance, kills = random.Random(5), 0
    playing = start("play", recording.folder, "--into-broker", kafka_cluster.bootstrap, "--speed", SPEED)
    eventually(lambda: all(map(kafka_cluster.partitions, recording.manifest.topics)), "topics are made")
    try:
        while kills < KILLS:
            job.start("--processes", 2)
            eventually(lambda: len(job.workers()) == 2, "workers started")
            time.sleep(chance.uniform(2.0, 5.0))
            if kills % 2:  # the supervisor starts both again
                os.kill(chance.choice(job.workers()), signal.SIGKILL)
                time.sleep(chance.uniform(2.0, 5.0))
                kills += 1
            job.kill()
            kills += 1
        job.start("--processes", 2)
        assert end(playing).code == 0
        job.wait_for({f"{part.topic}/{part.partition}": part.records for part in recording.partitions})
        time.sleep(1)
        live = job.stop().document
    finally:
        if job.process is not None and job.process.poll() is None:
            job.kill()
    replay = forestall(
        "replay", recording.folder, "--config", job.config, "--store", f"sqlite:///{tmp_path}/replay.db", "--json"
    ).document
    assert {name: live[name] for name in SAME} == {name: replay[name] for name in SAME}
    assert live["findings"] > 1_000


def imported(dumps: Path, folder: Path) -> Recording:
    """Import kcat's dumps as a recording whose end promises no more than its last records do, as a live topic's."""
    with RecordingWriter(folder, created_at=MADE_AT) as writer:
        import_dumps(sorted(dumps.glob("*.gz")), writer)
        writer.finish(LONG_AGO)
    return Recording.open(folder)
