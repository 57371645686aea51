"""Plays a recording onto a real broker and kills the installed `forestall run detection` while it reads it.

    python -m tests.chaos.kafka_command RECORDING --kills 10 --processes 2

What is left must be what `forestall replay` makes of the same records. With `--clock`, the wall clock of the job is
set an hour ahead or back before each kill (libfaketime); with `--topics`, outputs go to topics as well.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from replay.manifest import MANIFEST, content_id, encode
from replay.recording import Recording
from tests.chaos.kafka_settings import OUTPUTS
from tests.support.commands import end, start
from tests.support.kafka import broker
from tests.support.live import Job
from tests.support.verdict import Content, broken_at_end, broken_midway, content_of

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
PATIENCE_S = 600.0
LOOK_S = 0.05


def main(arguments: list[str]) -> int:
    """Run it; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.clock and not FAKETIME.exists():
        print("Clock steps need libfaketime: install it (Debian: apt-get install faketime).", file=sys.stderr)
        return 3
    folder = Path(tempfile.mkdtemp(prefix="forestall-chaos-", dir=options.dir))
    found = _run(options, folder)
    print(json.dumps(found))
    if not found["violations"]:
        shutil.rmtree(folder)
    return int(bool(found["violations"]))


def _run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    draw = random.Random(options.seed)
    recording = _without_end(options.recording, folder / "recording")
    began = time.monotonic()
    reference = _replayed(recording, folder)
    replay_s = time.monotonic() - began
    (folder / "broker").mkdir()
    kafka = broker(folder / "broker")
    topics = list(recording.manifest.topics)
    played = end(start("play", recording.folder, "--into-broker", kafka.bootstrap))
    assert played.code == 0, played.err
    tables: dict[str, dict[str, Any]] = {
        "runtime": {"epoch_interval": "100ms", "batch_records": options.batch},
        "time": {"idle_timeout": "3650d"},
    }
    if options.topics:
        tables["topics"] = {key: f"out.{key}" for key in OUTPUTS}
        for name in tables["topics"].values():
            kafka.create(name, 2)
    job = Job(kafka, folder / "job", topics, **tables)
    clock = _fake_clock(folder) if options.clock else None
    records = sum(recording.manifest.topics.values())
    kills, wrong, steps = 0, list[str](), list[float]()
    seen: frozenset[Any] = frozenset()
    started = time.monotonic()
    job.start("--processes", options.processes)
    while kills < options.kills and not wrong:
        # One after the other at equal shares of the input, as near as a look tells.
        share = (kills + draw.random()) / options.kills
        _wait(lambda due=share * records * 0.95: _read(job) >= due, job)
        if clock is not None:
            steps.append(draw.choice((-3600.0, 3600.0, -86400.0, 60.0)))
            clock.write_text(f"{sum(steps):+.0f}")
            time.sleep(1.2)
        workers = job.workers()
        if workers and draw.random() < 0.4:
            os.kill(draw.choice(workers), 9)  # the supervisor starts all again
        else:
            job.kill()
            wrong, seen = broken_midway(job.store_url, seen, reference)
            job.start("--processes", options.processes)
        kills += 1
    _wait(lambda: _read(job) >= records and _counts(job) == reference.counts, job)
    settled_s = time.monotonic() - started
    ended = job.stop()
    if ended.code != 0:
        wrong.append(f"stopped with {ended.code}: {ended.err}")
    found = content_of(job.store_url)
    wrong += [each for each in broken_at_end(job.store_url, reference) if each != "a sink part is not done"]
    kafka.stop()
    return {
        "records": records,
        "processes": options.processes,
        "kills": kills,
        "clock_steps": steps,
        "replay_s": round(replay_s, 1),
        "live_s": round(settled_s, 1),
        "digest_of_replay": reference.digest,
        "digest_of_job": found.digest,
        "outputs": found.counts,
        "violations": wrong,
    }


def _without_end(source: Path, folder: Path) -> Recording:
    """Copy a recording; the copy does not say that time goes on after its last record, for topics do not either."""
    shutil.copytree(source, folder)
    manifest = Recording.load(folder).manifest
    altered = msgspec.structs.replace(manifest, recorded_until=0, recorded_until_text="1970-01-01T00:00:00Z")
    altered = msgspec.structs.replace(altered, id=content_id(altered))
    (folder / MANIFEST).write_bytes(encode(altered))
    return Recording.open(folder)


def _replayed(recording: Recording, folder: Path) -> Content:
    url = f"sqlite:///{folder / 'replay.db'}"
    ran = end(start("replay", recording.folder, "--store", url, "--config", _same_lateness(folder)))
    assert ran.code == 0, ran.err
    return content_of(url)


def _same_lateness(folder: Path) -> Path:
    """Return the settings of a replay: what decides results must be as in the job's."""
    config = folder / "replay.toml"
    config.write_text('[time]\nlateness_max = "1h"\nalignment_max = "1000d"\n')
    return config


def _fake_clock(folder: Path) -> Path:
    """Let what is started from now on live by a clock of its own; return the file that sets it."""
    clock = folder / "clock"
    clock.write_text("+0")
    os.environ |= {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    return clock


def _read(job: Job) -> int:
    return sum(job.offsets().values())


def _counts(job: Job) -> dict[str, int]:
    return dict(job._rows("SELECT kind, count(*) FROM outputs GROUP BY kind"))


def _wait(met: Any, job: Job) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        assert job.process is not None
        if job.process.poll() is not None:
            raise RuntimeError(f"the job ended: {job.process.communicate()}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain; read: {job.offsets()}, out: {_counts(job)}")
        time.sleep(LOOK_S)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.kafka_command", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("recording", type=Path)
    add("--kills", type=int, default=10)
    add("--processes", type=int, default=2)
    add("--batch", type=int, default=200, help="records of a batch: the fewer, the longer it takes")
    add("--clock", action="store_true", help="set the job's clock before each kill")
    add("--topics", action="store_true", help="send outputs to topics as well")
    add("--seed", default="1")
    add("--dir", help="where all goes; by default the system's place for temporary files")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
