"""`forestall remediate`: carries out what a job decided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from config.settings import environment, load
from dataflows.cli.console import err, json_option, out, print_json, table
from dataflows.cli.reports import store_option
from dataflows.cli.results import absolute_url
from dataflows.remediate import Trial
from dataflows.remediate import remediate as carry_out
from dataflows.remedy_setup import load_setup
from dataflows.supervisor import stop_signals
from operators.saga_state import Outcome
from sinks.ledger import Ledger
from sinks.ledger_queries import actions_by_state, effects_by_status


@click.command()
@store_option
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings (TOML) over the defaults.")
@click.option("--ledger", "ledger_url", metavar="URL", help="Where effects are written down. [in the store]")
@click.option("--targets", type=click.Path(path_type=Path), metavar="FILE", help="The systems to act on.")
@click.option("--playbooks", type=click.Path(path_type=Path), metavar="DIR", help="What is done for each remedy.")
@click.option("--real-targets", is_flag=True, help="Act on targets too that are no sandbox.")
@click.option("--drain", is_flag=True, help="Go on beyond the end of what the store is complete for.")
@json_option
def remediate(
    store_url: str,
    config: Path | None,
    ledger_url: str | None,
    targets: Path | None,
    playbooks: Path | None,
    real_targets: bool,
    drain: bool,
    as_json: bool,
) -> None:
    """Carry out the actions of a store, in event time and as fast as their targets answer, until all is done that
    is due by the end of what was recorded.

    Each action is begun at the time at which it was decided, is looked at when it is time to, and is taken back where
    its playbook says so. Everything is written down before it is asked for: a run that was killed goes on when the
    same command is given again, and does nothing twice. Only targets that call themselves a sandbox are acted on,
    unless it is told otherwise.

    \b
    Example:
      forestall remediate --store sqlite:///var/world.db --targets targets.yaml
    """
    settings = load(config, environment())
    changed: dict[str, Any] = {"targets": targets, "playbooks": playbooks}
    remediation = replace(settings.remediation, **{name: path for name, path in changed.items() if path is not None})
    settings = replace(settings, remediation=remediation)
    store_url = absolute_url(store_url)
    ledger_url = absolute_url(ledger_url or store_url)
    trial = Trial(store_url=store_url, ledger_url=ledger_url, real_targets=real_targets, drain=drain)
    outcomes = 0

    def told(outcome: Outcome) -> None:
        nonlocal outcomes
        outcomes += 1
        if err.is_terminal and outcomes % 100 == 0:
            err.print(f"{outcomes} outcomes", end="\r")

    with stop_signals() as stopping:
        done = carry_out(trial, settings, load_setup(settings), told, stopping)
    with Ledger.open(trial.ledger_url) as ledger:
        states, effects = actions_by_state(ledger), effects_by_status(ledger)
    if as_json:
        print_json({"complete": done, "actions": states, "effects": effects, "ledger": trial.ledger_url})
        return
    out.print(table("Actions", ("state", "actions"), list(states.items())))
    out.print(table("Effects", ("status", "effects"), list(effects.items())))
    if not done:
        out.print("stopped; run the same command again to go on")
