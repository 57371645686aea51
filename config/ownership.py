"""Who owns what, who may be asked to consent, and whether anybody is there who can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from config.agents.load import Manifest
from config.contracts.model import Contract
from config.keys import Keys
from config.playbooks.model import Playbook
from config.policies.bundle import Bundle

KINDS = ("agents", "contracts", "rules", "remedies", "guardrails", "playbooks")


@dataclass(frozen=True, slots=True)
class Owned:
    """Something that has an owner."""

    kind: str
    """One of `KINDS`."""
    name: str
    owner: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A role that may be asked for consent."""

    role: str
    why: tuple[str, ...]
    """What it may be asked by: `rule fraud/hold`, `ladder of payment-risk`, …"""
    people: tuple[str, ...]
    """Who has a key for it at that instant."""


def owned(
    manifests: Iterable[Manifest], contracts: Iterable[Contract], bundle: Bundle, playbooks: Iterable[Playbook]
) -> list[Owned]:
    """Return all that has an owner. Nothing that has none can be loaded."""
    return [
        *(Owned("agents", manifest.agent, manifest.owner) for manifest in manifests),
        *(Owned("contracts", contract.type, contract.owner) for contract in contracts),
        *(Owned("rules", rule.id, rule.owner) for rule in bundle.rules),
        *(Owned("remedies", remedy.name, remedy.owner) for remedy in bundle.remedies.values()),
        *(Owned("guardrails", guardrail.name, guardrail.owner) for guardrail in bundle.guardrails),
        *(Owned("playbooks", playbook.name, playbook.owner) for playbook in playbooks),
    ]


def asked(bundle: Bundle, keys: Keys, at: int) -> list[Asked]:
    """Return the roles that a policy may ask for consent, by name.

    Any rule that acts may have to ask, by a mode, by what was earned, or by poor data; so it counts as one that does.

    Args:
        bundle: The policy.
        keys: Who can sign for which role.
        at: When, microseconds: a key must be valid then.
    """
    why: dict[str, list[str]] = {bundle.escalation: ["escalation of the policy"]}
    for rule in bundle.rules:
        if rule.outcome in ("approve", "act"):
            why.setdefault(rule.owner, []).append(f"rule {rule.id}")
    for guardrail in bundle.guardrails:
        if guardrail.then == "approve":
            why.setdefault(guardrail.owner, []).append(f"guardrail {guardrail.name}")
    for role in list(why):
        for rung in bundle.approvals.ladder(role):
            why.setdefault(rung.to, []).append(f"ladder of {role}")
    return [Asked(role, tuple(why[role]), _people(keys, role, at)) for role in sorted(why)]


def misspelt(names: Mapping[str, int]) -> dict[str, str]:
    """Return owners that own one thing only and are called nearly as one that owns more, with that one.

    Args:
        names: How many things each owns.
    """
    found = {}
    for name, count in names.items():
        others = [other for other, owns in names.items() if owns > count and other != name]
        near = get_close_matches(name, others, n=1, cutoff=0.85) if count == 1 else []
        if near:
            found[name] = near[0]
    return found


def _people(keys: Keys, role: str, at: int) -> tuple[str, ...]:
    valid = (key for owned_by in keys.by_person.values() for key in owned_by if role in key.roles)
    return tuple(sorted({key.person for key in valid if key.is_valid(at)}))
