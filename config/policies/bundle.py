"""What a policy bundle is: typed facts, remedies, and decision tables of ordered rules, with conditions compiled.

It is made by `config/policies/load.py` of the files that `config/policies/documents.py` describes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, get_args

from config.clock import to_text
from config.errors import ExpressionError
from config.expressions import Block, Bound, Expression
from config.findings import Severity
from config.money import AMOUNT_MAX, money
from config.policies.approvals import Approvals
from config.policies.autonomy import Autonomy
from config.policies.documents import OUTCOMES, FactDocument, FactType, Outcome, Value
from config.policies.guardrails import Guardrails
from config.policies.modes import Entry

PLACEHOLDER = re.compile(r"\{(\w+)\}")
"""`{fact}` in a reason or a parameter."""

BLOCK_RULES = 25
"""Rules evaluated at a time: more cost less each, but those behind the first match are evaluated in vain."""

PROVIDED: dict[str, tuple[FactType, bool]] = {
    "kind": ("string", False),
    "agent": ("string", False),
    "entity_kind": ("string", False),
    "severity": ("string", False),
    "confidence": ("number", False),
    "kind_confidence": ("number", False),
    "source_families": ("number", False),
    "evidence_age_hours": ("number", False),
    "priority": ("number", False),
    "money_at_risk": ("number", False),
    "lead_hours": ("number", True),
    "harm_at": ("instant", True),
    "findings": ("number", False),
    "reopened": ("number", False),
    "open_cases": ("number", False),
    "linked": ("bool", False),
    "contacts_30d": ("number", False),
    "open_remedy": ("string", False),
    "last_outcome": ("string", False),
    "mode": ("string", False),
    "data_quality": ("number", False),
}
"""Type, and whether it may be null, of each fact that the decision step provides; all others are evidence features."""

VALUES: Mapping[str, tuple[str, ...]] = {
    "severity": get_args(Severity),
    "mode": OUTCOMES,
    "last_outcome": ("", "verified", "ineffective", "inconclusive", "settled", "compensated", "refused", "escalated"),
}
"""All that a provided fact can be, where that is settled here."""

DEFAULT_RULE = "default"
ESCALATION_RULE = "escalation"
NO_RULE = "none"
"""What stands for the rule where all that match are off or in shadow."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """Something that can be done, ready to use."""

    name: str
    system: str
    valid_for: timedelta
    contacts_customer: bool
    moves_money: bool
    reversible: bool
    description: str = ""
    side_effect: str = ""
    owner: str = ""
    money_max: int | None = None
    """Millionths of a currency unit; None without a limit."""

    def money(self, at_risk: float) -> int:
        """Return how much money it moves at the most for a case, in millionths."""
        if not self.moves_money or at_risk <= 0:
            return 0
        # What is no number, or beyond all measure, is too much for any limit.
        amount = money(at_risk if at_risk < AMOUNT_MAX else AMOUNT_MAX)
        return amount if self.money_max is None else min(amount, self.money_max)


@dataclass(frozen=True, slots=True)
class Flag:
    """A switch."""

    value: bool
    expires: int
    """From then on, µs of event time, it is off."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its condition compiled."""

    id: str
    """`table/rule`."""
    when: Expression
    conjuncts: tuple[Expression, ...]
    """The top-level conjuncts of `when`."""
    outcome: Outcome
    remedy: str
    reason: str
    parameters: Mapping[str, Value]
    owner: str
    """Who may change it, and is asked for consent."""
    escalation: str
    """Who is asked when nobody else knows."""

    @property
    def names(self) -> frozenset[str]:
        """The facts that its condition, its reason and its parameters refer to."""
        texts = [self.reason, *(value for value in self.parameters.values() if isinstance(value, str))]
        return self.when.names.union(*(PLACEHOLDER.findall(text) for text in texts))

    def is_excluded(self, kind: Bound) -> bool:
        """Return whether a conjunct about the kind alone is false, so that the rule cannot fire for it.

        Whatever the other conjuncts are: in CEL `false && x` is false even where x is an error.
        """
        try:
            return not all(part.holds(kind) for part in self.conjuncts if part.names == {"kind"})
        except ExpressionError:
            return False


