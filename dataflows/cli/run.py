"""`forestall run`: long-running jobs on live topics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from config.errors import UsageError
from config.settings import environment, load
from dataflows.cli.console import ForestallGroup, err, json_option, out, print_json, table
from dataflows.cli.policy_options import say_what_shadows
from dataflows.cli.results import absolute_url, print_counts, results
from dataflows.job import default_recovery
from dataflows.live import LiveJob, live
from dataflows.remedy_job import RemediationJob, run_remediation
from dataflows.restarts import Death
from sinks.engine import store_path
from sinks.ledger import Ledger
from sinks.ledger_queries import actions_by_state, effects_by_status


@click.group(cls=ForestallGroup)
def run() -> None:
    """Run a job on live topics until it is stopped."""


@run.command()
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings (TOML) over the defaults.")
@click.option(
    "--store",
    "store_url",
    default="sqlite:///var/live.db",
    show_default=True,
    metavar="URL",
    help="Where findings, cases and decisions go.",
)
@click.option("--recovery", type=click.Path(path_type=Path), metavar="DIR", help="Where state rests. [STORE.recovery]")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads per process.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option(
    "--metrics-port", type=click.IntRange(0, 65_535), metavar="PORT", help="Serve metrics there; 0 for not at all."
)
@json_option
def detection(
    config: Path | None,
    store_url: str,
    recovery: Path | None,
    workers: int,
    processes: int,
    metrics_port: int | None,
    as_json: bool,
) -> None:
    """Find issues in live topics, exactly once, until the job is stopped by SIGTERM or Ctrl-C.

    Which topics, on which brokers, and where to begin, is in [kafka] of the settings. A job into the same store goes
    on where it stopped, also after a crash. Workers that die are started again; a job whose workers die again and
    again ends. Partitions added to a topic are read after the next start.

    Exit codes: 0 stopped as asked, 2 misused, 3 settings, brokers, topics, store or recovery folder at fault.

    \b
    Example:
      forestall run detection --config job.toml --store sqlite:///var/live.db --processes 2
    """
    store_url = absolute_url(store_url)
    job = LiveJob(
        store_url=store_url,
        recovery=str((recovery or default_recovery(store_url)).resolve()),
        config=None if config is None else str(config.resolve()),
        workers=workers,
        processes=processes,
        metrics_port=metrics_port,
    )
    say_what_shadows(config)
    _say_untold(config)
    outcome = live(job, _say_start, _say_death)
    if as_json:
        print_json({**results(store_url), "restarts": outcome.deaths})
        return
    out.print("stopped; run the same command again to go on")
    print_counts(results(store_url))
    out.print(f"what was found: forestall report --store {store_url}", markup=False)


def _say_untold(config: Path | None) -> None:
    topics = load(config, environment()).topics
    if topics.actions and not topics.withheld:
        said = "what a guardrail withholds goes onto no topic, so its case waits in vain until the action is too old"
        err.print(f"{said}; name one by topics.withheld", markup=False)


def _say_start(job: LiveJob) -> None:
    err.print(f"reading {_partitions(job.channels)}; stop with Ctrl-C", markup=False)


def _say_death(death: Death) -> None:
    seconds = death.delay.total_seconds()
    err.print(f"the workers died: {death.error.message}; starting them again in {seconds:.0f} s", markup=False)


@run.command()
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings (TOML) over the defaults.")
@click.option(
    "--ledger",
    "ledger_url",
    default="sqlite:///var/ledger.db",
    show_default=True,
    metavar="URL",
    help="Where effects are written down.",
)
@click.option(
    "--store", "store_url", metavar="URL", help="Carry out what a job on this machine decides. [topics.actions]"
)
@click.option(
    "--metrics-port", type=click.IntRange(0, 65_535), metavar="PORT", help="Serve metrics there; 0 for not at all."
)
@click.option("--folder", type=click.Path(path_type=Path), metavar="DIR", help="Where logs of workers go. [beside it]")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads per process.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@json_option
def remediation(
    config: Path | None,
    ledger_url: str,
    store_url: str | None,
    folder: Path | None,
    workers: int,
    processes: int,
    metrics_port: int | None,
    as_json: bool,
) -> None:
    """Carry out what was decided, each effect once, until the job is stopped by SIGTERM or Ctrl-C.

    Actions come from the topic that `topics.actions` names, or from the store of a detection job. What is done stands
    in the ledger before it is asked for: a job with the same ledger goes on where it stopped, also after a crash.
    Which target systems there are is in `remediation.targets` of the settings.

    Exit codes: 0 stopped as asked, 2 misused, 3 settings, playbooks, targets, brokers, store or ledger at fault.

    \b
    Example:
      forestall run remediation --config job.toml --ledger sqlite:///var/ledger.db
      forestall run remediation --config job.toml --store sqlite:///var/live.db --ledger sqlite:///var/live.db
    """
    ledger_url = absolute_url(ledger_url)
    job = RemediationJob(
        ledger_url=ledger_url,
        folder=str((folder or _beside(ledger_url)).resolve()),
        store_url=None if store_url is None else absolute_url(store_url),
        config=None if config is None else str(config.resolve()),
        workers=workers,
        processes=processes,
        metrics_port=metrics_port,
    )
    outcome = run_remediation(job, _say_source, _say_death)
    with Ledger.open(ledger_url) as ledger:
        states, effects = actions_by_state(ledger), effects_by_status(ledger)
    if as_json:
        print_json({"actions": states, "effects": effects, "restarts": outcome.deaths, "ledger": ledger_url})
        return
    out.print("stopped; run the same command again to go on")
    out.print(table("Actions", ("state", "actions"), list(states.items())))
    out.print(f"what was done: forestall actions list --ledger {ledger_url}", markup=False)


def _beside(ledger_url: str) -> Path:
    path = store_path(ledger_url)
    if path is None:
        raise UsageError("The ledger has no file, so there is no place for logs.", remedy="Name one with --folder.")
    return path.with_name(path.name + ".remediation")


def _say_source(job: RemediationJob) -> None:
    what = job.store_url or _partitions(job.channels)
    err.print(f"carrying out actions of {what}; stop with Ctrl-C", markup=False)


def _partitions(channels: Sequence[str]) -> str:
    topics = sorted({name.rpartition("/")[0] for name in channels})
    return f"{len(channels)} partitions of {', '.join(topics)}"
