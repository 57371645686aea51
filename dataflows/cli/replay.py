"""`forestall replay`: play a recording through the detection flow into a store."""

from __future__ import annotations

from pathlib import Path

import click

from config.errors import UsageError
from dataflows.cli.console import json_option, out, print_json, progress
from replay.play import Job, default_recovery, play
from sinks.engine import store_path
from sinks.queries import open_by_stage
from sinks.store import Store


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
        store_url=_absolute(store_url),
        recovery=str((recovery or default_recovery(_absolute(store_url))).resolve()),
        config=None if config is None else str(config.resolve()),
        workers=workers,
        processes=processes,
        speed=speed,
        drain=drain,
        metrics_port=metrics_port,
    )
    with progress() as bar:
        task = bar.add_task("records", total=None)
        play(job, lambda done, total: bar.update(task, completed=done, total=total))
    _show(job, as_json)


def _absolute(store_url: str) -> str:
    """Return the URL with an absolute path: workers may run in another directory."""
    scheme, found, path = store_url.partition(":///")
    if not found and "://" not in store_url:
        raise UsageError(f"--store {store_url}: not a URL", remedy="Write it as sqlite:///path/to/store.db.")
    store_path(store_url)  # refuses one without a file, which would become one by the next line
    return f"{scheme}:///{Path(path).resolve()}" if scheme == "sqlite" and found else store_url


def _show(job: Job, as_json: bool) -> None:
    with Store.open(job.store_url) as store:
        totals, counts, digest = store.totals(), store.counts(), store.digest()
        cases, complete = store.cases(), store.all_done()
        still_open = open_by_stage(store)
    document = {
        "events": totals["records"],
        "late": counts.get("late", 0),
        "duplicates": totals["duplicates"],
        "held": totals["held"],
        "dead_letters": counts.get("dead_letter", 0),
        "findings": counts.get("finding", 0),
        "cases": cases,
        "decisions": counts.get("decision", 0),
        "actions": counts.get("action", 0),
        "digest": digest,
        "complete": complete,
        "open": still_open,
        "store": job.store_url,
    }
    if as_json:
        print_json(document)
        return
    state = "replayed" if complete else "stopped; run the same command again to go on with"
    out.print(f"{state} {job.recording}")
    for name in ("events", "late", "duplicates", "held", "dead_letters", "findings", "cases", "decisions", "actions"):
        out.print(f"  {name.replace('_', ' '):14}{document[name]:>12,}")
    timers = sum(stage["timers"] for stage in still_open.values())
    out.print(f"  {'open timers':14}{timers:>12,}")
    out.print(f"  {'digest':14}{digest[:32]}…")
    out.print(f"what was found: forestall report --store {job.store_url}", markup=False)
