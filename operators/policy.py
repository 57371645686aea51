"""Deciding: pure, (bundle, facts) -> verdict. The one evaluation core, live and in replay.

The rules of the tables that speak of the finding's kind are tried in order; the first whose condition holds decides.
Whatever goes wrong — a fact is missing or of the wrong type, a condition cannot be evaluated before some rule fired —
ends with a person, never with an act.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from config.clock import from_text, to_text
from config.errors import ExpressionError
from config.expressions import BlockError, Bound, Expression
from config.policies.bundle import ESCALATION_RULE, Bundle, Plan, Rule, fill, fill_value
from config.policies.documents import Outcome, Value

NEARLY_MAX = 10
"""Rules that nearly fired which a verdict names: enough to see what would have made the difference."""

NUMBER_MAX = 1e18
"""Beyond this a fact is a mistake of whoever measured it."""
INSTANT_MIN, INSTANT_END = from_text("0001-01-01T00:00:00Z"), from_text("9999-12-31T00:00:00Z")
"""Instants that can be written as a date."""


class MissingFact(Exception):
    """A fact that a rule needs is absent, or is not of its declared type."""


@dataclass(frozen=True)
class Verdict:
    """What the policy says about one case."""

    outcome: Outcome
    remedy: str
    """Name in the bundle's catalogue, or "" when nothing is to be done."""
    rule: str
    """`table/rule`, `default` or `escalation`."""
    reason: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    error: str = ""
    """Why it was escalated; "" for a decision that went well."""
    owner: str = ""
    """Whom to ask for consent: the owner of the rule, or the escalation of the bundle when it could not decide."""
    _tried: tuple[Rule, ...] = field(default=(), repr=False, compare=False)
    _bound: Bound | None = field(default=None, repr=False, compare=False)

    @property
    def fired(self) -> tuple[str, ...]:
        """The rules whose condition held: the one that decided, for the first match wins."""
        return () if self.error else (self.rule,)

    @cached_property
    def nearly(self) -> tuple[str, ...]:
        """Rules before the one that fired of whose conjuncts, two or more, exactly one failed, in order.

        Worked out only when asked for: it costs as much as the decision, which mostly nobody questions.
        """
        if self._bound is None:
            return ()
        near = (
            rule.id for rule in self._tried if len(rule.conjuncts) > 1 and _failing(rule.conjuncts, self._bound) == 1
        )
        return tuple(name for name, _ in zip(near, range(NEARLY_MAX), strict=False))


def decide(bundle: Bundle, facts: Mapping[str, Any]) -> Verdict:
    """Return what `bundle` says about `facts`. Total: it never raises, whatever the facts.

    Args:
        bundle: The loaded policy.
        facts: Values by name, of the types the bundle declares; `kind` selects the tables.
    """
    kind = facts.get("kind")
    if not isinstance(kind, str):
        return _escalate(bundle, "fact 'kind' is missing")
    plan = bundle.plan(kind)
    try:
        bound = Bound(_checked(plan, facts))
        for start, block in plan.blocks:
            found = block.first(bound)
            if found is not None:
                return _verdict(bundle, plan.rules[start + found], facts, plan.rules[: start + found], bound)
    except MissingFact as error:
        return _escalate(bundle, str(error))
    except ExpressionError as error:
        return _escalate(bundle, error.message)
    except BlockError as error:
        return _escalate(bundle, f"rule {plan.rules[start + error.position].id}: {error}")
    return _verdict(bundle, bundle.default, facts, plan.rules, bound)


def _checked(plan: Plan, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts the plan needs. Numbers become floats, for CEL adds no integer to a float."""
    values: dict[str, Any] = {}
    for name, fact_type, nullable in plan.facts:
        try:
            value = facts[name]
        except KeyError:
            raise MissingFact(f"fact {name!r} is missing") from None
        actual = type(value)
        if fact_type == "number" and (actual is float or actual is int):
            if not -NUMBER_MAX <= value <= NUMBER_MAX:  # NaN fails this too
                raise MissingFact(f"fact {name!r} is not a number within ±{NUMBER_MAX:g}")
            value = float(value)
        elif not (
            (value is None and nullable)
            or (fact_type == "string" and actual is str)
            or (fact_type == "bool" and actual is bool)
            or (fact_type == "instant" and actual is int and INSTANT_MIN <= value < INSTANT_END)
        ):
            raise MissingFact(f"fact {name!r} ({actual.__name__}) is not a valid {fact_type}")
        values[name] = value
    return values


def _verdict(bundle: Bundle, rule: Rule, facts: Mapping[str, Any], tried: tuple[Rule, ...], bound: Bound) -> Verdict:
    parameters = {name: fill_value(value, facts, bundle.facts) for name, value in rule.parameters.items()}
    reason = fill(rule.reason, facts, bundle.facts)
    return Verdict(rule.outcome, rule.remedy, rule.id, reason, parameters, owner=rule.owner, _tried=tried, _bound=bound)


def none_in_force(bundle: Bundle) -> Verdict:
    """Return the verdict where `bundle`, the first version of a policy, has not taken effect yet."""
    return _escalate(bundle, f"no policy is in force before {to_text(bundle.effective_from)}")


def _escalate(bundle: Bundle, error: str) -> Verdict:
    reason = f"The policy could not decide; {bundle.escalation} has to: {error}."
    return Verdict("approve", "", ESCALATION_RULE, reason, error=error, owner=bundle.escalation)


def _failing(conjuncts: tuple[Expression, ...], bound: Bound) -> int:
    """Return how many conjuncts do not hold; one that cannot be evaluated does not. Counting stops at two."""
    failing = 0
    for conjunct in conjuncts:
        try:
            failing += not conjunct.holds(bound)
        except ExpressionError:
            failing += 1
        if failing > 1:
            break
    return failing
