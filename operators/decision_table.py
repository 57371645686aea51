"""A policy as one finite decision table for a kind of finding: in which boxes of facts it says what.

Modes are part of it: rules that are off or in shadow are not in it, and where a condition cannot be evaluated it asks
for a person, as the evaluation core does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from config.agents.load import Manifest
from config.findings import FLEET_AGENT
from config.policies.bundle import Bundle, Rule
from config.policies.conditions import Atom, atoms, take_apart
from config.policies.documents import OUTCOMES, FactDocument
from config.policies.modes import Entry
from config.policies.regions import OTHER, Region, regions_by_fact
from operators.boxes import Boxes, Space, meet, minus
from operators.explain import atoms_of
from operators.policy import FAMILIES_MIN, NOTHING, Verdict, escalated, unfilled

AGENT, KIND, MODE, FAMILIES = "agent", "kind", "mode", "source_families"
FALLIBLE = re.compile(r"[\[/%]|\b(?:int|matches|all|exists|exists_one|map|filter)\b")
"""What may fail whatever the types: a position, a division, a conversion, a pattern."""
JOB_MODES = tuple(reversed(OUTCOMES))
"""An example had better be of a job that holds nothing back."""
WANTED = f"{FAMILIES} >= {FAMILIES_MIN}.0"
"""What money wants."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: the first whose boxes hold the facts decides."""

    boxes: Boxes
    verdict: Verdict
    """As the rule says it, with its parameters as they are written."""
    mode: Entry | None


def agents_of(kind: str, manifests: Iterable[Manifest]) -> tuple[str, ...]:
    """Return whose findings are of a kind; all that there are, and one more, for a kind that nobody names."""
    known = [manifest.agent for manifest in manifests]
    named = [manifest.agent for manifest in manifests if kind in manifest.findings]
    return tuple(named) or (*known, FLEET_AGENT, OTHER)


def space_of(bundles: Sequence[Bundle], kind: str, agents: Sequence[str]) -> Space:
    """Return the space of the facts that the conditions of any of `bundles` name for findings of a kind.

    Args:
        bundles: They share the facts of a name; the types are those of the last that declares it.
        kind: Of finding.
        agents: Whose findings they may be.
    """
    facts = {FAMILIES: FactDocument("number", "")} | {
        name: fact for bundle in bundles for name, fact in bundle.facts.items()
    }
    named = [atom for bundle in bundles for atom in atoms_of(bundle, kind)]
    # What bounds a verdict beside its conditions is looked at too.
    found: dict[str, Sequence[Region]] = dict(regions_by_fact(facts, [*named, *atoms(take_apart(WANTED))]))
    others = [region for region in found.get(AGENT, ()) if region.sample not in agents] if len(agents) > 1 else []
    found[AGENT] = (*map(Region, agents), *others)
    found[KIND] = (Region(kind),)
    found[MODE] = tuple(map(Region, JOB_MODES))
    given = {KIND} | ({AGENT} if len(found[AGENT]) == 1 else set())
    opaque = {
        atom.expression.source: _may_fail(atom, facts)
        for atom in named
        if atom.constants is None and not atom.expression.names <= given
    }
    return Space(found, opaque)


def _may_fail(atom: Atom, facts: Mapping[str, FactDocument]) -> bool:
    """Return whether a calculation may come to an error: of numbers alone that are there, none does."""
    numbers = all(facts[name].type == "number" and not facts[name].nullable for name in atom.expression.names)
    return not numbers or FALLIBLE.search(atom.expression.source) is not None


def table_of(bundle: Bundle, kind: str, space: Space) -> list[Line]:
    """Return what `bundle` says about findings of a kind, line by line; the last line holds all facts.

    Raises:
        TooComplex: a condition comes to too many boxes.
    """
    plan = bundle.plan(kind)
    lines: list[Line] = []
    for rule in (*plan.rules, bundle.default):
        true, false = space.truth(take_apart(rule.when.source))
        error = minus([space.full], true + false)
        for boxes, mode in _modes(plan.modes, rule, space):
            lines.append(Line(meet(error, boxes), escalated(bundle, f"rule {rule.id}"), None))
            lines.append(Line(meet(true, boxes), unfilled(rule), mode))
    lines.append(Line([space.full], NOTHING, None))
    return [line for line in lines if line.boxes]


def _modes(modes: Sequence[Entry], rule: Rule, space: Space) -> Iterator[tuple[Boxes, Entry | None]]:
    """Yield where which mode holds for a rule, without where it is off or in shadow; None where none does."""
    left: Boxes = [space.full]
    for mode in modes:
        covered = {region.sample for region in space.regions[AGENT] if mode.covers(str(region.sample), rule.id)}
        boxes = space.having(AGENT, covered.__contains__)
        if mode.when is not None:
            # A segment that cannot be told is taken for met.
            boxes = minus(boxes, space.truth(take_apart(mode.when.source))[1])
        if mode.is_live and (held := meet(left, boxes)):
            yield held, mode
        left = minus(left, boxes)
    if left:
        yield left, None
