"""`forestall replay`: play a recording through the detection flow into a store."""

from __future__ import annotations

from pathlib import Path

import click

from dataflows.cli.console import json_option, out, print_json, progress
from dataflows.cli.policy_options import say_what_shadows
from dataflows.cli.results import absolute_url, print_counts, results
from replay.play import Job, default_recovery, play


@click.command()
@click.argument("recording", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--store", "store_url", metavar="URL", help="Where findings, cases and decisions go. [DIR.db]")
@click.option("--recovery", type=click.Path(path_type=Path), metavar="DIR", help="Where state rests. [STORE.recovery]")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads per process.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), metavar="X", help="X times real time.")
@click.option("--drain", is_flag=True, help="At the end, let time run out: every timer fires.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), metavar="PORT", help="Serve /metrics and /health there.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings (TOML) over the defaults.")
@json_option
def replay(
    recording: Path,
    store_url: str | None,
    recovery: Path | None,
    workers: int,
    processes: int,
    speed: float | None,
    drain: bool,
    metrics_port: int | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Play the recording in DIR through the detection flow, exactly once, however often it is interrupted.

    Into the same store again: goes on where an interrupted replay stopped; a finished one changes nothing. The digest
    is a hash over all outputs; it is the same for any number of workers and processes.

    \b
    Example:
      forestall replay var/world --store sqlite:///var/world.db --workers 2
    """
    if store_url is None:
        store_url = f"sqlite:///{recording.parent / (recording.name + '.db')}"
    job = Job(
        recording=str(recording.resolve()),
        store_url=absolute_url(store_url),
        recovery=str((recovery or default_recovery(absolute_url(store_url))).resolve()),
        config=None if config is None else str(config.resolve()),
        workers=workers,
        processes=processes,
        speed=speed,
        drain=drain,
        metrics_port=metrics_port,
    )
    say_what_shadows(config)
    with progress() as bar:
        task = bar.add_task("records", total=None)
        play(job, lambda done, total: bar.update(task, completed=done, total=total))
    _show(job, as_json)


def _show(job: Job, as_json: bool) -> None:
    document = results(job.store_url)
    if as_json:
        print_json(document)
        return
    state = "replayed" if document["complete"] else "stopped; run the same command again to go on with"
    out.print(f"{state} {job.recording}")
    print_counts(document)
    timers = sum(stage["timers"] for stage in document["open"].values())
    out.print(f"  {'open timers':14}{timers:>12,}")
    out.print(f"  {'digest':14}{document['digest'][:32]}…")
    out.print(f"what was found: forestall report --store {job.store_url}", markup=False)
