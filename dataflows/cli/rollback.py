"""`forestall rollback`: takes back what a version of a policy did."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from config.clock import to_text
from config.errors import UsageError
from config.playbooks.load import load_playbooks
from config.policies.bundle import Bundle
from config.policies.load import SHIPPED
from config.policies.versions import load_policy
from config.settings import environment, load
from dataflows.cli.actions import ID_SHOWN, ledger_option
from dataflows.cli.console import json_option, out, print_json, print_rows, table
from dataflows.cli.instant import Instant
from dataflows.cli.kafka_options import config_option
from dataflows.remedy_clock import wall_clock
from dataflows.rollback import SHOWN, Plan, Undoing, bundle_named, plan
from sinks.ledger import Ledger
from sinks.ledger_queries import bundles

WORDS = {
    "stands": "stands",
    "ask": "asked about, then taken back",
    "take back": "taken back",
    "stop": "not begun, or not tried again",
    "under way": "being taken back",
    "gone": "not there",
}
"""What becomes of effects, in the order in which they are shown: what cannot be undone first."""


@click.command()
@click.option("--policy", "revision", required=True, metavar="REV", help="Its hash, the beginning of it, or version.")
@click.option("--from", "since", required=True, type=Instant(), metavar="TIME", help="Actions decided from then on,")
@click.option("--to", "until", required=True, type=Instant(), metavar="TIME", help="and before then.")
@ledger_option
@config_option
@click.option("--reason", default="", metavar="TEXT", help="Why: it stands beside each action.")
@click.option("--dry-run", is_flag=True, help="Only show what would be taken back.")
@click.option("--yes", is_flag=True, help="Do not ask for consent.")
@json_option
def rollback(
    revision: str,
    since: int,
    until: int,
    ledger_url: str,
    config: Path | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take back all effects of the actions that a version of a policy decided in a span of time.

    First it is shown what would become of each: what can be taken back, what stands and why, what is not begun yet and
    will not be. With consent it is ordered; the remediation flow does it within a second, or at its next start, with
    the inverses of the playbooks, the latest effect of an action first. Order it twice: nothing is done twice.

    \b
    Example:
      forestall rollback --policy 7c1e --from 2026-03-01 --to 2026-03-02 --ledger sqlite:///var/ledger.db --dry-run
    """
    if until <= since:
        raise UsageError(
            f"--to {to_text(until)} is not after --from {to_text(since)}: there is nothing in between.",
            remedy="Give a later --to: a whole day is `--from 2026-03-01 --to 2026-03-02`.",
        )
    settings = load(config, environment())
    playbooks = load_playbooks(settings.remediation.playbooks)
    with Ledger.open(ledger_url) as ledger:
        bundle = bundle_named(ledger, revision, lambda: _known(settings.policy.bundle, len(bundles(ledger))))
        made = plan(ledger, bundle, since, until, playbooks, wall_clock())
        wanted = sum(each.is_wanted for each in made.actions)
        if not as_json:
            _show(made)
        ordered = 0
        if wanted and not dry_run:
            _consent(wanted, yes=yes, as_json=as_json)
            ordered = made.order(ledger, wall_clock(), reason)
    if as_json:
        print_json(_document(made) | {"wanted": wanted, "ordered": ordered})
    elif not wanted:
        out.print("nothing is to be taken back")
    elif not dry_run:
        out.print(f"ordered for {wanted} actions, {ordered} of them for the first time", markup=False)
        out.print(f"what became of it: forestall actions list --ledger {ledger_url}", markup=False)


def _known(folder: Path, policies: int) -> list[Bundle]:
    """Return the versions of the policy that the settings name; of those that come with Forestall, too, where the
    ledger has actions of one policy alone, and so no other can be meant."""
    folders = dict.fromkeys((folder, *SHIPPED)) if policies == 1 else (folder,)
    return [bundle for each in folders for bundle in load_policy(each).bundles]


def _consent(wanted: int, *, yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise UsageError("Nobody is here to consent.", remedy="Look with --dry-run; then give --yes.")
    click.confirm(f"Take back what {wanted} actions did?", abort=True, err=True)


def _show(made: Plan) -> None:
    if not made.actions:
        span = f"from {to_text(made.since)} to {to_text(made.until)}"
        out.print(f"Policy {made.bundle[:SHOWN]} decided no action of this ledger {span}.", markup=False)
        return
    rows = [(one.fate, each, one) for each in made.actions for one in each.fates]
    rows.sort(key=lambda row: list(WORDS).index(row[0]))
    columns = ("action", "decided at", "remedy", "entity", "effect", "status", "becomes", "why")
    cells = [
        (
            each.action.action_id[:ID_SHOWN],
            to_text(each.action.at),
            each.action.remedy,
            one.entity or each.action.about,
            f"{one.target} {one.operation}".strip(),
            one.status or each.saga.state,
            WORDS[fate],
            one.why,
        )
        for fate, each, one in rows
    ]
    out.print(table(f"Policy {made.bundle[:SHOWN]}: {len(made.actions)} actions", columns, cells))
    out.print(", ".join(f"{count} {WORDS[fate]}" for fate, count in made.counts.items()), markup=False)
    left = [row | {"amount": row["amount"] or ""} for row in made.residual]
    print_rows("Harm that is left", ("remedy", "effect", "effects", "customers", "amount", "why"), left)


def _document(made: Plan) -> dict[str, Any]:
    return {
        "policy": made.bundle,
        "from": made.since,
        "to": made.until,
        "counts": made.counts,
        "residual": made.residual,
        "actions": [_action(each) for each in made.actions],
    }


def _action(each: Undoing) -> dict[str, Any]:
    action = each.action
    return {
        "action_id": action.action_id,
        "case_id": action.case_id,
        "remedy": action.remedy,
        "entity": action.about,
        "at": action.at,
        "state": each.saga.state,
        "effects": [msgspec.to_builtins(one) for one in each.fates],
    }
