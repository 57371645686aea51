"""Holds a policy against manifests: no rule does about a finding what its agent may not ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from config.agents.load import Manifest
from config.policies.bundle import Bundle, Rule


@dataclass(frozen=True, slots=True)
class Ungranted:
    """A rule that may do what is not granted."""

    agent: str
    kind: str
    rule: str
    side_effect: str


def reachable(bundle: Bundle, kind: str) -> Iterator[Rule]:
    """Yield the rules that may decide about findings of `kind`: up to the first that always fires."""
    for rule in bundle.plan(kind).rules:
        yield rule
        if rule.when.source == "true":
            return
    yield bundle.default


def ungranted(bundle: Bundle, manifests: Mapping[str, Manifest]) -> list[Ungranted]:
    """Return the rules that may do about an agent's findings what its manifest does not grant."""
    return [
        Ungranted(agent, kind, rule.id, remedy.side_effect)
        for agent, manifest in manifests.items()
        for kind in manifest.findings
        for rule in reachable(bundle, kind)
        if (remedy := bundle.remedies.get(rule.remedy)) and remedy.side_effect not in manifest.side_effects
    ]
