"""`forestall playbooks`: what is done for each remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from config.clock import MICROSECOND
from config.duration import format_duration
from config.errors import CheckFailed
from config.playbooks.check import mismatches
from config.playbooks.load import FOLDER, load_playbooks
from config.playbooks.model import Playbook
from config.policies.load import load_bundle, load_default
from dataflows.cli.console import ForestallGroup, json_option, out, print_json, table


@click.group(cls=ForestallGroup)
def playbooks() -> None:
    """Show and check what is done for each remedy."""


@playbooks.command()
@click.argument("folder", type=click.Path(path_type=Path), default=FOLDER, metavar="[DIR]")
@click.option("--policy", type=click.Path(path_type=Path), metavar="DIR", help="A policy bundle. [the default one]")
@json_option
def check(folder: Path, policy: Path | None, as_json: bool) -> None:
    """Check the playbooks of a folder, and that they and a policy fit each other.

    Every expression is tried on values of the declared types. Every remedy of the policy must have a playbook, and
    every playbook be a remedy; facts and parameters that a playbook uses must be what the policy gives.

    \b
    Example:
      forestall playbooks check
      forestall playbooks check var/playbooks --policy var/policy
    """
    loaded = load_playbooks(folder)
    bundle = load_default() if policy is None else load_bundle(policy)
    found = mismatches(loaded, bundle)
    if as_json:
        print_json(
            {
                "playbooks": [_document(playbook) for playbook in loaded.values()],
                "mismatches": [
                    {"playbook": one.playbook, "trouble": one.trouble, "remedy": one.remedy} for one in found
                ],
            }
        )
    else:
        rows = [list(_row(playbook)) for playbook in loaded.values()]
        columns = ("playbook", "owner", "steps", "undone", "looked at after", "else", "consent")
        out.print(table(f"{folder}: {len(loaded)} playbooks", columns, rows))
    if found:
        lines = [f"{one.playbook}: {one.trouble}. {one.remedy}" for one in found]
        raise CheckFailed(f"{len(found)} mismatches with policy {bundle.name!r}:\n- " + "\n- ".join(lines))
    if not as_json:
        out.print(f"they fit policy {bundle.name!r}, version {bundle.version}", markup=False)


def _row(playbook: Playbook) -> tuple[object, ...]:
    steps = [f"{'' if step.rung == 1 else f'({step.rung}) '}{step.target}/{step.operation}" for step in playbook.steps]
    return (
        playbook.name,
        playbook.owner,
        ", ".join(steps),
        "yes" if playbook.is_reversible else "not all",
        format_duration(playbook.verify.after * MICROSECOND),
        playbook.verify.otherwise,
        "always" if playbook.always_approved else "by policy",
    )


def _document(playbook: Playbook) -> dict[str, Any]:
    return {
        "playbook": playbook.name,
        "owner": playbook.owner,
        "escalation": playbook.escalation,
        "version": playbook.version,
        "description": playbook.description,
        "digest": playbook.digest,
        "reversible": playbook.is_reversible,
        "approval": "always" if playbook.always_approved else "by-policy",
        "steps": [
            {
                "id": step.id,
                "rung": step.rung,
                "target": step.target,
                "operation": step.operation,
                "inverse": None if step.inverse is None else step.inverse.operation,
                "irreversible": step.irreversible,
            }
            for step in playbook.steps
        ],
    }
