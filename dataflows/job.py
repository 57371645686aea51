"""What all jobs of the detection flow share, whether they read a recording or live topics.

The supervisor's side locks, prepares the store, looks the recovery folder over and starts the workers. A worker opens
the same settings and builds the same flow, from what the supervisor wrote down for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import msgspec
from bytewax.dataflow import Dataflow

from config.clock import micros
from config.errors import ForestallError, RecoveryError, UsageError
from config.identity import derived_id
from config.settings import Metrics, Settings, environment, load
from dataflows.alignment import AlignmentBoard
from dataflows.detection import KindsOutlet, Layout, build, control_receivers_of, receivers_of
from dataflows.domain import load_contract_set, load_logics
from dataflows.overload import Sampling
from dataflows.recovered import STATE, check_of, identity_of, interpret
from dataflows.sources import Pace, PartitionSource, Reader, SourceSettings
from dataflows.stages import StatePlace
from dataflows.worker import run_worker
from detectors.methods import load_learners
from operators.channel import Channel, ChannelState
from operators.control import ControlChannel
from operators.decode import Decoder
from operators.streams import build_streams, panes_of
from operators.wire import Schemas
from sinks.engine import store_path
from sinks.lock import lock_recovery, lock_store
from sinks.outbox import part_names
from sinks.outlets import topic_part
from sinks.preflight import CHECK_DISK, Preflight, preflight
from sinks.pressure import Pressure
from sinks.recovery_files import CUT, Snapshot
from sinks.server_lock import lock_server
from sinks.store import Store

JOB = "job.json"
BOARD = "alignment"
PRESSURE = "pressure"

CheckChannels = Callable[[Mapping[str, ChannelState]], Iterable[ForestallError]]
"""Looks at the partitions that would be recovered; returns what is wrong with them."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job is, and how it is run: what a worker has to know beside its settings."""

    store_url: str
    recovery: str
    config: str | None = None
    """Settings file."""
    workers: int = 1
    """Threads per process."""
    processes: int = 1
    metrics_port: int | None = None
    """Serve metrics at this port; None for where the settings say."""


J = TypeVar("J", bound=Job)


@dataclass(frozen=True)
class Places:
    """Store and recovery folder of a job, locked and prepared."""

    store: Store
    descriptors: list[int]
    """Locks that the workers must inherit."""
    preflight: Preflight
    look_over: Callable[[], Preflight]
    """Looks the recovery folder over again, when no worker is left, before they are started again."""
    channels: Mapping[str, ChannelState]
    """The partitions that are recovered."""


@dataclass(frozen=True)
class Partitions:
    """What a job reads."""

    channels: list[str]
    """`topic/partition`, the same in all processes."""
    open_reader: Callable[[str], Reader]
    pace: Pace | None = None
    drain: bool = False
    floors: Mapping[str, int] = field(default_factory=dict)
    """Watermarks that partitions begin with when they are new to a job that has run, microseconds, by channel."""
    schemas: Schemas = field(default_factory=Schemas)
    """What framed records are decoded with; whoever reads the partitions fills it."""
    sampling: Callable[[str], Sampling] | None = None
    """Says at which rate a partition is sampled; None for not at all."""
    follow: bool = False
    """See `SourceSettings`."""


def settings_of(job: Job) -> Settings:
    """Return the settings of a job."""
    return load(Path(job.config) if job.config else None, environment())


def metrics_of(job: Job, settings: Settings) -> Metrics:
    """Return where the job serves its metrics."""
    return settings.metrics if job.metrics_port is None else replace(settings.metrics, port=job.metrics_port)


def default_recovery(store_url: str) -> Path:
    """Return the recovery folder that goes with a store: `<store file>.recovery`.

    Raises:
        UsageError: the store has no file beside which it could be.
    """
    path = store_path(store_url)
    if path is None:
        raise UsageError(
            f"The store {store_url.partition('://')[0]}://… has no file, so there is no place for a recovery folder",
            remedy="Name one with --recovery.",
        )
    return path.with_name(path.name + ".recovery")


@contextmanager
def places(job: Job, settings: Settings, check_channels: CheckChannels, beside: Sequence[str] = ()) -> Iterator[Places]:
    """Lock store and recovery folder, look both over, and prepare them for a run.

    Args:
        job: Where they are.
        settings: Of the job.
        check_channels: Looks at what would be recovered of the source partitions.
        beside: What the store calls the sink parts that release elsewhere: see `Store.begin_run`.

    Raises:
        ForestallError: store or recovery folder are at fault, or what would be recovered is.
    """
    recovery, identity = Path(job.recovery), identity_of(settings)
    told = identity | {CUT: settings.layout()}
    found: dict[str, ChannelState] = {}
    with ExitStack() as stack:
        locks = [stack.enter_context(lock_recovery(recovery))]
        path = store_path(job.store_url)
        if path is not None:
            locks.append(stack.enter_context(lock_store(path)))
        store = stack.enter_context(Store.open(job.store_url, create=True))
        stack.enter_context(lock_server(store))

        def check(snapshots: Iterable[Snapshot]) -> Iterator[ForestallError]:
            snapshots = list(snapshots)
            found.clear()
            found.update(interpret(snapshots).channels)
            yield from check_of(recovery, store.standings())(snapshots)
            yield from check_channels(found)

        def look_over() -> Preflight:
            return preflight(recovery, told, store_has_run=store.has_run(), check=check)

        report = look_over()
        store.begin_run(part_names(settings.runtime.sink_parts), derived_id(*identity.values()), beside)
        yield Places(store, [lock.descriptor for lock in locks], report, look_over, found)


