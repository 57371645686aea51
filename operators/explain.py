"""Explains a verdict: which rules nearly fired and what they lacked, and which other value of a single fact would have
led to another one. Nothing is said that the rules do not bear out: each alternative was decided to find it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from config.errors import ExpressionError
from config.expressions import Bound
from config.policies.bundle import Bundle, Rule, show
from config.policies.conditions import Atom, atoms, take_apart
from config.policies.documents import Outcome
from config.policies.regions import Region, describe, regions_by_fact
from operators.policy import Verdict, decide

GIVEN = frozenset({"kind", "agent", "entity_kind"})
"""Facts that say what was found: with another value it is another case."""


@dataclass(frozen=True, slots=True)
class Near:
    """A rule that would have fired but for one condition."""

    rule: str
    outcome: Outcome
    remedy: str
    lacks: tuple[str, ...]
    """The conditions that did not hold."""


@dataclass(frozen=True, slots=True)
class Flip:
    """Another value of one fact, and what would have been decided on it."""

    fact: str
    value: str
    """As it is."""
    instead: str
    """As it would have to be: `>= 0.9`."""
    outcome: Outcome
    remedy: str
    rule: str


def lifted(bundle: Bundle) -> Bundle:
    """Return `bundle` with what is in shadow, or held back otherwise, as if it were not; what is off stays off."""
    return replace(bundle, modes=tuple(mode for mode in bundle.modes if mode.mode == "off"))


def near_rules(bundle: Bundle, facts: Mapping[str, Any], verdict: Verdict) -> list[Near]:
    """Return the rules that nearly fired, in the order in which they are tried."""
    rules = {rule.id: rule for rule in bundle.rules}
    try:
        bound = Bound(bundle.bindable(facts))
    except ExpressionError:
        return []
    return [
        Near(rule.id, rule.outcome, rule.remedy, _lacking(rule, bound))
        for rule in map(rules.__getitem__, verdict.nearly)
    ]


def flips(bundle: Bundle, facts: Mapping[str, Any], verdict: Verdict) -> list[Flip]:
    """Return, fact by fact, the values that would have led to another outcome or remedy."""
    found = []
    named = regions_by_fact(bundle.facts, atoms_of(bundle, facts["kind"]) if isinstance(facts.get("kind"), str) else [])
    for name, its in named.items():
        if name in GIVEN or name not in facts:
            continue
        fact_type = bundle.facts[name].type
        verdicts = {region: _instead(bundle, facts, name, region, its) for region in its}
        for other, run in groupby(its, verdicts.__getitem__):
            if other is not None and (other.outcome, other.remedy) != (verdict.outcome, verdict.remedy):
                instead = describe(list(run), fact_type)
                found.append(Flip(name, show(facts[name], fact_type), instead, other.outcome, other.remedy, other.rule))
    return found


def atoms_of(bundle: Bundle, kind: str) -> list[Atom]:
    """Return the atoms of all conditions that bear on findings of `kind`."""
    plan = bundle.plan(kind)
    conditions = [rule.when for rule in plan.rules] + [mode.when for mode in plan.modes if mode.when is not None]
    return [atom for condition in conditions for atom in atoms(take_apart(condition.source))]


def _instead(
    bundle: Bundle, facts: Mapping[str, Any], name: str, region: Region, among: Sequence[Region]
) -> Verdict | None:
    """Return what is decided on a value of another region, without what tells equal verdicts apart."""
    if region.holds(facts[name], among):
        return None
    verdict = decide(bundle, {**facts, name: region.sample})
    return Verdict(verdict.outcome, verdict.remedy, verdict.rule, "")


def _lacking(rule: Rule, bound: Bound) -> tuple[str, ...]:
    return tuple(part.source for part in rule.conjuncts if not _holds(part, bound))


def _holds(part: Any, bound: Bound) -> bool:
    try:
        return bool(part.holds(bound))
    except ExpressionError:
        return False
