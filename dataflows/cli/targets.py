"""`forestall targets`: the systems that remedies act on, looked at before anything is carried out."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import click

from config.errors import CheckFailed
from config.settings import environment, load
from dataflows.cli.console import ForestallGroup, counted, json_option, out, print_json, table
from dataflows.remedy_checks import checks


@click.group(cls=ForestallGroup)
def targets() -> None:
    """Look at the systems that remedies act on."""


@targets.command()
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings (TOML) over the defaults.")
@click.option(
    "--targets", "file", type=click.Path(path_type=Path), metavar="FILE", help="Target systems. [remediation.targets]"
)
@json_option
def check(config: Path | None, file: Path | None, as_json: bool) -> None:
    """Look whether a remediation flow could do its work: nothing is begun, and nothing changed.

    Each target is asked, signed as it will be, what became of an effect that nobody asked for, and must say that there
    is none. Files of secrets must be for nobody else to read, that of public keys for nobody else to write. Every
    target of a playbook must be named. Where policy.enforce asks for signatures, the policy must have them.

    Exit codes: 0 all is well, 1 something is not, 2 misused, 3 settings, playbooks, targets or policy at fault.

    \b
    Example:
      forestall targets check --config job.toml
    """
    settings = load(config, environment())
    if file is not None:
        settings = replace(settings, remediation=replace(settings.remediation, targets=file))
    found = list(checks(settings))
    wrong = [each for each in found if each.problem]
    if as_json:
        print_json({"checks": [asdict(each) for each in found], "problems": len(wrong)})
    else:
        rows = [(each.what, each.problem or "well") for each in found]
        out.print(table("Before remedies are carried out", ("what", "found"), rows))
    if wrong:
        lines = [f"{each.what}: {each.problem}. {each.remedy}" for each in wrong]
        raise CheckFailed(f"{counted(len(wrong), 'problem', 'problems')}:\n- " + "\n- ".join(lines))