def hand_over(job: Job, channels: list[str]) -> None:
    """Write down what workers read when they start.

    Raises:
        RecoveryError: the recovery folder cannot be written.
    """
    recovery = Path(job.recovery)
    try:
        AlignmentBoard.create(recovery / BOARD, channels)
        Pressure.create(recovery / PRESSURE, _outboxes(settings_of(job)))
        (recovery / JOB).write_bytes(msgspec.json.encode(job))
    except OSError as error:
        raise RecoveryError(
            f"Recovery folder {recovery}: {error.strerror}.",
            remedy=CHECK_DISK,
        ) from error


def _outboxes(settings: Settings) -> list[str]:
    parts = part_names(settings.runtime.sink_parts)
    return [*parts, *map(topic_part, parts)]


def worker_command(job: Job, module: str) -> list[str]:
    """Return the command of a worker: `module` run as a program that calls `work`."""
    return [sys.executable, "-P", "-m", module, str(Path(job.recovery) / JOB)]


def detection_flow(
    job: Job,
    settings: Settings,
    partitions: Partitions,
    stopping: Callable[[], bool],
    finished: Callable[[Store], bool],
    topics: KindsOutlet | None = None,
) -> Dataflow:
    """Return the detection flow that a worker of `job` runs.

    Args:
        job: Where it is.
        settings: Of the job.
        partitions: What it reads.
        stopping: Whether the job was asked to stop.
        finished: Whether the run is over, given the job's store: see `Gate`.
        topics: What outputs go to beside the store.
    """
    recovery, runtime, time = Path(job.recovery), settings.runtime, settings.time
    logics = load_logics(settings)
    load_learners()
    contracts = load_contract_set(settings)
    pressure = Pressure(recovery / PRESSURE, _outboxes(settings), settings.overload.held_bytes_max)
    control_topics = frozenset(settings.control.topics)
    decoder = Decoder(contracts, schemas=partitions.schemas, control_topics=control_topics)

    def open_channel(name: str, state: bytes | None) -> Channel:
        topic, _, partition = name.rpartition("/")
        if topic in control_topics:
            return ControlChannel(topic, int(partition), decoder, state)
        return Channel(topic, int(partition), decoder, micros(time.lateness(topic)), micros(time.jump_max), state)

    source = PartitionSource(
        SourceSettings(
            batch_records=runtime.batch_records,
            alignment_max=micros(time.alignment_max),
            emit_interval=runtime.emit_interval,
            epoch_interval=runtime.epoch_interval if job.workers * job.processes > 1 else None,
            receivers=receivers_of(runtime.key_groups),
            sink_parts=runtime.sink_parts,
            panes=panes_of(build_streams(settings.telemetry, contracts)),
            drain=partitions.drain,
            floors=partitions.floors,
            control_receivers=control_receivers_of(runtime.key_groups),
            follow=partitions.follow,
        ),
        partitions.channels,
        partitions.open_reader,
        open_channel,
        lambda: AlignmentBoard(recovery / BOARD, partitions.channels),
        stopping,
        partitions.pace,
        partitions.sampling,
        pressure.is_high,
        frozenset(name for name in partitions.channels if name.rpartition("/")[0] in control_topics),
    )
    store = Store.open(job.store_url)
    return build(
        Layout(runtime.key_groups, runtime.sink_parts, runtime.emit_interval),
        logics,
        source,
        job.store_url,
        StatePlace(recovery / STATE, runtime.state_inline_bytes),
        lambda: finished(store),
        topics,
        pressure.tell,
    )


def work(arguments: list[str], kind: type[J], flow_of: Callable[[J, Callable[[], bool]], Dataflow]) -> int:
    """Run one worker: JOB-FILE NUMBER ADDRESSES FAILURE-FILE; return its exit code."""
    job_file, number, addresses, failure = arguments
    job = msgspec.json.decode(Path(job_file).read_bytes(), type=kind)
    return run_worker(
        lambda stopping: flow_of(job, stopping),
        workers=job.workers,
        process=int(number),
        addresses=addresses,
        failure=Path(failure),
        recovery=Path(job.recovery),
        epoch_interval=settings_of(job).runtime.epoch_interval,
    )


def leave(code: int) -> None:
    """End the process past Bytewax's threads, which may still be on their way out."""
    sys.stdout.flush()
    os._exit(code)
