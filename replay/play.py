"""Plays a recording through the detection flow into a store, exactly once, however often it is interrupted.

`play` is the supervisor's side: it locks, prepares the store, looks the recovery folder over, and starts the
workers. A worker is this module run as a program: it opens the same recording and settings, and builds the flow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from bytewax.dataflow import Dataflow

from config.errors import RecordingError
from dataflows import job as jobs
from dataflows.domain import load_logics
from dataflows.exporter import exporting
from dataflows.job import JOB, Partitions, default_recovery, detection_flow, hand_over, metrics_of, places, settings_of
from dataflows.supervisor import Outcome, run_workers, stop_signals
from operators.channel import ChannelState
from replay.manifest import NO_TIMESTAMP
from replay.recording import Recording
from replay.source import RecordedPartition, RecordedSampling, SilentPartition, Speed
from sinks.preflight import Preflight
from sinks.store import Store

__all__ = ["JOB", "Job", "Ready", "Result", "default_recovery", "flow_of", "main", "play", "prepared"]


class Job(jobs.Job, frozen=True, kw_only=True):
    """What to play, and how: all that a worker has to know."""

    recording: str
    speed: float | None = None
    """Multiple of real time; None for as fast as possible."""
    drain: bool = False
    """At the end, let time run out: every timer fires."""
    silent: list[str] = msgspec.field(default_factory=list)
    """Control partitions that were read before and that the recording does not hold."""


@dataclass(frozen=True)
class Result:
    """How a replay ended."""

    outcome: Outcome
    resume_epoch: int
    purged: int


def play(job: Job, on_poll: Callable[[int, int], None] = lambda done, total: None) -> Result:
    """Play a recording to its end, or until SIGTERM; resumes what an earlier run into the same store left.

    Args:
        job: What to play.
        on_poll: Called now and then with the records read so far and all there are.

    Raises:
        ForestallError: recording, settings, store or recovery folder are at fault; nothing was lost.
    """
    recovery, settings = Path(job.recovery), settings_of(job)
    with (
        stop_signals() as stop_requested,
        prepared(job) as ready,
        exporting(metrics_of(job, settings), recovery, job.processes, settings.time.idle_timeout) as alive,
    ):

        def poll() -> None:
            alive()
            on_poll(ready.store.totals()["records"], ready.records)

        command = jobs.worker_command(job, "replay.play")
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
    settings = settings_of(job)
    recording = Recording.open(job.recording)
    channels, controls = _channels(recording), frozenset(settings.control.topics)
    load_logics(settings)  # contracts, manifests, policy: one clear message now, instead of one from each worker

    def check(recovered: Mapping[str, ChannelState]) -> Iterable[RecordingError]:
        """Refuse a recording without a partition that was read before: Bytewax would pass over its state."""
        lost = (name for name in recovered.keys() - set(channels) if name.rpartition("/")[0] not in controls)
        for missing in sorted(lost)[:1]:
            yield RecordingError(
                f"{recording.folder} holds no partition {missing}, which the recovery folder goes on with: "
                "that was made from another recording",
                remedy="Name the recording it was made from or its continuation, or start with a new store.",
            )

    with places(job, settings, check) as found:
        # Whoever said something to the job, if only by a recording of one answer, need not have said more.
        silent = sorted(found.channels.keys() - set(channels))
        hand_over(msgspec.structs.replace(job, silent=silent), [*channels, *silent])
        total = sum(recording.manifest.topics.values())
        yield Ready(found.store, total, found.descriptors, found.preflight)


def flow_of(job: Job, stopping: Callable[[], bool]) -> Dataflow:
    """Return the flow that a worker of `job` runs."""
    recording = Recording.open(job.recording, verify=False)
    partitions = Partitions(
        [*_channels(recording), *job.silent],
        lambda name: SilentPartition(recording) if name in job.silent else RecordedPartition(recording, name),
        None if job.speed is None else Speed(job.speed, _first_stamp(recording)),
        job.drain,
        schemas=recording.schemas(),
        sampling=lambda name: RecordedSampling(recording, name),
    )
    return detection_flow(job, settings_of(job), partitions, stopping, lambda store: stopping() or store.all_done())


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
    """Run one worker: see `dataflows.job.work`."""
    return jobs.work(arguments, Job, flow_of)


if __name__ == "__main__":
    jobs.leave(main(sys.argv[1:]))
