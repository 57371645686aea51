"""`forestall backtest`: replay a recording, and hold what was found against what happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from dataflows.cli.console import json_option, out, print_json, progress, table
from replay.backtest.labels import judged
from replay.backtest.run import Row, replayed
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
    required=True,
    help="What was true, of a simulated recording.",
)
@click.option("--store", "store_url", metavar="URL", help="Judge what an earlier replay left there; do not replay.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings (TOML) over the defaults.")
@json_option
def backtest(recording: Path, labels_file: Path, store_url: str | None, config: Path | None, as_json: bool) -> None:
    """Replay the recording in DIR and tell what was found in time, what was missed and what was false.

    \b
    Example:
      forestall backtest var/world --labels var/world/labels.json
    """
    labels = Labels.read(labels_file)
    with _store_of(recording, store_url, config) as store:
        document = judged(score(labels, queries.bodies(store, "finding")))
    if as_json:
        print_json(document)
    else:
        _show(document)


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


def _show(document: Row) -> None:
    rows = [*document["by_kind"], {"kind": "all"} | document["all"]]
    columns = tuple(rows[-1])
    title = "Labelled issues: found before anybody complained"
    out.print(table(title, columns, [[row[column] for column in columns] for row in rows]))
