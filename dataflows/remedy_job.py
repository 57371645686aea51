"""The live remediation job: looks everything over, starts the workers, and starts them again when they die.

A worker is this module run as a program.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
from bytewax.dataflow import Dataflow

from config.errors import SettingsError
from config.instruments import FOLDER
from config.kafka import client_config
from config.settings import Settings, environment, load
from dataflows.exporter import exporting
from dataflows.flag_reader import flag_topics, reader_of
from dataflows.job import leave
from dataflows.kafka_reach import partitions_of, reach
from dataflows.kafka_watch import BrokerWatch
from dataflows.remediation import ActionSource, FlagSource, ShardSink, Ticks, build
from dataflows.remedy_clock import wall_clock
from dataflows.remedy_flags import LOOK_EVERY_S, LedgerFlags, StoreFlags
from dataflows.remedy_outcomes import Outcomes, check_outcomes
from dataflows.remedy_setup import CLOCK, WALL, client_of, load_setup, means_of, shards_of
from dataflows.remedy_sources import ActionReader, Intake, StoreReader, TopicReader, store_readers
from dataflows.restarts import Death, Restarts
from dataflows.supervisor import Outcome, run_workers, stop_signals
from dataflows.worker import run_worker
from operators.flags import Limit
from sinks.actions import history_since
from sinks.engine import store_path
from sinks.ledger import Ledger
from sinks.lock import FileLock
from sinks.remediation import make_hands
from sinks.store import Store

JOB = "remediation.json"


class RemediationJob(msgspec.Struct, frozen=True, kw_only=True):
    """What to carry out, and where it is written down."""

    ledger_url: str
    folder: str
    """Where workers keep what they need: their job, their logs."""
    store_url: str | None = None
    """The store whose actions are carried out; None for the topic that the settings name."""
    config: str | None = None
    workers: int = 1
    processes: int = 1
    metrics_port: int | None = None
    """Where metrics are served; None for the port of the settings."""
    channels: list[str] = []
    """Partitions of the topics of actions, and of those that were withheld."""
    flags: list[str] = []
    """Partitions of the control topics by which flags come."""
    since: int = 0
    """From which event time on things are observed, microseconds."""


_decode = msgspec.json.Decoder(RemediationJob).decode


def run_remediation(
    job: RemediationJob,
    on_start: Callable[[RemediationJob], None] = lambda job: None,
    on_death: Callable[[Death], None] = lambda death: None,
) -> Outcome:
    """Carry actions out until asked to stop; goes on with what an earlier run left.

    Args:
        job: What to carry out; partitions and history are looked up.
        on_start: Told what is read, just before the workers start.
        on_death: Told of each death of the workers that is followed by another life.

    Raises:
        ForestallError: settings, playbooks, targets, brokers, store or ledger are at fault.
    """
    settings, folder = _settings_of(job), Path(job.folder)
    metrics = settings.metrics if job.metrics_port is None else replace(settings.metrics, port=job.metrics_port)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        stop_signals() as stop_requested,
        _prepared(job, settings) as (ready, locks),
        exporting(metrics, folder, job.processes, settings.time.idle_timeout) as alive,
    ):
        on_start(ready)
        (folder / JOB).write_bytes(msgspec.json.encode(ready))
        command = [sys.executable, "-P", "-m", "dataflows.remedy_job", str(folder / JOB)]
        restarts = Restarts(lambda: None, settings.restarts, on_death)
        return run_workers(command, job.processes, folder, locks, stop_requested, alive, restarts)


@contextmanager
def _prepared(job: RemediationJob, settings: Settings) -> Iterator[tuple[RemediationJob, list[int]]]:
    """Check everything, and lock the ledger; yield the job with what it is to read, and the locks to inherit."""
    setup = load_setup(settings)
    make_hands(setup.targets, client_of(settings)).close()
    with ExitStack() as stack:
        locks = []
        path = store_path(job.ledger_url)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_name(path.name + ".remediation.lock"), f"The ledger {path}")
            locks.append(stack.enter_context(lock).descriptor)
        ledger = stack.enter_context(Ledger.open(job.ledger_url, create=True))
        ledger.fixed(CLOCK, WALL)
        check_outcomes(settings, shards_of(ledger, settings))
        since = wall_clock()
        job = msgspec.structs.replace(job, flags=_partitions(settings, flag_topics(settings)))
        if job.store_url is not None:
            with Store.open(job.store_url) as store:
                found = history_since(store)
            since = since if found is None else found
            job = msgspec.structs.replace(job, channels=[])
        else:
            topics = settings.topics
            topic = topics.actions
            if topic is None:
                raise SettingsError(
                    "topics.actions names no topic: there are no actions to read.",
                    remedy="Name the topic that the detection job writes them to, or a store with --store.",
                )
            told = sorted({topic, topics.withheld or topic})
            job = msgspec.structs.replace(job, channels=_partitions(settings, told))
        yield msgspec.structs.replace(job, since=ledger.observed_since(since)), locks


def _partitions(settings: Settings, topics: Sequence[str]) -> list[str]:
    """Return the partitions of topics."""
    counts = partitions_of(reach(settings.kafka), topics) if topics else {}
    return [f"{topic}/{number}" for topic in topics for number in range(counts[topic])]


def flow_of(job: RemediationJob, stopping: Callable[[], bool]) -> Dataflow:
    """Return the flow that a worker of `job` runs."""
    settings = _settings_of(job)
    setup, ledger = load_setup(settings), Ledger.open(job.ledger_url)
    shards = shards_of(ledger, settings)
    hands = make_hands(setup.targets, client_of(settings))
    readers: dict[str, Callable[[], ActionReader]] = {}
    known = LedgerFlags(ledger, settings.remediation.flags_stale_after)
    limits, held = known.limits, known.held
    if not job.flags:
        limits, held = _no_limits, _never
    if job.store_url is not None:
        store = Store.open(job.store_url)
        if not job.flags:
            limits = StoreFlags(store, LOOK_EVERY_S).limits
        for reader in store_readers(store):
            readers[reader.source] = _same(reader)
    else:
        watch = BrokerWatch(client_config(settings.kafka))
        for channel in job.channels:
            readers[channel] = _topic_reader(settings, channel, watch, stopping)

    def open_intake(name: str) -> Intake:
        return Intake(ledger, readers[name](), shards)

    means = means_of(setup, settings, ledger, hands, job.since, limits, held=held)
    return build(
        ActionSource(list(readers), open_intake, stopping),
        Ticks(shards, stopping),
        FlagSource(lambda: reader_of(settings, job.flags, ledger, stopping), stopping),
        ShardSink(shards, means, Outcomes.of(settings, shards)),
    )


def _no_limits(now: int) -> Mapping[str, Limit]:
    return {}


def _never(now: int) -> bool:
    return False


def _same(reader: StoreReader) -> Callable[[], ActionReader]:
    return lambda: reader


def _topic_reader(
    settings: Settings, channel: str, watch: BrokerWatch, stopping: Callable[[], bool]
) -> Callable[[], ActionReader]:
    return lambda: TopicReader(settings.kafka, channel, watch, stopping)


def _settings_of(job: RemediationJob) -> Settings:
    return load(Path(job.config) if job.config else None, environment())


def main(arguments: list[str]) -> int:
    """Run one worker: JOB-FILE NUMBER ADDRESSES FAILURE-FILE; return its exit code."""
    job_file, number, addresses, failure = arguments
    job = _decode(Path(job_file).read_bytes())
    return run_worker(
        lambda stopping: flow_of(job, stopping),
        workers=job.workers,
        process=int(number),
        addresses=addresses,
        failure=Path(failure),
        recovery=None,
        epoch_interval=timedelta(seconds=1),
        metrics=Path(job.folder) / FOLDER,
    )


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
