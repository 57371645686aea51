"""`forestall bench-detectors`: the detectors on public benchmarks, beside simple ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from config.errors import UsageError
from dataflows.cli.console import json_option, out, print_json, progress, table
from replay.benchmarks import nab, nab_data, pictures, smd, smd_data
from replay.benchmarks.baselines import BASELINES
from replay.benchmarks.contenders import CONTENDERS, USUAL, VECTOR_CONTENDERS
from replay.pictures import check

NAMES = {"nab": [*CONTENDERS, *BASELINES], "smd": list(VECTOR_CONTENDERS)}


@click.command("bench-detectors")
@click.argument("benchmark", type=click.Choice(list(NAMES)))
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.option(
    "--detector",
    "name",
    metavar="NAME",
    help="; ".join(f"of {b}: {', '.join(names)}, by default {USUAL[b]}" for b, names in NAMES.items()) + ".",
)
@click.option(
    "--plot",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw what was labelled and what was detected, as PNG, SVG or PDF by the file's name.",
)
@json_option
def bench_detectors(
    benchmark: Literal["nab", "smd"], folder: Path, name: str | None, picture: Path | None, as_json: bool
) -> None:
    """Run a detector over a public benchmark in DIR, online and in one configuration, and score it as that does.

    nab: the Numenta Anomaly Benchmark; DIR holds windows.json and a folder of series per category. Scores are given at
    the threshold fixed beforehand, and beside it at the one that looking at the labels shows to be best.

    smd: servers with many metrics and labelled segments; DIR holds an .npz with train, test and label for each. A
    segment is found if any of its points is; flagged points up to 20 apart are one alarm.

    \b
    Example:
      forestall bench-detectors nab ../shared/data/nab
      forestall bench-detectors nab ../shared/data/nab --detector windowed_gaussian --json
      forestall bench-detectors smd ../shared/data/smd --plot smd.png
    """
    chosen, known = name or USUAL[benchmark], NAMES[benchmark]
    if chosen not in known:
        raise UsageError(f"--detector {chosen}: no such detector of {benchmark}", remedy=f"One of {', '.join(known)}.")
    if picture is not None:
        check(picture)
    document = _nab(folder, chosen, picture) if benchmark == "nab" else _smd(folder, chosen, picture)
    if as_json:
        print_json({"benchmark": benchmark, **document})
    elif benchmark == "nab":
        _print_nab(document)
    else:
        _print_smd(document)


def _nab(folder: Path, chosen: str, picture: Path | None) -> dict[str, Any]:
    series = nab_data.load(folder)
    names = dict.fromkeys([chosen, *BASELINES])
    with progress() as display:
        task = display.add_task("detecting", total=len(series) * len(names))
        outcomes = {each: nab.outcome(each, series, lambda: display.advance(task)) for each in names}
    main = outcomes[chosen]
    if picture is not None:
        pictures.draw_nab(main, picture)
    return {
        **main.document(),
        "by_category": main.by_category(),
        "by_series": main.by_series(),
        "baselines": {each: outcomes[each].document() for each in BASELINES},
    }


def _smd(folder: Path, chosen: str, picture: Path | None) -> dict[str, Any]:
    machines = smd_data.load(folder)
    with progress() as display:
        task = display.add_task("detecting", total=len(machines))
        main = smd.outcome(chosen, machines, lambda: display.advance(task))
    if picture is not None:
        pictures.draw_smd(main, picture)
    return main.document()


def _print_nab(document: dict[str, Any]) -> None:
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


def _print_smd(document: dict[str, Any]) -> None:
    parts = {**document["by_machine"], **document["by_data_set"], "all": document}
    parts["all, single points as alarms"] = document["unmerged"]
    rows = [
        (
            name,
            f"{part['found']} of {part['segments']}",
            *(part[each] for each in ("recall", "precision", "delay_points", "false_alarms", "false_per_1000")),
        )
        for name, part in parts.items()
    ]
    columns = ("machines", "segments found", "recall", "precision", "median delay", "false alarms", "per 1,000 points")
    out.print(table(f"{document['detector']}: labelled segments", columns, rows))
