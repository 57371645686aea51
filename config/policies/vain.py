"""Conditions that ask in vain: for a kind of finding that no agent makes, an agent or a remedy that there is not.

Bundles load with them, for an agent may be added later; `forestall policy check` tells of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from config.agents.load import Manifest
from config.findings import FLEET_AGENT, FLEET_KINDS
from config.policies.bundle import Bundle
from config.policies.conditions import atoms, take_apart
from config.shapes import nearest


@dataclass(frozen=True, slots=True)
class Vain:
    """A value that a fact never has."""

    where: str
    """Whose condition: a rule, a mode, a segment, a table."""
    fact: str
    value: str
    hint: str
    """The nearest value that there is, and all of them."""


def vain(bundle: Bundle, manifests: Mapping[str, Manifest]) -> list[Vain]:
    """Return what conditions and patterns of a bundle ask for that is never so."""
    known = {
        "kind": sorted({*FLEET_KINDS, *(kind for manifest in manifests.values() for kind in manifest.findings)}),
        "agent": [*manifests, FLEET_AGENT],
        "open_remedy": ["", *bundle.remedies],
    }
    found = [
        Vain(where, name, value, nearest(value, known[name]))
        for where, source in _conditions(bundle)
        for atom in atoms(take_apart(source))
        for name in sorted(atom.expression.names & known.keys())
        for value in atom.constants or ()
        if isinstance(value, str) and value not in known[name]
    ]
    found += [
        Vain(where, "kind", pattern, nearest(pattern, known["kind"]))
        for where, pattern in _patterns(bundle)
        if not any(fnmatchcase(kind, pattern) for kind in known["kind"])
    ]
    return found


def _conditions(bundle: Bundle) -> Iterator[tuple[str, str]]:
    for rule in bundle.rules:
        yield f"rule {rule.id}", rule.when.source
    for mode in bundle.modes:
        if mode.when is not None:
            yield f"mode {mode.mode}", mode.when.source
    for name, segment in bundle.autonomy.segments:
        yield f"segment {name}", segment.source


def _patterns(bundle: Bundle) -> Iterator[tuple[str, str]]:
    for patterns, rules in bundle.tables:
        table = rules[0].id.partition("/")[0] if rules else "without rules"
        for pattern in patterns:
            yield f"table {table}", pattern
    for mode in bundle.modes:
        yield f"mode {mode.mode}", mode.kind
