"""`forestall backtest`: replay a recording, and hold what was found against what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from rich.table import Table

from config.errors import UsageError
from config.settings import environment, load
from dataflows.cli.console import json_option, out, print_json, progress, table
from dataflows.cli.instant import Instant
from replay import pictures
from replay.backtest import faults, labels, orders
from replay.backtest.curves import curves
from replay.backtest.dumps import recorded
from replay.backtest.order_truth import Outcome, outcomes
from replay.backtest.run import Row, replayed
from replay.backtest.sweep import calibration, swept
from replay.backtest.timeline import timeline
from replay.judgements import judge
from replay.manifest import NO_TIMESTAMP
from replay.recording import Recording
from replay.score import CONFIDENCE_MIN, score
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
@click.option("--since", type=Instant(), metavar="TIME", help="Judge only orders placed from then on; learn from all.")
@click.option("--sweep", is_flag=True, help="Orders: also at other thresholds, and calibration.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw it, as .png, .svg or .pdf: of orders what --sweep tells, of faults a timeline.",
)
@click.option("--store", "store_url", metavar="URL", help="Judge what an earlier replay left there; do not replay.")
@click.option(
    "--budget",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help=f"How many of an agent's alarms may be false; by default what its manifest says, or {labels.BUDGET}.",
)
@click.option(
    "--confidence-min",
    type=click.FloatRange(0, 1),
    default=CONFIDENCE_MIN,
    show_default=True,
    metavar="P",
    help="With --labels: findings that claim less are watched, not counted.",
)
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings (TOML) over the defaults.")
@json_option
def backtest(
    recording: Path,
    labels_file: Path | None,
    faults_file: Path | None,
    since: int | None,
    sweep: bool,
    plot: Path | None,
    store_url: str | None,
    budget: float | None,
    confidence_min: float,
    config: Path | None,
    as_json: bool,
) -> None:
    """Replay the recording in DIR and tell what was found in time, what was missed and what was false.

    Without --labels and --faults the customers say what is true: a review of two stars or less is a complaint, and each
    order's first finding, if made before it, a detection.

    DIR may also hold dumps of `kcat -J` (*.kcat.jsonl, *.kcat.jsonl.gz) instead of a recording.

    \b
    Examples:
      forestall backtest var/olist --since 2017-11-01 --sweep --plot var/curve.png
      forestall backtest var/world --labels var/world/labels.json
      forestall backtest var/shop --faults faults.json --plot var/timeline.png
    """
    given = [name for name, value in (("--labels", labels_file), ("--faults", faults_file)) if value is not None]
    if len(given) > 1:
        raise UsageError("Two files say what is true.", remedy="Give either --labels FILE or --faults FILE.")
    asked = [name for name, value in (("--since", since), ("--sweep", sweep or None)) if value is not None]
    if given and asked:
        raise UsageError(f"{asked[0]} does not go with {given[0]}.", remedy="It is for orders judged by their reviews.")
    if plot is not None:
        if labels_file:
            raise UsageError("--plot does not go with --labels.", remedy="It draws orders and faults.")
        pictures.check(plot)
    show: Callable[[Row], None]
    read = Labels.read(labels_file) if labels_file else faults.read_faults(faults_file) if faults_file else None
    with recorded(recording) as folder, store_of(folder, store_url, config) as store:
        if isinstance(read, Labels):
            document, show = labels.judged(score(read, queries.bodies(store, "finding"), confidence_min), budget), _show
        elif read is not None:
            document, show = faults.judged(read, queries.bodies(store, "finding"), *_span(folder)), _show_faults
            if plot is not None:
                pictures.save(timeline(document), plot)
        else:
            truth = outcomes(folder)
            document, show = orders.judged(truth, queries.bodies(store, "finding"), since), _show_orders
            if sweep or plot is not None:
                document |= _swept(folder, config, truth, since)
            if plot is not None:
                pictures.save(curves(document), plot)
    if as_json:
        print_json(document)
    else:
        show(document)


@contextmanager
def store_of(recording: Path, store_url: str | None, config: Path | None) -> Iterator[Store]:
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


def _swept(folder: Path, config: Path | None, truth: Mapping[str, Outcome], since: int | None) -> Row:
    judged = judge(folder, load(config, environment())).judgements
    return {"sweep": swept(truth, judged, since), "calibration": calibration(truth, judged, since)}


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
    out.print(_claims(document))


def _claims(document: Row) -> Table:
    columns = ("agent", "kind", "findings", "claimed", "so")
    rows = [[row[column] for column in columns] for row in document["claims"]]
    return table("What findings claim (mean confidence), and the share that was so", columns, rows)


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


def _show_orders(document: Row) -> None:
    rows = [*document["by_agent"].items(), ("any", document)]
    columns = ("agent", "detections", "precision", "recall", "p10", "p50", "p90")
    shown = [[agent, *({**row, **row["lead_hours"]}[column] for column in columns[1:])] for agent, row in rows]
    out.print(table("Orders: found before their customers complained (lead in hours)", columns, shown))
    out.print(
        f"{document['complaints']} complaints of {document['reviewed']} orders answered for, of {document['orders']}; "
        f"{document['detections_per_1000_orders']} detections per 1,000 orders"
    )
    out.print(_claims(document))
    if "sweep" in document:
        columns = ("above_threshold", "detections", "precision", "recall", "p10", "p50", "p90")
        shown = [[{**row, **row["lead_hours"]}[column] for column in columns] for row in document["sweep"]]
        out.print(table("Complaint risk at other thresholds", columns, shown))
        bands = [[row["orders"], row["probability"], row["complaints"]] for row in document["calibration"]]
        title = "Calibration: probability given, share that complained"
        out.print(table(title, ("orders", "probability", "complaints"), bands))
