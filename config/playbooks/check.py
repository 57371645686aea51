"""Whether playbooks and a policy fit each other: each remedy has a playbook, and gets what it needs from the policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from config.actions import ValueType
from config.playbooks.model import NamedType, Playbook
from config.policies.bundle import PLACEHOLDER, Bundle, Rule
from config.policies.documents import FactDocument


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something that does not fit, and who may change it."""

    playbook: str
    trouble: str
    remedy: str


def mismatches(playbooks: Mapping[str, Playbook], bundle: Bundle) -> list[Mismatch]:
    """Return what of `playbooks` and `bundle` does not fit each other, in the order of their names."""
    found = [
        Mismatch(
            name,
            f"policy {bundle.name!r} has this remedy, and there is no playbook for it",
            f"Write {name}.yaml, or have {bundle.owner} take the remedy out of the policy.",
        )
        for name in bundle.remedies
        if name not in playbooks
    ]
    for name, playbook in playbooks.items():
        if name not in bundle.remedies:
            trouble = f"policy {bundle.name!r} has no such remedy"
            found.append(Mismatch(name, trouble, f"Have {bundle.owner} add the remedy, or remove the playbook."))
        else:
            found += [Mismatch(name, *one) for one in _of_remedy(playbook, bundle)]
    return sorted(found, key=lambda one: (one.playbook, one.trouble))


def _of_remedy(playbook: Playbook, bundle: Bundle) -> Iterator[tuple[str, str]]:
    remedy, ask = bundle.remedies[playbook.name], f"Ask {playbook.owner}, who own the playbook, or {bundle.owner}."
    if remedy.system not in playbook.targets:
        systems = ", ".join(sorted(playbook.targets))
        yield f"the policy says that it acts on {remedy.system!r}, but it acts on {systems}", ask
    if remedy.reversible and not playbook.is_reversible:
        yield "the policy says that it can be undone, but a step of it cannot", ask
    for name, named in playbook.facts.items():
        fact = bundle.facts.get(name)
        if fact is None:
            yield f"it uses the fact {name!r}, which the policy does not declare", ask
        elif wrong := _misfit(named, fact.type, nullable=fact.nullable):
            yield f"it uses the fact {name!r} as {wrong}", ask
    for rule in bundle.rules:
        if rule.remedy == playbook.name and rule.outcome != "observe":
            yield from ((trouble, ask) for trouble in _of_rule(playbook, rule, bundle.facts))


def _of_rule(playbook: Playbook, rule: Rule, facts: Mapping[str, FactDocument]) -> Iterator[str]:
    for name, named in playbook.inputs.items():
        if name not in rule.parameters:
            if not named.nullable:
                yield f"rule {rule.id} does not give it the parameter {name!r}"
            continue
        value = rule.parameters[name]
        alone = PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
        if alone is not None:
            fact = facts[alone[1]]
            # A rule that has looked whether a fact is null may give it to what wants none.
            nullable = fact.nullable and alone[1] not in rule.when.names
            wrong = _misfit(named, fact.type, nullable=nullable)
        else:
            wrong = _misfit(named, _type_of(value), nullable=value is None)
        if wrong:
            yield f"rule {rule.id} gives it the parameter {name!r} as {wrong}"


def _misfit(named: NamedType, given: ValueType | None, *, nullable: bool) -> str:
    """Return how a value differs from what is wanted, "" where it does not."""
    if given is not None and given != named.type:
        return f"a {given}, which it wants as a {named.type}"
    if nullable and not named.nullable:
        return f"a {named.type} that may be null, which it must not be"
    return ""


def _type_of(value: object) -> ValueType | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "bool"
    return "string" if isinstance(value, str) else "number"
