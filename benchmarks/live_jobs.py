"""Whole live jobs, measured on a broker of their own: from the first record to the last output that is durable."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import orjson

from benchmarks.live_probe import REPORT
from benchmarks.recordings import FOLDER
from benchmarks.usage import Seconds
from dataflows import job as jobs
from dataflows.live import LiveJob, live
from tests.support.kafka import Broker, broker


@contextmanager
def measured_broker() -> Iterator[Broker]:
    """Run a broker beside the measurements; its data go when they are done."""
    with TemporaryDirectory(dir=FOLDER) as scratch:
        running = broker(Path(scratch))
        try:
            yield running
        finally:
            running.stop()


def whole_job(bootstrap: str, topics: list[str], records: int, *, plain: bool) -> Seconds:
    """Run the live job over all `records` that are on `topics`; return how long it took."""
    with TemporaryDirectory(dir=FOLDER) as scratch:
        config = Path(scratch) / "job.toml"
        names = ", ".join(f'"{topic}"' for topic in topics)
        config.write_text(
            f'[kafka]\nbootstrap_servers = "{bootstrap}"\ntopics = [{names}]\nstart = "earliest"\n', encoding="utf-8"
        )
        job = LiveJob(store_url=f"sqlite:///{scratch}/store.db", recovery=f"{scratch}/recovery", config=str(config))
        environment = {"BENCH_RECORDS": str(records)} | ({"BENCH_PLAIN": "1"} if plain else {})

        def command(job: jobs.Job, module: str) -> list[str]:
            return [sys.executable, "-P", "-m", "benchmarks.live_probe", str(Path(job.recovery) / jobs.JOB)]

        with patch.dict(os.environ, environment), patch.object(jobs, "worker_command", command):
            live(job)
        report = orjson.loads((Path(job.recovery) / REPORT).read_bytes())
        return Seconds(report["wall"], report["cpu"])
