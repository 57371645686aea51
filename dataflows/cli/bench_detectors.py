"""`forestall bench-detectors`: the detectors on public benchmarks, beside simple ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from config.errors import UsageError
from dataflows.cli.console import json_option, out, print_json, progress, table
from replay.benchmarks import nab, nab_data
from replay.benchmarks.baselines import BASELINES
from replay.benchmarks.contenders import CONTENDERS, USUAL


@click.command("bench-detectors")
@click.argument("benchmark", type=click.Choice(["nab"]))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.option(
    "--detector",
    "name",
    metavar="NAME",
    help=f"Which one: {', '.join([*CONTENDERS, *BASELINES])}; by default {USUAL}.",
)
@json_option
def bench_detectors(benchmark: str, folder: Path, name: str | None, as_json: bool) -> None:
    """Run a detector over a public benchmark in DIR, online and in one configuration, and score it as that does.

    nab: the Numenta Anomaly Benchmark; DIR holds windows.json and a folder of series per category. Scores are given at
    the threshold fixed beforehand, and beside it at the one that looking at the labels shows to be best.

    \b
    Example:
      forestall bench-detectors nab ../shared/data/nab
      forestall bench-detectors nab ../shared/data/nab --detector windowed_gaussian --json
    """
    if name is not None and name not in CONTENDERS and name not in BASELINES:
        raise UsageError(
            f"--detector {name}: no such detector", remedy=f"One of {', '.join([*CONTENDERS, *BASELINES])}."
        )
    series = nab_data.load(folder)
    chosen = name or USUAL
    names = dict.fromkeys([chosen, *BASELINES])
    with progress() as display:
        task = display.add_task("detecting", total=len(series) * len(names))
        outcomes = {each: nab.outcome(each, series, lambda: display.advance(task)) for each in names}
    main = outcomes[chosen]
    document = {
        "benchmark": benchmark,
        **main.document(),
        "by_category": main.by_category(),
        "by_series": main.by_series(),
        "baselines": {each: outcomes[each].document() for each in BASELINES},
    }
    if as_json:
        print_json(document)
    else:
        _print(document)


def _print(document: dict[str, Any]) -> None:
    profiles = list(document["profile"])
    rows = []
    for each in [document, *document["baselines"].values()]:
        rows.append((each["detector"], "fixed", *each["profile"].values(), *_counts(each)))
        best = (each["optimised"][profile]["score"] for profile in profiles)
        rows.append((each["detector"], "optimised", *best, "", ""))
    columns = ("detector", "threshold", *(p.replace("_", " ") for p in profiles), "windows found", "false positives")
    out.print(table("score, 0 for no detection, 100 for a perfect one", columns, rows))
    parts = [
        (name, part["series"], *(part[p] for p in profiles), *_counts(part))
        for name, part in document["by_category"].items()
    ]
    columns = ("category", "series", *(p.replace("_", " ") for p in profiles), "windows found", "false positives")
    out.print(table(f"{document['detector']}, by category", columns, parts))


def _counts(document: dict[str, Any]) -> list[object]:
    return [f"{document['found']} of {document['windows']}", document["false_positives"]]
