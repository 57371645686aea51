"""`forestall owners`: who owns what, and whether anybody can answer what they may be asked."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from config.agents.load import load_manifests
from config.clock import to_text
from config.errors import CheckFailed, UsageError
from config.keys import load_keys
from config.ownership import KINDS, asked, misspelt, owned
from config.playbooks.load import load_playbooks
from config.policies.versions import load_policy
from config.settings import environment, load
from dataflows.cli.console import json_option, out, print_json, print_rows
from dataflows.cli.instant import Instant
from dataflows.cli.policy_options import config_option, folder_argument, named_folder
from dataflows.domain import load_contract_set

Row = dict[str, Any]
SHOWN = 3
"""Reasons for which a role may be asked that are named."""


@click.command()
@folder_argument
@click.option("--keys", "keys_file", type=click.Path(path_type=Path), metavar="FILE", help="Who may sign for what.")
@click.option("--at", type=Instant(), metavar="TIME", help="When keys have to be valid, and which policy is. [now]")
@config_option
@json_option
def owners(folder: Path | None, keys_file: Path | None, at: int | None, config: Path | None, as_json: bool) -> None:
    """Show who owns what: agents, contracts, playbooks, the rules, remedies and guardrails of the policy in DIR; and
    who can answer when a role is asked for consent.

    Exit with 1 where a role may be asked that nobody has a key for, or a name looks misspelt.

    \b
    Example:
      forestall owners my/policy --keys keys.yaml
    """
    now = time.time_ns() // 1000 if at is None else at
    settings, manifests = load(config, environment()), load_manifests()
    bundle = load_policy(named_folder(folder, config), manifests).at(now)
    if bundle is None:
        raise UsageError(f"No policy is in force at {to_text(now)}.", remedy="Name a later instant with --at.")
    keys = load_keys(keys_file or settings.approvals.keys)
    contracts, playbooks = load_contract_set(settings), load_playbooks(settings.remediation.playbooks)
    things = owned(manifests.values(), contracts, bundle, playbooks.values())
    counts = Counter((thing.owner, thing.kind) for thing in things)
    names = Counter(thing.owner for thing in things)
    roles = asked(bundle, keys, now)
    document: Row = {
        "policy": {"name": bundle.name, "version": bundle.version},
        "owners": [{"owner": name} | {kind: counts[name, kind] for kind in KINDS} for name in sorted(names)],
        "asked": [{"role": each.role, "people": list(each.people), "why": list(each.why)} for each in roles],
        "misspelt": [{"owner": name, "nearest": near} for name, near in sorted(misspelt(names).items())],
    }
    if as_json:
        print_json(document)
    else:
        _print(document)
    _judge(document, keys.owner)


def _judge(document: Row, keeper: str) -> None:
    nobody = [row["role"] for row in document["asked"] if not row["people"]]
    faults = [f"{name} may be asked for consent, and nobody has a key for it" for name in nobody]
    faults += [f"{row['owner']} owns one thing only: is it {row['nearest']}?" for row in document["misspelt"]]
    if faults:
        raise CheckFailed(
            f"{len(faults)} roles or owners lead to nobody:\n- " + "\n- ".join(faults),
            remedy="`forestall keys make` makes a key; its entry belongs in the key file (approvals.keys, or --keys), "
            f"which {keeper or 'whoever sets it up'} may change. Until then such a request is denied in the end.",
        )


def _print(document: Row) -> None:
    policy = document["policy"]
    out.print(f"policy {policy['name']!r}, version {policy['version']}", markup=False)
    print_rows("Who owns what", ("owner", *KINDS), document["owners"])
    rows = [
        {"role": row["role"], "people": ", ".join(row["people"]) or "nobody", "may_be_asked_by": _reasons(row["why"])}
        for row in document["asked"]
    ]
    print_rows("Who can consent", ("role", "people", "may_be_asked_by"), rows)


def _reasons(why: list[str]) -> str:
    more = f" and {len(why) - SHOWN} more" if len(why) > SHOWN else ""
    return ", ".join(why[:SHOWN]) + more
