"""Plays a recording through the detection flow into a store, exactly once, however often it is interrupted.

`play` is the supervisor's side: it locks, prepares the store, looks the recovery folder over, and starts the
workers. A worker is this module run as a program: it opens the same recording and settings, and builds the flow.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from bytewax.dataflow import Dataflow

from config.clock import micros
from config.errors import RecordingError, RecoveryError, UsageError
from config.identity import derived_id
from config.settings import Settings, environment, load
from dataflows.alignment import AlignmentBoard
from dataflows.detection import Layout, build, receivers_of
from dataflows.domain import load_contract_set, load_logics
from dataflows.exporter import exporting
from dataflows.recovered import SOURCE, STATE, check_of, identity_of
from dataflows.sources import PartitionSource, SourceSettings
from dataflows.stages import StatePlace
from dataflows.supervisor import Outcome, run_workers, stop_signals
from dataflows.worker import run_worker
from detectors.methods import load_learners
from operators.channel import Channel
from operators.decode import Decoder
from operators.streams import build_streams, panes_of
from replay.manifest import NO_TIMESTAMP
from replay.recording import Recording
from replay.source import RecordedPartition, Speed
from sinks.engine import store_path
from sinks.lock import lock_recovery, lock_store
from sinks.outbox import part_names
from sinks.preflight import CHECK_DISK, Preflight, preflight
from sinks.store import Store

JOB = "job.json"
BOARD = "alignment"


class Job(msgspec.Struct, frozen=True):
    """What to play, and how: all that a worker has to know."""

    recording: str
    store_url: str
    recovery: str
    config: str | None = None
    """Settings file."""
    workers: int = 1
    """Threads per process."""
    processes: int = 1
    speed: float | None = None
    """Multiple of real time; None for as fast as possible."""
    drain: bool = False
    """At the end, let time run out: every timer fires."""
    metrics_port: int | None = None
    """Serve metrics at this port; None for where the settings say."""


@dataclass(frozen=True)
class Result:
    """How a replay ended."""

    outcome: Outcome
    resume_epoch: int
    purged: int


def default_recovery(store_url: str) -> Path:
    """Return the recovery folder that goes with a store: `<store file>.recovery`.

    Raises:
        UsageError: the store has no file beside which it could be.
    """
    path = store_path(store_url)
    if path is None:
        raise UsageError(
            f"the store {store_url.partition('://')[0]}://… has no file, so there is no place for a recovery folder",
            remedy="Name one with --recovery.",
        )
    return path.with_name(path.name + ".recovery")


def play(job: Job, on_poll: Callable[[int, int], None] = lambda done, total: None) -> Result:
    """Play a recording to its end, or until SIGTERM; resumes what an earlier run into the same store left.

    Args:
        job: What to play.
        on_poll: Called now and then with the records read so far and all there are.

    Raises:
        ForestallError: recording, settings, store or recovery folder are at fault; nothing was lost.
    """
    recovery, metrics = Path(job.recovery), _settings(job).metrics
    if job.metrics_port is not None:
        metrics = replace(metrics, port=job.metrics_port)
    with (
        stop_signals() as stop_requested,
        prepared(job) as ready,
        exporting(metrics, recovery, job.processes) as alive,
    ):

        def poll() -> None:
            alive()
            on_poll(ready.store.totals()["records"], ready.records)

        command = [sys.executable, "-P", "-m", "replay.play", str(recovery / JOB)]
        outcome = run_workers(command, job.processes, recovery, ready.descriptors, stop_requested, poll)
        poll()
        return Result(outcome, ready.preflight.resume_epoch, ready.preflight.purged)


@dataclass(frozen=True)
class Ready:
    """All is prepared for workers to start."""

    store: Store
    records: int
    """How many the recording holds."""
    descriptors: list[int]
    """Locks that the workers must inherit."""
    preflight: Preflight


@contextmanager
def prepared(job: Job) -> Iterator[Ready]:
    """Check everything, lock store and recovery folder, and prepare both for a run.

    Raises:
        ForestallError: recording, settings, store or recovery folder are at fault.
    """
    settings = _settings(job)
    recording = Recording.open(job.recording)
    channels = _channels(recording)
    load_logics(settings)  # contracts, manifests, policy: one clear message now, instead of one from each worker
    recovery = Path(job.recovery)
    with ExitStack() as stack:
        locks = [stack.enter_context(lock_recovery(recovery))]
        path = store_path(job.store_url)
        if path is not None:
            locks.append(stack.enter_context(lock_store(path)))
        store = stack.enter_context(Store.open(job.store_url, create=True))
        identity = identity_of(settings)
        check = check_of(recovery, store.standings())
        report = preflight(recovery, identity, store_has_run=store.has_run(), check=check)
        _check_channels(recording, channels, report)
        store.begin_run(part_names(settings.runtime.sink_parts), derived_id(*identity.values()))
        _hand_over(job, recovery, channels)
        total = sum(recording.manifest.topics.values())
        yield Ready(store, total, [lock.descriptor for lock in locks], report)


def _check_channels(recording: Recording, channels: list[str], report: Preflight) -> None:
    """Refuse a recording without a partition that was read before: Bytewax could not go on with its state.

    Raises:
        RecordingError: The recording lacks one.
    """
    missing = sorted({key for step, key in report.states if step == SOURCE} - set(channels))
    if missing:
        raise RecordingError(
            f"{recording.folder} holds no partition {missing[0]}, which the recovery folder goes on with: "
            "that was made from another recording",
            remedy="Name the recording it was made from or its continuation, or start with a new store.",
        )


def _hand_over(job: Job, recovery: Path, channels: list[str]) -> None:
    """Write down what workers read when they start."""
    try:
        AlignmentBoard.create(recovery / BOARD, channels)
        (recovery / JOB).write_bytes(msgspec.json.encode(job))
    except OSError as error:
        raise RecoveryError(
            f"Recovery folder {recovery}: {error.strerror}.",
            remedy=CHECK_DISK,
        ) from error


def flow_of(job: Job, stopping: Callable[[], bool]) -> Dataflow:
    """Return the flow that a worker of `job` runs."""
    settings = _settings(job)
    recording = Recording.open(job.recording, verify=False)
    channels = _channels(recording)
    recovery = Path(job.recovery)
    runtime, time = settings.runtime, settings.time
    logics = load_logics(settings)
    load_learners()
    contracts = load_contract_set(settings)
    decoder = Decoder(contracts)

    def open_channel(name: str, state: bytes | None) -> Channel:
        topic, _, partition = name.rpartition("/")
        return Channel(topic, int(partition), decoder, micros(time.lateness(topic)), micros(time.jump_max), state)

    source = PartitionSource(
        SourceSettings(
            batch_records=runtime.batch_records,
            alignment_max=micros(time.alignment_max),
            emit_interval=runtime.emit_interval,
            receivers=receivers_of(runtime.key_groups),
            sink_parts=runtime.sink_parts,
            panes=panes_of(build_streams(settings.telemetry, contracts)),
            drain=job.drain,
        ),
        channels,
        lambda name: RecordedPartition(recording, name),
        open_channel,
        lambda: AlignmentBoard(recovery / BOARD, channels),
        stopping,
        None if job.speed is None else Speed(job.speed, _first_stamp(recording)),
    )
    store = Store.open(job.store_url)
    return build(
        Layout(runtime.key_groups, runtime.sink_parts, runtime.emit_interval),
        logics,
        source,
        job.store_url,
        StatePlace(recovery / STATE, runtime.state_inline_bytes),
        lambda: stopping() or store.all_done(),
    )


def _settings(job: Job) -> Settings:
    return load(Path(job.config) if job.config else None, environment())


def _first_stamp(recording: Recording) -> int:
    """Return the timestamp of the first record, milliseconds; partitions without any have no say."""
    stamps = [part.min_timestamp for part in recording.partitions if part.min_timestamp != NO_TIMESTAMP]
    return min(stamps, default=recording.recorded_until // 1000)


def _channels(recording: Recording) -> list[str]:
    channels = [f"{p.topic}/{p.partition}" for p in recording.partitions]
    if not channels:
        raise RecordingError(f"{recording.folder} holds no partition", remedy="Import or simulate a recording first.")
    return channels


def main(arguments: list[str]) -> int:
    """Run one worker: JOB-FILE NUMBER ADDRESSES FAILURE-FILE."""
    job_file, number, addresses, failure = arguments
    job = msgspec.json.decode(Path(job_file).read_bytes(), type=Job)
    return run_worker(
        lambda stopping: flow_of(job, stopping),
        workers=job.workers,
        process=int(number),
        addresses=addresses,
        failure=Path(failure),
        recovery=Path(job.recovery),
        epoch_interval=_settings(job).runtime.epoch_interval,
    )


if __name__ == "__main__":
    # Past Bytewax's threads, which may still be on their way out.
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
