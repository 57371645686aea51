"""The root command. Each module beside this one holds the commands of one subject."""

from __future__ import annotations

from importlib import import_module

import click

from dataflows.cli.console import ForestallGroup

COMMANDS = {
    "import": "dataflows.cli.recordings:import_",
    "recording": "dataflows.cli.recordings:recording",
    "record": "dataflows.cli.record:record",
    "play": "dataflows.cli.play:play",
    "simulate": "dataflows.cli.simulate:simulate",
    "replay": "dataflows.cli.replay:replay",
    "backtest": "dataflows.cli.backtest:backtest",
    "features": "dataflows.cli.features:features",
    "run": "dataflows.cli.run:run",
    "topics": "dataflows.cli.topics:topics",
    "remediate": "dataflows.cli.remediate:remediate",
    "rollback": "dataflows.cli.rollback:rollback",
    "actions": "dataflows.cli.actions:actions",
    "playbooks": "dataflows.cli.playbooks:playbooks",
    "targets": "dataflows.cli.targets:targets",
    "target": "dataflows.cli.target:target",
    "flag": "dataflows.cli.flags:flag",
    "approvals": "dataflows.cli.approvals:approvals",
    "agents": "dataflows.cli.agents:agents",
    "autonomy": "dataflows.cli.autonomy:autonomy",
    "keys": "dataflows.cli.keys:keys",
    "owners": "dataflows.cli.owners:owners",
    "report": "dataflows.cli.reports:report",
    "review": "dataflows.cli.review:review",
    "case": "dataflows.cli.reports:case",
    "dead-letters": "dataflows.cli.dead_letters:dead_letters",
    "store": "dataflows.cli.reports:store",
    "recovery": "dataflows.cli.recovery:recovery",
    "contracts": "dataflows.cli.contracts:contracts",
    "policy": "dataflows.cli.policy:policy",
    "bench-detectors": "dataflows.cli.bench_detectors:bench_detectors",
}


class LazyGroup(ForestallGroup):
    """Imports a command's module only when it is asked for, so that `--help` and errors come at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order a new user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, importing its module."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="forestall")
def main() -> None:
    """Find the issue a customer is about to have, and act before the complaint.

    Exit codes: 0 well, 1 a check failed, 2 misused, 3 input or environment at fault.

    \b
    Example:
      forestall simulate --seed 7 --events 50000 --into var/world
      forestall replay var/world --store sqlite:///var/world.db
      forestall report --store sqlite:///var/world.db
    """
