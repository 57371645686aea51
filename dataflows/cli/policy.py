"""`forestall policy …`: what decides, whether it holds, and why it decided as it did."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from config.agents.load import Manifest, load_manifests
from config.clock import TIME_MAX, to_text
from config.errors import CheckFailed
from config.keys import load_keys
from config.policies.bundle import Bundle
from config.policies.cases import load_cases
from config.policies.grants import ungranted
from config.policies.load import load_bundle
from config.policies.vain import vain
from config.policies.versions import load_policy, version_folders
from config.settings import environment, load
from dataflows.cli.console import ForestallGroup, counted, json_option, out, print_json, print_rows, table
from dataflows.cli.instant import Instant
from dataflows.cli.policy_diff import diff
from dataflows.cli.policy_explain import explain
from dataflows.cli.policy_options import config_option, folder_argument, named_folder
from dataflows.cli.policy_sign import sign
from dataflows.domain import judge_folder
from operators.policy_cases import Tested, coverage, run_cases
from operators.policy_trust import enforced

Row = dict[str, Any]


@click.group(cls=ForestallGroup)
def policy() -> None:
    """Check, test, explain and compare policies. DIR is a policy bundle; by default the one of the settings."""


policy.add_command(explain)
policy.add_command(diff)
policy.add_command(sign)


@policy.command()
@folder_argument
@click.option("--at", type=Instant(), metavar="TIME", help="What is in force then. [now]")
@click.option(
    "--enforce/--no-enforce", default=None, help="Whether versions have to be signed to decide. [policy.enforce]"
)
@click.option(
    "--keys", "keys_file", type=click.Path(path_type=Path), metavar="FILE", help="All public keys. [approvals.keys]"
)
@config_option
@json_option
def check(
    folder: Path | None,
    at: int | None,
    enforce: bool | None,
    keys_file: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Load the policy in DIR strictly; show its versions, who owns what, and what is wrong with it.

    Where versions have to be signed, tell who signed which, and what that comes to.

    Exit with 1 where a rule does what the agent of a finding is not granted, asks for a kind of finding that no agent
    makes, or a version may shadow only.

    \b
    Examples:
      forestall policy check config/policies/default
      forestall policy check my/policy --enforce --keys keys.yaml
    """
    now = time.time_ns() // 1000 if at is None else at
    settings, manifests = load(config, environment()), load_manifests()
    folder = named_folder(folder, config)
    trusts, named = [], keys_file or settings.approvals.keys
    if settings.policy.enforce if enforce is None else enforce:
        trusts = judge_folder(folder, manifests, load_keys(named))
    loaded = enforced(trusts) if trusts else load_policy(folder, manifests)
    dates = [bundle.effective_from for bundle in loaded.bundles]
    document: Row = {
        "name": loaded.first.name,
        "at": to_text(now),
        "versions": [
            _checked(bundle, manifests, loaded.at(now) is bundle, until, now)
            for bundle, until in zip(loaded.bundles, [*dates[1:], TIME_MAX], strict=True)
        ],
        "signatures": [
            {
                "version": trust.bundle.version,
                "change": trust.change,
                "needed": trust.needed,
                "signed_by": list(trust.signed.people),
                "faults": list(trust.signed.faults),
                "refusal": trust.refusal,
            }
            for trust in trusts
        ],
    }
    if as_json:
        print_json(document)
    else:
        _show_checked(document)
    faults = sum(len(version["ungranted"]) for version in document["versions"])
    asked = sum(len(version["vain"]) for version in document["versions"])
    if asked:
        raise CheckFailed(
            f"{counted(asked, 'value is', 'values are')} asked for in vain.",
            remedy="Correct the value; what no agent finds yet, its manifest has to name (config/agents).",
        )
    if faults:
        raise CheckFailed(
            f"{counted(faults, 'rule does', 'rules do')} what the agents of their findings are not granted.",
            remedy="Change the rule, or have the owner of the agent add the class to side_effects in its manifest.",
        )
    if loaded.shadow_only:
        raise CheckFailed(
            f"{counted(len(loaded.shadow_only), 'version', 'versions')} may shadow only.",
            remedy=f"Have them signed: `forestall policy sign`.{'' if named else NO_KEYS}",
        )


NO_KEYS = " No key is known: name the key file with --keys FILE, or as approvals.keys of the settings."
OWNED = ("rules", "remedies", "guardrails")


