"""`forestall policy explain`: why a case was decided as it was, and what would have changed it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from config.clock import to_text
from config.policies.bundle import Bundle, show
from config.policies.versions import Versions
from dataflows.cli.console import json_option, out, print_json, print_rows, table
from dataflows.cli.policy_options import config_option, load_named
from dataflows.cli.reports import store_option
from operators.explain import flips, lifted, near_rules
from operators.policy import decide
from sinks import queries
from sinks.store import Store

Row = dict[str, Any]


@click.command()
@click.argument("case_id", metavar="CASE")
@store_option
@click.option(
    "--policy", "folder", type=click.Path(path_type=Path), metavar="DIR", help="The policy it was decided by."
)
@click.option("--all", "everything", is_flag=True, help="All decisions of the case, not only the last.")
@config_option
@json_option
def explain(
    case_id: str, store_url: str, folder: Path | None, everything: bool, config: Path | None, as_json: bool
) -> None:
    """Tell why CASE was decided as it was: facts, the rule that fired, those that nearly did and what they lacked, and
    which other value of a single fact would have led to another decision. The start of an id will do.

    Each decision is derived again from its recorded facts, by the version of the policy whose hash it names.

    \b
    Example:
      forestall policy explain 5f1c93 --store sqlite:///var/world.db
    """
    policy = load_named(folder, config)
    with Store.open(store_url) as opened:
        whole_id, decisions = queries.decisions_of(opened, case_id)
    explained = [explanation(policy, decision) for decision in decisions]
    if as_json:
        print_json({"case": whole_id, "decisions": explained})
        return
    rows = [
        row | {"at": to_text(row["at"]), "bundle": row["bundle"][:12], "shadow": "in shadow" if row["shadow"] else ""}
        for row in explained
    ]
    print_rows(f"Decisions of case {whole_id}", ("at", "outcome", "remedy", "rule", "shadow", "bundle"), rows)
    for decision in explained if everything else explained[-1:]:
        _show(decision)


def explanation(policy: Versions, decision: Row) -> Row:
    """Return what is to be said of a recorded decision; without its bundle, only what was recorded."""
    bundle = next((each for each in policy.bundles if each.hash == decision["bundle"]), None)
    shadow = bool(decision.get("shadow"))
    document = {"decision_id": decision["shadow_id" if shadow else "decision_id"], "shadow": shadow}
    document |= {name: decision[name] for name in ("at", "outcome", "remedy", "rule", "reason", "bundle", "facts")}
    if bundle is None:
        near = [{"rule": rule, "outcome": None, "remedy": None, "lacks": []} for rule in decision["nearly"]]
        return document | {"version": None, "derived_again": None, "nearly": near, "flips": []}
    version, bundle = bundle.version, lifted(bundle) if shadow else bundle
    verdict = decide(bundle, decision["facts"])
    return document | {
        "version": version,
        "derived_again": (verdict.rule, verdict.remedy) == (decision["rule"], decision["remedy"]),
        "wanted": verdict.wanted or verdict.outcome,
        "shown": shown_facts(bundle, decision["facts"]),
        "nearly": [asdict(each) for each in near_rules(bundle, decision["facts"], verdict)],
        "flips": [asdict(each) for each in flips(bundle, decision["facts"], verdict)],
    }


def shown_facts(bundle: Bundle, facts: Row) -> Row:
    """Return facts as a person reads them."""
    return {
        name: show(value, bundle.facts[name].type) if name in bundle.facts else str(value)
        for name, value in facts.items()
    }


def _show(decision: Row) -> None:
    says = f"{'in shadow: ' if decision['shadow'] else ''}{decision['outcome']} {decision['remedy']}".rstrip()
    out.print(f"{to_text(decision['at'])}: {says}, by rule {decision['rule']}", markup=False)
    out.print(f"  {decision['reason']}", markup=False)
    if decision["version"] is None:
        out.print(
            f"  Decided by bundle {decision['bundle'] or '(none in force)'}, which is no version of the policy at "
            "hand: name its folder with --policy DIR to see what would have changed it.",
            markup=False,
        )
        out.print(table("Facts", ("fact", "value"), decision["facts"].items()))
        return
    again = "derived again from the facts: the same" if decision["derived_again"] else "DERIVED AGAIN, IT DIFFERS"
    out.print(f"  version {decision['version']}, bundle {decision['bundle']}; {again}", markup=False)
    if decision["wanted"] != decision["outcome"]:
        out.print(f"  The rule says {decision['wanted']}; what holds it back stands in the reason.")
    out.print(table("Facts", ("fact", "value"), decision["shown"].items()))
    near = [row | {"lacks": "; ".join(row["lacks"])} for row in decision["nearly"]]
    print_rows("Rules that nearly fired", ("rule", "outcome", "remedy", "lacks"), near)
    columns = ("fact", "value", "instead", "outcome", "remedy", "rule")
    print_rows("What one other fact would have changed", columns, decision["flips"])