@dataclass(frozen=True)
class Bundle:
    """A loaded, checked policy."""

    name: str
    owner: str
    escalation: str
    version: str
    effective_from: int
    """It decides from then on, µs of event time."""
    hash: str
    """BLAKE2b-128 over the canonical content and the manifests of all agents: comments, layout and file names do not
    count."""
    facts: Mapping[str, FactDocument]
    """What conditions may name, flags too."""
    flags: Mapping[str, Flag]
    remedies: Mapping[str, Remedy]
    tables: tuple[tuple[tuple[str, ...], tuple[Rule, ...]], ...]
    """(patterns of kinds, rules) of each table, in order."""
    default: Rule
    modes: tuple[Entry, ...] = ()
    """How far agents, rules and segments may go, the tightest first."""
    approvals: Approvals = field(default_factory=Approvals)
    """How people are asked."""
    autonomy: Autonomy = field(default_factory=Autonomy)
    """How far remedies may go by themselves."""
    guardrails: Guardrails = field(default_factory=Guardrails)
    """How much may be done, whatever rules say."""
    _by_kind: dict[str, Plan] = field(default_factory=dict, init=False, repr=False, compare=False)

    def plan(self, kind: str) -> Plan:
        """Return the rules to try for findings of `kind`, and the facts they need."""
        plan = self._by_kind.get(kind)
        if plan is None:
            bound = Bound({"kind": kind})
            rules = tuple(
                rule
                for patterns, rules in self.tables
                if any(fnmatchcase(kind, pattern) for pattern in patterns)
                for rule in rules
                if not rule.is_excluded(bound)
            )
            modes = tuple(entry for entry in self.modes if fnmatchcase(kind, entry.kind))
            segments = [entry.when.names for entry in modes if entry.when is not None]
            names = sorted(self.default.names.union(*(rule.names for rule in rules), *segments))
            plan = Plan(
                rules,
                tuple(
                    (start, Block.of(tuple(rule.when for rule in rules[start : start + BLOCK_RULES])))
                    for start in range(0, len(rules), BLOCK_RULES)
                ),
                tuple((name, self.facts[name].type, self.facts[name].nullable) for name in names),
                modes,
            )
            # Kinds come from manifests and are few; the bound only guards against a flood of invented ones.
            if len(self._by_kind) < 1_000:
                self._by_kind[kind] = plan
        return plan

    def flags_at(self, now: int) -> dict[str, bool]:
        """Return which flags are on at an event time, by name."""
        return {name: flag.value and now < flag.expires for name, flag in self.flags.items()}

    def bindable(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return the declared ones of `facts` as conditions see them: CEL adds no integer to a float."""
        return {
            name: float(value) if self.facts[name].type == "number" and type(value) is int else value
            for name, value in facts.items()
            if name in self.facts
        }

    @property
    def features(self) -> frozenset[str]:
        """Evidence features that facts are taken from."""
        return frozenset(fact.reads for fact in self.facts.values() if fact.reads)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, in order."""
        return tuple(rule for _, rules in self.tables for rule in rules)


@dataclass(frozen=True, slots=True)
class Plan:
    """What deciding about one kind of finding takes."""

    rules: tuple[Rule, ...]
    """Those that can fire at all for this kind, in order."""
    blocks: tuple[tuple[int, Block], ...]
    """Their conditions in blocks, each with the position of its first rule."""
    facts: tuple[tuple[str, FactType, bool], ...]
    """(name, type, nullable) of each fact that rules and modes refer to."""
    modes: tuple[Entry, ...]
    """Those that may hold for this kind, the tightest first."""


def fill(template: str, facts: Mapping[str, Any], types: Mapping[str, FactDocument]) -> str:
    """Return `template` with each `{fact}` replaced by the fact's text, in one pass: values are never templates."""
    return PLACEHOLDER.sub(lambda match: show(facts.get(match[1]), types[match[1]].type), template)


def fill_value(value: Value, facts: Mapping[str, Any], types: Mapping[str, FactDocument]) -> Value:
    """Return a parameter's value: a lone `{fact}` keeps its type (an instant becomes RFC 3339 text)."""
    if not isinstance(value, str):
        return value
    alone = PLACEHOLDER.fullmatch(value)
    if alone is None:
        return fill(value, facts, types)
    fact: Value = facts.get(alone[1])
    return to_text(fact) if types[alone[1]].type == "instant" and isinstance(fact, int) else fact


def show(value: Any, fact_type: FactType) -> str:
    """Return a fact's value as a person reads it."""
    if value is None:
        return "unknown"
    if fact_type == "instant":
        return to_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
