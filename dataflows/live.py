"""The live job: the detection flow over topics, for as long as nobody stops it.

`live` is the supervisor's side: it looks at brokers, topics, settings, store and recovery folder, and says all that is
wrong at once; then it starts the workers, and starts them again when they die. A worker is this module run as a
program.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from bytewax.dataflow import Dataflow

from config.clock import TIME_MIN
from config.errors import ForestallError, SettingsError, TopicError, together
from config.kafka import client_config
from config.kafka_start import Start
from config.settings import Settings
from dataflows import job as jobs
from dataflows.domain import load_logics
from dataflows.exporter import exporting
from dataflows.job import Partitions, Places, detection_flow, hand_over, metrics_of, places, settings_of
from dataflows.kafka_reach import partitions_of, reach
from dataflows.kafka_source import KafkaPartition
from dataflows.kafka_watch import BrokerWatch
from dataflows.overload import ByLag
from dataflows.restarts import Death, Restarts
from dataflows.schemas import SchemaReader, check_registry, fetcher_of
from dataflows.supervisor import Outcome, run_workers, stop_signals
from dataflows.topic_outputs import check_topics, parts_on_topics, topic_outlet
from operators.channel import ChannelState
from operators.wire import Schemas
from sinks.store import Store

T = TypeVar("T")

LINGER_EPOCHS = 2
"""After a stop: one epoch that ends with what was read last, and one in which that is known to be durable."""
LINGER_S = 0.5
LINGER_MAX_S = 30.0
"""What is still held back then is released at the next start."""


class LiveJob(jobs.Job, frozen=True, kw_only=True):
    """What to read, and how: all that a worker has to know."""

    channels: list[str] = msgspec.field(default_factory=list)
    """All partitions of all topics, as they are at the start."""
    from_start: list[str] = msgspec.field(default_factory=list)
    """Partitions that are new to topics read before: they begin with their first record."""
    floors: dict[str, int] = msgspec.field(default_factory=dict)
    """See `Partitions`."""


@dataclass(frozen=True)
class Ready:
    """All is prepared for workers to start."""

    job: LiveJob
    places: Places


def live(
    job: LiveJob,
    on_start: Callable[[LiveJob], None] = lambda job: None,
    on_death: Callable[[Death], None] = lambda death: None,
) -> Outcome:
    """Run the job until it is asked to stop; resumes what an earlier run into the same store left.

    Args:
        job: What to run; what is to be read is looked up.
        on_start: Told what is read, just before the workers start.
        on_death: Told of each death of the workers that is followed by another life.

    Raises:
        ForestallError: brokers, topics, settings, store or recovery folder are at fault; nothing was lost.
    """
    settings, recovery = settings_of(job), Path(job.recovery)
    with (
        stop_signals() as stop_requested,
        prepared(job, settings) as ready,
        exporting(metrics_of(job, settings), recovery, job.processes, settings.time.idle_timeout) as alive,
    ):
        on_start(ready.job)
        command = jobs.worker_command(job, "dataflows.live")
        restarts = Restarts(lambda: _look_over(ready), settings.restarts, on_death)
        return run_workers(command, job.processes, recovery, ready.places.descriptors, stop_requested, alive, restarts)


@contextmanager
def prepared(job: LiveJob, settings: Settings) -> Iterator[Ready]:
    """Check everything, lock store and recovery folder, and prepare both for a run.

    Raises:
        ForestallError: something is at fault; names all that is.
    """
    channels = _checked(settings)

    def check(recovered: Mapping[str, ChannelState]) -> Iterator[ForestallError]:
        return faults_of_channels(recovered, channels, settings.kafka.topics)

    with places(job, settings, check, parts_on_topics(settings)) as found:
        job = with_channels(job, channels, found.channels, settings.control.topics)
        hand_over(job, job.channels)
        yield Ready(job, found)


def _checked(settings: Settings) -> list[str]:
    """Return the partitions to read.

    Raises:
        ForestallError: settings, contracts, policy, brokers or topics are at fault; names all that is.
    """
    kafka, faults = settings.kafka, list[ForestallError]()

    def attempt(check: Callable[[], T]) -> T | None:
        try:
            return check()
        except ForestallError as error:
            faults.append(error)
            return None

    attempt(lambda: load_logics(settings))
    attempt(lambda: Start.parse(kafka.start))
    if not kafka.topics:
        faults.append(SettingsError("kafka.topics names no topic.", remedy="Name the topics to read."))
    metadata = attempt(lambda: reach(kafka))
    if settings.registry.url is not None:
        attempt(lambda: check_registry(settings.registry))
    attempt(settings.topics.by_kind if metadata is None else lambda: check_topics(settings))
    counts = None if metadata is None else attempt(lambda: partitions_of(metadata, kafka.topics))
    if faults or counts is None:
        raise together(faults)
    return [f"{topic}/{number}" for topic, count in sorted(counts.items()) for number in range(count)]


def faults_of_channels(
    recovered: Iterable[str], channels: Iterable[str], topics: Iterable[str]
) -> Iterator[ForestallError]:
    """Yield what keeps a job with state of partitions `recovered` from reading `channels`, all there are of `topics`.

    Bytewax would pass over the state of a partition that is not read any more, and nobody would know.
    """
    lost = sorted(set(recovered) - set(channels))
    read = set(topics)
    for topic in sorted({name.rpartition("/")[0] for name in lost}):
        numbers = [name.rpartition("/")[2] for name in lost if name.rpartition("/")[0] == topic]
        if topic not in read:
            yield TopicError(
                f"topic {topic} was read before and is not among kafka.topics.",
                remedy=f"Name it there again, or run `forestall topics retire {topic}` to go on without it.",
            )
        else:
            yield TopicError(
                f"topic {topic} has no partition {', '.join(numbers)}, which was read before: it was made anew.",
                remedy="Give the new topic another name, or start with a new store and a new recovery folder.",
            )


def with_channels(
    job: LiveJob, channels: list[str], recovered: Mapping[str, ChannelState], control_topics: Container[str] = ()
) -> LiveJob:
    """Return the job with what it is to read; a partition that is new begins where those known have come to."""
    topics = {name.rpartition("/")[0] for name in recovered}
    new = [name for name in channels if name not in recovered]
    # No stage has come further than the slowest of the data partitions that told it how far they are; control
    # partitions follow those.
    data = (state.promised for name, state in recovered.items() if name.rpartition("/")[0] not in control_topics)
    floor = min(data, default=TIME_MIN)
    floors = {} if floor == TIME_MIN else dict.fromkeys(new, floor)
    from_start = [name for name in new if name.rpartition("/")[0] in topics]
    return msgspec.structs.replace(job, channels=channels, from_start=from_start, floors=floors)


def _look_over(ready: Ready) -> None:
    """Make the recovery folder safe to resume from, after the workers died."""
    ready.places.look_over()
    hand_over(ready.job, ready.job.channels)


class Linger:
    """Tells when a job that was asked to stop has let out what it can: see `sinks.gate.Gate`.

    Args:
        stopping: Whether it was asked to stop.
        seconds: How long that takes from then on.
    """

    def __init__(self, stopping: Callable[[], bool], seconds: float) -> None:
        self._stopping, self._seconds = stopping, seconds
        self._stopped_at: float | None = None

    def __call__(self) -> bool:
        """Return whether it is over."""
        if not self._stopping():
            return False
        now = time.monotonic()
        self._stopped_at = now if self._stopped_at is None else self._stopped_at
        return now - self._stopped_at >= self._seconds


def flow_of(job: LiveJob, stopping: Callable[[], bool]) -> Dataflow:
    """Return the flow that a worker of `job` runs."""
    settings = settings_of(job)
    kafka, watch = settings.kafka, BrokerWatch(client_config(settings.kafka))
    start, from_start = Start.parse(kafka.start), set(job.from_start)
    schemas = Schemas()
    fetcher = fetcher_of(settings.registry, schemas, Path(job.recovery))

    def open_reader(name: str) -> SchemaReader:
        begin = Start("earliest") if name in from_start else start
        return SchemaReader(KafkaPartition(kafka, name, begin, settings.time.idle_timeout, watch, stopping), fetcher)

    epochs = LINGER_EPOCHS * settings.runtime.epoch_interval.total_seconds()
    over, overdue = Linger(stopping, min(epochs + LINGER_S, LINGER_MAX_S)), Linger(stopping, LINGER_MAX_S)
    topics = topic_outlet(settings, job.store_url)

    def finished(store: Store) -> bool:
        return over() and (topics is None or not topics.busy or overdue())

    partitions = Partitions(
        job.channels,
        open_reader,
        floors=job.floors,
        schemas=schemas,
        sampling=lambda name: ByLag(settings.overload),
        follow=True,
    )
    return detection_flow(job, settings, partitions, stopping, finished, topics)


def main(arguments: list[str]) -> int:
    """Run one worker: see `dataflows.job.work`."""
    return jobs.work(arguments, LiveJob, flow_of)


if __name__ == "__main__":
    jobs.leave(main(sys.argv[1:]))
