"""Cases of a policy: facts, and what must be decided on them. They stand beside the bundle, in `cases/*.yaml`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from config.clock import from_text
from config.errors import PolicyError
from config.policies.bundle import DEFAULT_RULE, ESCALATION_RULE, Bundle
from config.policies.documents import Outcome, Value
from config.policies.read import read_part
from config.policies.rules import known
from config.yaml_source import Source

FOLDER = "cases"


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What must be decided; what is left out may be anything."""

    outcome: Outcome
    remedy: str | None = None
    """"" for none."""
    rule: str | None = None
    """`table/rule`, `default` or `escalation`."""
    parameters: dict[str, Value] | None = None
    shadow: str | None = None
    """The rule that decides in shadow; "" for none."""


class CaseDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case."""

    name: str
    """What it shows, as a sentence."""
    expect: Expected
    facts: dict[str, Value] = {}
    """On top of those that all cases of the file share; an instant is RFC 3339 text."""


class CasesDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of cases."""

    owner: str
    cases: list[CaseDocument]
    given: dict[str, Value] = {}
    """Facts of all cases of this file."""


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """A case, ready to be decided."""

    name: str
    where: str
    """File and line."""
    facts: Mapping[str, Value]
    expect: Expected


def load_cases(folder: Path, bundle: Bundle) -> list[PolicyCase]:
    """Return the cases beside the bundle in `folder`, in the order of files and lines; none where there are none.

    Raises:
        PolicyError: a file is no YAML, a field, fact, rule or remedy is unknown, or a name is there twice.
    """
    found: list[PolicyCase] = []
    for file in sorted((folder / FOLDER).glob("*.yaml")):
        found += _read(read_part(file, CasesDocument), bundle)
    names: dict[str, str] = {}
    for case in found:
        if case.name in names:
            raise PolicyError(
                f"{case.where}: case {case.name!r} is at {names[case.name]} too", remedy="Give each case its own name."
            )
        names[case.name] = case.where
    return found


def _read(source: Source[CasesDocument], bundle: Bundle) -> Iterable[PolicyCase]:
    document = source.document
    if not document.owner.strip():
        raise PolicyError(f"{source.at('owner')}: owner is empty", remedy="Fill in owner.")
    known(source.at("given"), "fact", document.given, bundle.facts)
    rules = [*(rule.id for rule in bundle.rules), DEFAULT_RULE, ESCALATION_RULE]
    flags = {name: flag.value for name, flag in bundle.flags.items()}
    for position, case in enumerate(document.cases):
        where = source.at("cases", position)
        if not case.name.strip():
            raise PolicyError(f"{where}: name is empty", remedy="Say what the case shows.")
        rule, remedy, which = case.expect.rule, case.expect.remedy, f"{where}: case {case.name!r}"
        known(which, "fact", case.facts, bundle.facts)
        known(which, "rule", [name for name in (rule, case.expect.shadow) if name], rules)
        known(which, "remedy", [remedy] if remedy else [], bundle.remedies)
        facts = flags | document.given | case.facts
        yield PolicyCase(
            case.name, where, {name: _value(bundle, name, value) for name, value in facts.items()}, case.expect
        )


def _value(bundle: Bundle, name: str, value: Value) -> Value:
    if bundle.facts[name].type == "instant" and isinstance(value, str):
        try:
            return from_text(value)
        except ValueError:
            return value  # The policy sees text where an instant belongs, as it would of an event.
    return value