def _checked(bundle: Bundle, manifests: dict[str, Manifest], in_force: bool, until: int, now: int) -> Row:
    owned = Counter((rule.owner, "rules") for rule in bundle.rules)
    owned.update((remedy.owner, "remedies") for remedy in bundle.remedies.values())
    owned.update((guardrail.owner, "guardrails") for guardrail in bundle.guardrails)
    names = sorted({bundle.owner, *(owner for owner, _ in owned)})
    owners: list[Row] = [{"owner": name} | {what: owned[name, what] for what in OWNED} for name in names]
    return {
        "version": bundle.version,
        "hash": bundle.hash,
        "effective_from": to_text(bundle.effective_from),
        "until": to_text(until),
        "in_force": in_force,
        "escalation": bundle.escalation,
        "owners": owners,
        "modes": [
            {
                "mode": mode.mode,
                "agent": mode.agent,
                "kind": mode.kind,
                "rule": mode.rule,
                "when": mode.when.source if mode.when else "",
                "owner": mode.owner,
                "reason": mode.reason,
            }
            for mode in bundle.modes
        ],
        "expired_flags": [name for name, flag in bundle.flags.items() if flag.expires <= now],
        "ungranted": [
            {"agent": each.agent, "kind": each.kind, "rule": each.rule, "side_effect": each.side_effect}
            for each in ungranted(bundle, manifests)
        ],
        "vain": [
            {"where": each.where, "fact": each.fact, "value": each.value, "hint": each.hint}
            for each in vain(bundle, manifests)
        ],
    }


def _show_checked(document: Row) -> None:
    columns = ("version", "effective_from", "until", "in_force", "escalation", "hash")
    rows = [version | {"in_force": "yes" if version["in_force"] else "no"} for version in document["versions"]]
    print_rows(f"Policy {document['name']} at {document['at']}", columns, rows)
    signatures = [
        row | {"signed_by": ", ".join(row["signed_by"]), "may": "shadow only" if row["refusal"] else "decide"}
        for row in document["signatures"]
    ]
    print_rows("Signatures", ("version", "change", "needed", "signed_by", "may"), signatures)
    for row in signatures:
        if row["refusal"]:
            out.print(row["refusal"], markup=False)
    for version in document["versions"]:
        held = ("mode", "agent", "kind", "rule", "when", "owner", "reason")
        print_rows(f"How far it may go in {version['version']}", held, version["modes"])
        print_rows(f"Owners in {version['version']}", ("owner", *OWNED), version["owners"])
        print_rows(
            f"Not granted in {version['version']}", ("agent", "kind", "rule", "side_effect"), version["ungranted"]
        )
        print_rows(f"Asked for in vain in {version['version']}", ("where", "fact", "value", "hint"), version["vain"])
        if version["expired_flags"]:
            names = ", ".join(version["expired_flags"])
            out.print(f"switches (flags of the bundle) that have expired, and are off: {names}", markup=False)


@policy.command()
@folder_argument
@config_option
@json_option
def test(folder: Path | None, config: Path | None, as_json: bool) -> None:
    """Decide about the cases beside the bundle in DIR (cases/*.yaml), and tell which rules no case reaches.

    Exit with 1 where a case is decided otherwise than it says, or a rule is reached by none.

    \b
    Example:
      forestall policy test config/policies/default
    """
    versions = [_tested(each) for each in version_folders(named_folder(folder, config))]
    if as_json:
        print_json({"versions": versions})
    else:
        for version in versions:
            _show_tested(version)
    failed = sum(len(version["failed"]) for version in versions)
    uncovered = [rule for version in versions for rule in version["uncovered"]]
    if failed or uncovered:
        said = [f"{counted(failed, 'case is', 'cases are')} decided otherwise than said"] if failed else []
        said += [f"{counted(len(uncovered), 'rule is', 'rules are')} reached by no case"] if uncovered else []
        raise CheckFailed(
            f"{'; '.join(said)}.",
            remedy="Correct the rule or the case; write a case for each rule, or remove one that no facts can reach.",
        )


def _tested(folder: Path) -> Row:
    bundle = load_bundle(folder)
    tested = run_cases(bundle, load_cases(folder, bundle))
    reached = coverage(bundle, tested)
    covered = sum(1 for count in reached.values() if count)
    return {
        "name": bundle.name,
        "version": bundle.version,
        "hash": bundle.hash,
        "cases": len(tested),
        "failed": [_failed(each) for each in tested if each.differs],
        "rules": len(reached),
        "covered": covered,
        "coverage": round(covered / len(reached), 4),
        "uncovered": [rule for rule, count in reached.items() if not count],
        "cases_by_rule": reached,
    }


def _failed(tested: Tested) -> Row:
    return {
        "name": tested.case.name,
        "where": tested.case.where,
        "differs": {name: {"expected": wanted, "decided": got} for name, (wanted, got) in tested.differs.items()},
        "rule": tested.verdict.rule,
        "error": tested.verdict.error,
    }


def _show_tested(version: Row) -> None:
    rows = [(rule, count, "" if count else "no case") for rule, count in version["cases_by_rule"].items()]
    out.print(table(f"Rules of version {version['version']}", ("rule", "cases", ""), rows))
    for case in version["failed"]:
        out.print(f"{case['where']}: {case['name']}", markup=False)
        for name, each in case["differs"].items():
            out.print(f"  {name}: {each['expected']!r} expected, {each['decided']!r} decided", markup=False)
        out.print(f"  by rule {case['rule']} {case['error']}".rstrip(), markup=False)
    out.print(
        f"{version['cases']} cases, {len(version['failed'])} failed; {version['covered']} of {version['rules']} rules "
        f"reached ({version['coverage']:.0%})"
    )
