"""`forestall actions`: what was done, and what came of it."""

from __future__ import annotations

from typing import Any, get_args

import click

from config.clock import to_text
from dataflows.cli.console import ForestallGroup, json_option, out, print_json, table
from operators.saga_state import State
from sinks.ledger import Ledger
from sinks.ledger_queries import find_action, find_actions

ID_SHOWN = 12
"""Characters of an id in a list: enough to name it."""

STAGES = ("intended", "approved", "dispatched", "acknowledged", "judged", "ended")

ledger_option = click.option(
    "--ledger",
    "ledger_url",
    required=True,
    metavar="URL",
    help="Of the ledger, or of the store that it lies in.",
)


@click.group(cls=ForestallGroup)
def actions() -> None:
    """Show what was done, and what came of it."""


@actions.command("list")
@ledger_option
@click.option("--state", type=click.Choice(get_args(State)), help="Only those in this state.")
@click.option("--remedy", metavar="NAME", help="Only those of this remedy.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The latest N. [all with --json, else 50]")
@click.option("--effects", "with_effects", is_flag=True, help="Show what each did to its targets.")
@json_option
def list_(
    ledger_url: str, state: str | None, remedy: str | None, limit: int | None, with_effects: bool, as_json: bool
) -> None:
    """List actions, the latest first.

    \b
    Example:
      forestall actions list --ledger sqlite:///var/world.db --state escalated
    """
    with Ledger.open(ledger_url) as ledger:
        rows = find_actions(ledger, state=state, remedy=remedy, limit=limit or (None if as_json else 50))
    if as_json:
        print_json({"actions": rows})
        return
    columns = ("action", "decided at", "remedy", "entity", "state", "verdict", "attempts", "reason")
    cells = [_cells(row) for row in rows]
    out.print(table(f"Actions: {len(rows)}", columns, cells))
    if with_effects:
        out.print(table("Effects", _EFFECT_COLUMNS, [_effect(one) for row in rows for one in row["effects"]]))


@actions.command()
@click.argument("action_id", metavar="ID")
@ledger_option
@json_option
def show(action_id: str, ledger_url: str, as_json: bool) -> None:
    """Show one action: what was decided, when it came to each state, what it did, what came of it.

    \b
    Example:
      forestall actions show 0a2a0fa5 --ledger sqlite:///var/world.db
    """
    with Ledger.open(ledger_url) as ledger:
        row = find_action(ledger, action_id)
    if as_json:
        print_json(row)
        return
    out.print(f"{row['remedy']} for {row['entity']}: {row['state']}", markup=False)
    if row["reason"]:
        out.print(f"  {row['reason']}", markup=False)
    facts = ("action_id", "case_id", "decision_id", "bundle", "customer", "verdict", "collateral")
    out.print(table("", ("what", "value"), [(name, row[name]) for name in facts]))
    times = [(stage, row[f"{stage}_at"]) for stage in STAGES]
    out.print(table("Times", ("stage", "at"), [(stage, to_text(at)) for stage, at in times if at is not None]))
    out.print(table("Effects", _EFFECT_COLUMNS, [_effect(one) for one in row["effects"]]))
    told = [(one["seq"], to_text(one["at"]), one["state"], one["verdict"], one["reason"]) for one in row["outcomes"]]
    out.print(table("Outcomes", ("seq", "at", "state", "verdict", "reason"), told))


_EFFECT_COLUMNS = ("action", "step", "target", "operation", "entity", "status", "attempts", "undone", "detail")


def _effect(one: dict[str, Any]) -> tuple[object, ...]:
    names = ("step", "target", "operation", "entity", "status", "attempts", "undo_status", "detail")
    return (one["action_id"][:ID_SHOWN], *(one[name] for name in names))


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    names = ("remedy", "entity", "state", "verdict", "attempts", "reason")
    return (row["action_id"][:ID_SHOWN], to_text(row["at"]), *(row[name] for name in names))
