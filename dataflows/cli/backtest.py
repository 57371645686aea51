"""`forestall backtest`: replay a recording, and hold what was found against what happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from config.errors import UsageError
from dataflows.cli.console import json_option, out, print_json, progress, table
from replay.backtest import faults, labels
from replay.backtest.dumps import recorded
from replay.backtest.run import Row, replayed
from replay.manifest import NO_TIMESTAMP
from replay.recording import Recording
from replay.score import score
from replay.world.labels import Labels
from sinks import queries
from sinks.store import Store


@click.command()
@click.argument("recording", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--labels",
    "labels_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What was true, of a simulated recording.",
)
@click.option(
    "--faults",
    "faults_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What was injected into a running system: JSON, a list of injected_at, pod (or service), kind.",
)
@click.option("--store", "store_url", metavar="URL", help="Judge what an earlier replay left there; do not replay.")
@click.option(
    "--budget",
    type=click.FloatRange(0, 1, min_open=True),
    default=labels.BUDGET,
    show_default=True,
    metavar="SHARE",
    help="How many of an agent's alarms may be false.",
)
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings (TOML) over the defaults.")
@json_option
def backtest(
    recording: Path,
    labels_file: Path | None,
    faults_file: Path | None,
    store_url: str | None,
    budget: float,
    config: Path | None,
    as_json: bool,
) -> None:
    """Replay the recording in DIR and tell what was found in time, what was missed and what was false.

    DIR may also hold dumps of `kcat -J` (*.kcat.jsonl, *.kcat.jsonl.gz) instead of a recording.

    \b
    Examples:
      forestall backtest var/world --labels var/world/labels.json
      forestall backtest var/shop --faults faults.json --json
    """
    if (labels_file is None) == (faults_file is None):
        raise UsageError("Nothing says what is true.", remedy="Give either --labels FILE or --faults FILE.")
    truth = faults.read_faults(faults_file) if faults_file else Labels.read(labels_file or Path())
    with recorded(recording) as folder, _store_of(folder, store_url, config) as store:
        if isinstance(truth, Labels):
            document = labels.judged(score(truth, queries.bodies(store, "finding")), budget)
        else:
            document = faults.judged(truth, queries.bodies(store, "finding"), *_span(folder))
    if as_json:
        print_json(document)
    elif isinstance(truth, Labels):
        _show(document)
    else:
        _show_faults(document)


@contextmanager
def _store_of(recording: Path, store_url: str | None, config: Path | None) -> Iterator[Store]:
    """Yield the store to judge: an earlier replay's, or one made now."""
    if store_url is not None:
        with Store.open(store_url) as store:
            yield store
        return
    with progress() as bar:
        task = bar.add_task("records", total=None)
        with replayed(recording, config, lambda done, total: bar.update(task, completed=done, total=total)) as store:
            bar.stop()
            yield store


def _span(folder: Path) -> tuple[int, int]:
    """Return when the recording begins and ends, µs."""
    recording = Recording.open(folder, verify=False)
    stamps = [part.min_timestamp for part in recording.partitions if part.min_timestamp != NO_TIMESTAMP]
    return min(stamps, default=0) * 1000, recording.manifest.recorded_until


def _show(document: Row) -> None:
    rows = [*document["by_kind"], {"kind": "all"} | document["all"]]
    title = "Labelled issues: found before anybody was hurt or complained"
    out.print(table(title, tuple(labels.SHOWN), [[row[column] for column in labels.SHOWN.values()] for row in rows]))
    columns = ("agent", "right_alarms", "false_alarms", "false_discovery_rate", "budget", "claimed")
    rows = [[row[column] for column in columns] for row in document["by_agent"]]
    out.print(table("Alarms of each agent that were false", [column.replace("_", " ") for column in columns], rows))


def _show_faults(document: Row) -> None:
    columns = ("kind", "faults", "found", "service_named")
    rows = [*document["by_kind"].items(), ("all", document)]
    shown = [[kind, *(row[column] for column in columns[1:])] for kind, row in rows]
    out.print(table("Injected faults: found within five minutes", columns, shown))
    delay = document["delay_minutes"]
    out.print(
        f"delay: median {delay['p50']} minutes, 90 % within {delay['p90']}; false alerts: {document['false_alerts']} "
        f"in {document['hours']} hours, {document['false_alerts_per_hour']} an hour"
    )
