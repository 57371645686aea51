"""`forestall record`: make a recording of live topics."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from config.clock import micros
from config.errors import CheckFailed, UsageError
from dataflows.cli.console import err, json_option, out, print_json, progress, table
from dataflows.cli.instant import Instant
from dataflows.cli.kafka_options import bootstrap_option, config_option, settings_with, topics_option
from dataflows.supervisor import stop_signals
from replay.manifest import Idle, Sampled
from replay.record import Recorder
from replay.record_plan import Recorded, Wanted
from sinks.queries import bodies
from sinks.store import Store


@click.command()
@topics_option
@click.option("--from", "from_", type=Instant(), metavar="TIME", help="First instant. [the first record there is]")
@click.option(
    "--until",
    type=Instant(),
    metavar="TIME",
    help="Last instant, exclusive, which may be to come. [all there is when recording begins]",
)
@click.option("--into", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder of the recording.")
@bootstrap_option
@config_option
@click.option(
    "--idle-times",
    metavar="URL",
    help="Store of a live job: when it found partitions idle, and sampled them, becomes part of the recording.",
)
@json_option
def record(
    topics: tuple[str, ...],
    from_: int | None,
    until: int | None,
    into: Path,
    bootstrap_servers: str | None,
    config: Path | None,
    idle_times: str | None,
    as_json: bool,
) -> None:
    """Make a recording of live topics: bytes, headers, offsets and timestamps as they are.

    Stopped by SIGTERM, Ctrl-C or worse, the same command goes on where it was. Schemas that records name are recorded
    too. Offsets without a record are counted, and told apart: compaction, aborted transactions, marks of
    transactions. Exits with 1 if more are missing than these explain; the recording is there then, too.

    \b
    Example:
      forestall record --topics orders,crm --bootstrap-servers kafka:9092 --until 2026-05-01 --into var/april
    """
    settings = settings_with(config, bootstrap_servers, topics)
    if from_ is not None and until is not None and from_ >= until:
        raise UsageError("--from is not before --until.", remedy="Swap them.")
    idle, sampled = _decisions(idle_times)
    wanted = Wanted(topics=settings.kafka.topics, from_=from_, until=until, idle=idle, sampled=sampled)
    with progress() as bar, stop_signals() as stopping:
        task = bar.add_task("records", total=None)
        read = 0

        def advance(more: int, left: int | None) -> None:
            nonlocal read
            read += more
            bar.update(task, completed=read, total=None if left is None else read + left)

        recorder = Recorder(
            settings.kafka,
            settings.registry,
            lambda topic: micros(settings.time.lateness(topic)),
            lambda: time.time_ns() // 1000,
            lambda: stopping() > 0,
            advance,
        )
        recorded = recorder.record(wanted, into)
    if recorded is None:
        err.print(f"stopped; run the same command again to go on with {into}", markup=False)
        return
    _show(into, recorded, as_json)


def _decisions(url: str | None) -> tuple[tuple[Idle, ...], tuple[Sampled, ...]]:
    if url is None:
        return (), ()
    with Store.open(url) as store:
        idle = tuple(
            Idle(data["topic"], data["partition"], data["next_offset"], data["watermark"])
            for data in bodies(store, "idle")
        )
        sampled = tuple(
            Sampled(data["topic"], data["partition"], data["next_offset"], data["one_in"])
            for data in bodies(store, "sampling")
        )
    return idle, sampled


def _show(into: Path, recorded: Recorded, as_json: bool) -> None:
    manifest = recorded.manifest
    unexplained = {name: item.unexplained for name, item in recorded.missing.items() if item.unexplained}
    if as_json:
        print_json(
            {
                "into": str(into),
                "id": manifest.id,
                "topics": manifest.topics,
                "recorded_until": manifest.recorded_until_text,
                "schemas": [schema.id for schema in manifest.schemas or ()],
                "idle": len(manifest.idle),
                "sampled": len(manifest.sampled or ()),
                "missing": {name: asdict(item) for name, item in recorded.missing.items()},
                "trimmed": recorded.trimmed,
                "resumed": recorded.resumed,
            }
        )
    else:
        out.print(table(f"{into}: recording {manifest.id}", ("topic", "records"), manifest.topics.items()))
        out.print(f"recorded until {manifest.recorded_until_text}")
        for name, item in recorded.missing.items():
            out.print(f"{name}: {_explained(item.offsets, item.aborted, item.compacted)}", markup=False)
        for name, low in recorded.trimmed.items():
            out.print(f"{name}: begins at offset {low}; what was before is deleted, and may have been wanted")
    if unexplained:
        raise CheckFailed(
            f"{into}: more offsets are without a record than transactions explain: "
            + ", ".join(f"{name} {count:,}" for name, count in unexplained.items()),
            remedy="Look after the brokers' disks and logs: records may be lost. The recording holds what is left.",
        )


def _explained(offsets: int, aborted: int, compacted: bool) -> str:
    if compacted:
        return f"{offsets:,} offsets without a record, as the topic is compacted"
    marks = f"{offsets - aborted:,} marks of transactions"
    return f"{offsets:,} offsets without a record: {aborted:,} of aborted transactions, {marks}"
