"""`forestall play`: put a recording back onto topics."""

from __future__ import annotations

from pathlib import Path

import click

from config.errors import UsageError
from dataflows.cli.console import err, json_option, out, print_json, progress
from dataflows.cli.kafka_options import config_option, settings_with
from dataflows.supervisor import stop_signals
from replay.broker import BrokerPlayer, Into
from replay.recording import Recording


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--into-broker", metavar="HOST:PORT", help="Some of the brokers. [kafka.bootstrap_servers]")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), metavar="X", help="X times real time.")
@click.option("--append", is_flag=True, help="Write behind the records that topics hold already.")
@click.option("--resume", is_flag=True, help="Go on where an earlier run was stopped.")
@click.option(
    "--replication", type=click.IntRange(1, 10), metavar="N", help="Replicas of topics that are made. [the brokers']"
)
@config_option
@json_option
def play(
    folder: Path,
    into_broker: str | None,
    speed: float | None,
    append: bool,
    resume: bool,
    replication: int | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Put the recording in DIR back onto topics: partition, key, bytes, headers, timestamps and order are kept.

    Topics that are missing are made, with as many partitions and without an end of retention. Offsets are new: a
    recording with holes has none on the topic. A topic that holds records is refused, unless told otherwise.

    \b
    Example:
      forestall play var/april --into-broker 127.0.0.1:9092 --speed 60
    """
    if append and resume:
        raise UsageError("--append and --resume exclude each other.", remedy="Name one of them.")
    recording = Recording.open(folder)
    settings = settings_with(config, into_broker)
    with progress() as bar, stop_signals() as stopping:
        task = bar.add_task("records", total=sum(recording.manifest.topics.values()))
        player = BrokerPlayer(settings.kafka, lambda more: bar.advance(task, more), lambda: stopping() > 0)
        into = Into(speed=speed, append=append, resume=resume, replication=replication or -1)
        played = player.play(recording, into)
    if played is None:
        err.print("stopped; run the same command with --resume to go on", markup=False)
        return
    if as_json:
        print_json({"created": played.created, "records": played.records, "skipped": played.skipped})
        return
    for topic, records in played.records.items():
        out.print(f"{topic}: {records:,} records written", markup=False)
    if played.skipped:
        out.print(f"{played.skipped:,} records were there already")
