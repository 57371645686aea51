"""`forestall agents`: who finds what, where each agent stands, and whether one can be taken out of service."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import click

from config.agents.load import Manifest, load_manifests
from config.clock import to_text
from config.errors import CheckFailed, UsageError
from dataflows.cli.console import ForestallGroup, counted, json_option, out, print_json, print_rows
from dataflows.cli.reports import store_option
from sinks import agents as under_way
from sinks.ledger import Ledger
from sinks.ledger_queries import holds_ledger
from sinks.store import Store

Row = dict[str, Any]

ledger_option = click.option(
    "--ledger", "ledger_url", metavar="URL", help="What was done of it. [in the store, if it is there]"
)


@click.group(cls=ForestallGroup)
def agents() -> None:
    """Show who finds what, and whether an agent can be taken out of service."""


@agents.command("list")
@click.option("--store", "store_url", metavar="URL", help="Count the cases of each in this store.")
@json_option
def list_(store_url: str | None, as_json: bool) -> None:
    """List the agents: who owns each, where it stands in its life, what it finds and may ask for.

    \b
    Example:
      forestall agents list --store sqlite:///var/world.db
    """
    found: dict[str, Row] = {}
    if store_url is not None:
        with Store.open(store_url) as store:
            found = under_way.cases_by_agent(store)
    rows = [_listed(manifest) | found.get(manifest.agent, {}) for manifest in load_manifests().values()]
    if as_json:
        print_json({"agents": rows})
        return
    print_rows(
        "Agents", ("agent", "lifecycle", "version", "owner", "escalation", "findings"), [_texts(r) for r in rows]
    )
    print_rows("What they may ask for", ("agent", "side_effects", "inputs"), [_texts(row) for row in rows])
    theirs = [_texts(row) for row in rows if "cases" in row]
    print_rows("Their cases", ("agent", "cases", "open", "opened_at"), theirs)


@agents.command()
@click.argument("agent")
@store_option
@ledger_option
@json_option
def drained(agent: str, store_url: str, ledger_url: str | None, as_json: bool) -> None:
    """Tell whether AGENT has nothing under way, so that it can be retired; exit with 1 where it has.

    Counted are actions that are not over, what people are asked for it, and effects of which nobody knows whether they
    are there. Its open cases are listed: whoever its escalation is takes them over.

    \b
    Example:
      forestall agents drained billing --store sqlite:///var/world.db
    """
    manifest = _named(agent)
    document: Row = {"agent": agent, "lifecycle": manifest.lifecycle, "hand_over_to": manifest.escalation}
    with ExitStack() as opened:
        store = opened.enter_context(Store.open(store_url))
        document |= {"cases": under_way.open_cases(store, agent), "requests": under_way.open_requests(store, agent)}
        document |= {"actions": [], "effects": []}
        if ledger_url is not None or holds_ledger(store):
            ledger = opened.enter_context(Ledger.open(ledger_url or store_url))
            document["actions"] = under_way.open_actions(ledger, agent)
            document["effects"] = under_way.uncertain_effects(ledger, agent)
        elif decided := under_way.decided_actions(store, agent):
            raise UsageError(
                f"{counted(decided, 'action was', 'actions were')} decided for {agent}, and without a ledger nobody "
                "knows whether they are over.",
                remedy="Give --ledger URL, that of `forestall run remediation`; or run `forestall remediate` first.",
            )
    hindrances = {name: len(document[name]) for name in ("actions", "requests", "effects")}
    document["drained"] = not any(hindrances.values())
    if as_json:
        print_json(document)
    else:
        _print_drained(document)
    if not document["drained"]:
        counts = ", ".join(f"{name}: {count}" for name, count in hindrances.items() if count)
        raise CheckFailed(
            f"{agent} has something under way: {counts}.",
            remedy=f"With `lifecycle: draining` in its manifest, which {manifest.owner} may change, nothing new is "
            "begun; wait until what is under way is over. `forestall actions show ID` tells what an action waits for.",
        )


def _named(agent: str) -> Manifest:
    manifests = load_manifests()
    if agent not in manifests:
        raise UsageError(f"There is no agent {agent!r}.", remedy=f"One of {', '.join(sorted(manifests))}.")
    return manifests[agent]


def _listed(manifest: Manifest) -> Row:
    names = ("agent", "lifecycle", "version", "owner", "escalation", "findings", "side_effects", "inputs")
    return {name: getattr(manifest, name) for name in names}


def _texts(row: Row) -> Row:
    texts = {name: ", ".join(value) if isinstance(value, list) else value for name, value in row.items()}
    return texts | ({"opened_at": to_text(row["opened_at"])} if "opened_at" in row else {})


def _print_drained(document: Row) -> None:
    print_rows("Actions that are not over", ("action_id", "remedy", "entity", "state"), document["actions"])
    asked = [
        row | {"roles": " or ".join(row["roles"]), "expires_at": to_text(row["expires_at"])}
        for row in document["requests"]
    ]
    print_rows("What people are asked", ("request_id", "remedy", "roles", "expires_at"), asked)
    columns = ("action_id", "step", "target", "key")
    print_rows("Effects of which nobody knows whether they are there", columns, document["effects"])
    title = f"Open cases, for {document['hand_over_to']} to take over"
    print_rows(title, ("case_id", "kind", "entity", "priority"), document["cases"])
    if document["drained"]:
        out.print(f"{document['agent']} ({document['lifecycle']}) has nothing under way.", markup=False)
