"""`forestall actions`: what was done, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from config.clock import to_text
from dataflows.cli.console import ForestallGroup, json_option, out, print_json, print_line, print_rows, table
from operators.saga_state import State
from replay import pictures
from replay.timing_picture import draw
from sinks.ledger import Ledger
from sinks.ledger_queries import find_action, find_actions
from sinks.ledger_timing import STAGES as TIMED
from sinks.ledger_timing import timings
from sinks.requests import asked_at
from sinks.store import Store

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


@actions.command()
@ledger_option
@click.option("--store", "store_url", metavar="URL", help="What was decided: tells how long people were waited for.")
@click.option("--remedy", metavar="NAME", help="Only actions of this remedy.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Draw it into a picture.")
@json_option
def timing(ledger_url: str, store_url: str | None, remedy: str | None, plot: Path | None, as_json: bool) -> None:
    """Show how long actions take from the finding to the end, stage by stage: what they wait for, and what is work.

    \b
    Example:
      forestall actions timing --ledger sqlite:///var/world.db --store sqlite:///var/world.db --plot var/timing.svg
    """
    if plot is not None:
        pictures.check(plot)
    asked: dict[str, int] = {}
    if store_url is not None:
        with Store.open(store_url) as store:
            asked = asked_at(store)
    with Ledger.open(ledger_url) as ledger:
        rows = timings(ledger, asked, remedy)
    if plot is not None:
        pictures.save(draw(rows), plot)
    if as_json:
        print_json({"timing": rows})
        return
    if not rows:
        print_line(f"There is no action{f' of remedy {remedy!r}' if remedy else ''} in the ledger.")
        return
    columns = ("remedy", "stage", "kind", "actions", "p50", "p95", "most")
    out.print(table("How long it takes", columns, [_timed(row, stage) for row in rows for stage in row["stages"]]))
    passed = {stage["stage"] for row in rows for stage in row["stages"]}
    for stage, (_, said) in TIMED.items():
        if stage in passed:
            out.print(f"  {stage}: {said}", markup=False)
    print_rows(
        "Before the harm", ("remedy", "ahead", "in_time", "left_p50_hours"), [row for row in rows if row["ahead"]]
    )


def _timed(row: dict[str, Any], stage: dict[str, Any]) -> tuple[object, ...]:
    spans = (_span(stage[name]) for name in ("p50_s", "p95_s", "most_s"))
    return (row["remedy"], stage["stage"], stage["kind"], stage["actions"], *spans)


def _span(seconds: float) -> str:
    """Return a length of time in the unit that a person would take: 250 ms, 3.5 s, 12 min, 4.0 h, 3.0 d."""
    for unit, name in ((1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h")):
        most = {"ms": 1.0, "s": 60.0, "min": 3600.0, "h": 86_400.0}[name]
        if seconds < most:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 86_400:.3g} d"


_EFFECT_COLUMNS = ("action", "step", "target", "operation", "entity", "status", "attempts", "undone", "detail")


def _effect(one: dict[str, Any]) -> tuple[object, ...]:
    names = ("step", "target", "operation", "entity", "status", "attempts", "undo_status", "detail")
    return (one["action_id"][:ID_SHOWN], *(one[name] for name in names))


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    names = ("remedy", "entity", "state", "verdict", "attempts", "reason")
    return (row["action_id"][:ID_SHOWN], to_text(row["at"]), *(row[name] for name in names))
