"""`forestall review`: what a run got wrong, as stories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click

from config.errors import EnvironmentFault, UsageError
from dataflows.cli.backtest import store_of
from dataflows.cli.console import json_option, out, print_json, table
from dataflows.cli.instant import Instant
from replay.backtest.dumps import recorded
from replay.backtest.faults import read_faults
from replay.review import faults, orders, world
from replay.review.groups import grouped
from replay.review.histories import histories
from replay.review.page import common_words, page, title
from replay.review.stories import Run, told
from replay.review.wrong import Row, Verdict, Wrong
from replay.world.labels import Labels
from sinks import queries
from sinks.store import Store

ORDERS = "Orders are judged by their customers: a review of two stars or less is a complaint."
LABELS = "Judged by the labels of a simulated world."
PLURALS: dict[Verdict, str] = {
    "false alarm": "false alarms",
    "missed": "missed",
    "found too late": "found too late",
    "wrong service": "wrong service",
}
FAULTS = "Services are judged by the faults that were injected into them."


@click.command()
@click.argument("recording", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--labels", "labels_file", type=click.Path(path_type=Path), metavar="FILE", help="What was true, simulated."
)
@click.option(
    "--faults", "faults_file", type=click.Path(path_type=Path), metavar="FILE", help="Faults that were injected."
)
@click.option("--since", type=Instant(), metavar="TIME", help="Judge only orders placed from then on.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Stories to tell.")
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the stories as a page."
)
@click.option("--store", "store_url", metavar="URL", help="Review what an earlier replay left there; do not replay.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings (TOML) over the defaults.")
@json_option
def review(
    recording: Path,
    labels_file: Path | None,
    faults_file: Path | None,
    since: int | None,
    top: int,
    html_file: Path | None,
    store_url: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Tell the false alarms and the misses of a run over the recording in DIR, those that teach most first.

    Without --labels and --faults orders are judged by what their customers said. Like ones are told once, with what
    they have in common. The page that --html writes needs nothing else, and names no customer.

    \b
    Examples:
      forestall review var/olist --since 2017-11-01 --html review.html
      forestall review var/world --labels var/world/labels.json
    """
    if labels_file is not None and faults_file is not None:
        raise UsageError("Two files say what is true.", remedy="Give --labels FILE or --faults FILE, not both.")
    if since is not None and (labels_file or faults_file):
        raise UsageError("--since is for orders judged by their customers.", remedy="Leave it out.")
    with recorded(recording) as folder, store_of(folder, store_url, config) as store:
        document = {"recording": recording.name} | _reviewed(folder, store, labels_file, faults_file, since, top)
    if html_file is not None:
        _write(html_file, page(document))
    if as_json:
        print_json(document)
    else:
        _show(document)
        if html_file is not None:
            out.print(f"written: {html_file}", markup=False)


def _reviewed(
    folder: Path, store: Store, labels_file: Path | None, faults_file: Path | None, since: int | None, top: int
) -> Row:
    run = Run(*(queries.bodies(store, kind) for kind in ("finding", "case", "decision")))
    known = {} if faults_file else histories(folder)
    if labels_file is not None:
        truth, (wrongs, everything) = (
            LABELS,
            world.judged(Labels.read(labels_file), run.findings, run.outcomes(), known),
        )
    elif faults_file is not None:
        truth, (wrongs, everything) = FAULTS, faults.judged(read_faults(faults_file), run.findings)
    else:
        truth, (wrongs, everything) = ORDERS, orders.judged(known, run.findings, run.outcomes(), since)
    groups = grouped(wrongs, everything)
    return {
        "truth": truth,
        "counts": {"judged": len(everything)} | _counts(wrongs) | {"kinds of wrong": len(groups)},
        "groups": [told(group, run, known) for group in groups[:top]],
    }


def _counts(wrongs: Iterable[Wrong]) -> dict[str, int]:
    counts = Counter(wrong.verdict for wrong in wrongs)
    return {name: counts[verdict] for verdict, name in PLURALS.items()}


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentFault(f"{path}: {error.strerror}", remedy="Name a file in a folder that is there.") from error


def _show(document: Row) -> None:
    out.print(document["truth"])
    out.print(", ".join(f"{name} {count:,}" for name, count in document["counts"].items()))
    rows = [
        [
            str(number),
            title(group),
            group["count"],
            group["weight"],
            "; ".join(common_words(each, group["count"]) for each in group["common"]),
            group["story"]["entity"],
        ]
        for number, group in enumerate(document["groups"], 1)
    ]
    out.print(table("What was wrong", ("", "what", "times", "weight", "in common", "for example"), rows))
