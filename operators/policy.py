"""Deciding: pure, (bundle, facts) -> verdict. The one evaluation core: live, in shadow, in replay and in comparisons.

The rules of the tables that speak of the finding's kind are tried in order; the first whose condition holds, and whose
mode is live, decides. Whatever goes wrong — a fact is missing or of the wrong type, a condition cannot be evaluated
before some rule fired — ends with a person, never with an act. What the rule says is bounded by its mode and the job's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from config.clock import from_text, to_text
from config.errors import ExpressionError
from config.expressions import BlockError, Bound, Expression
from config.policies.bundle import DEFAULT_RULE, ESCALATION_RULE, NO_RULE, Bundle, Plan, Rule, fill, fill_value
from config.policies.documents import OUTCOMES, Outcome, Value
from config.policies.modes import Entry, tightest

NEARLY_MAX = 10
"""Rules that nearly fired which a verdict names: enough to see what would have made the difference."""

NUMBER_MAX = 1e18
"""Beyond this a fact is a mistake of whoever measured it."""
FAMILIES_MIN = 2
"""Independent sources that must speak for a case before money is moved for it without a person."""
INSTANT_MIN, INSTANT_END = from_text("0001-01-01T00:00:00Z"), from_text("9999-12-31T00:00:00Z")
"""Instants that can be written as a date."""


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
    wanted: Outcome | None = None
    """What the rule says before anything holds it back; None where no rule fired."""
    restraint: str = ""
    """What holds it back, and who may change that."""
    shadow: Verdict | None = None
    """What a rule in shadow says that would have decided in its place."""
    _tried: tuple[Rule, ...] = field(default=(), repr=False, compare=False)
    _bound: Bound | None = field(default=None, repr=False, compare=False)

    @property
    def fired(self) -> tuple[str, ...]:
        """The rules whose condition held: the one that decided, for the first match wins."""
        return () if self.error or self.rule == NO_RULE else (self.rule,)

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


NOTHING = Verdict("observe", "", NO_RULE, "Nothing is decided about it.")
"""What is said where all rules that fire are off or in shadow."""


def decide(bundle: Bundle, facts: Mapping[str, Any]) -> Verdict:
    """Return what `bundle` says about `facts`. Total: it never raises, whatever the facts.

    Args:
        bundle: The loaded policy.
        facts: Values by name, of the types the bundle declares; `kind` selects the tables.
    """
    kind = facts.get("kind")
    if not isinstance(kind, str):
        return escalated(bundle, "fact 'kind' is missing")
    plan = bundle.plan(kind)
    values, faults = _checked(plan, facts)
    try:
        bound = Bound(values)
    except ExpressionError as error:
        return escalated(bundle, error.message)
    if not plan.modes:
        if faults:
            return escalated(bundle, next(iter(faults.values())))
        return bounded(bundle, next(_firing(bundle, plan, facts, bound, faults))[1], facts)
    given = facts.get("agent")
    agent = given if isinstance(given, str) else None
    if faults and (fault := _live_fault(bundle, plan, agent, bound, faults)):
        return escalated(bundle, fault)
    shadow: Verdict | None = None
    for rule, verdict in _firing(bundle, plan, facts, bound, faults):
        mode = tightest(plan.modes, agent, rule, bound)
        if mode is None or mode.is_live:
            return bounded(bundle, verdict, facts, mode, shadow)
        if mode.mode == "shadow" and shadow is None:
            shadow = bounded(bundle, verdict, facts)
        said = mode.say()
    return replace(NOTHING, reason=f"{NOTHING.reason} {said}", shadow=shadow, _tried=plan.rules, _bound=bound)


def _firing(
    bundle: Bundle, plan: Plan, facts: Mapping[str, Any], bound: Bound, faults: Mapping[str, str]
) -> Iterator[tuple[str, Verdict]]:
    """Yield the rules that fire, in order, each with what it says; the default is the last."""
    for start, block in plan.blocks:
        found: int | None = -1
        while found is not None:
            error = ""
            try:
                found = block.first(bound, found)
            except BlockError as failed:
                found, error = failed.position, str(failed)
            if found is None:
                break
            rule, tried = plan.rules[start + found], plan.rules[: start + found]
            error = _fault_of(rule, faults) or error
            if error:
                yield rule.id, escalated(bundle, f"rule {rule.id}: {error}")
            else:
                yield rule.id, _verdict(bundle, rule, facts, tried, bound)
    error = _fault_of(bundle.default, faults)
    default = escalated(bundle, error) if error else _verdict(bundle, bundle.default, facts, plan.rules, bound)
    yield DEFAULT_RULE, default


def _live_fault(bundle: Bundle, plan: Plan, agent: str | None, bound: Bound, faults: Mapping[str, str]) -> str:
    """Return what is wrong with a fact that any rule refers to which is neither off nor in shadow.

    A rule in shadow has no effect, not even that of asking a person about a fact that only it wants.
    """
    for rule in (*plan.rules, bundle.default):
        if fault := _fault_of(rule, faults):
            mode = tightest(plan.modes, agent, rule.id, bound)
            if mode is None or mode.is_live:
                return fault
    return ""


def _fault_of(rule: Rule, faults: Mapping[str, str]) -> str:
    """Return what is wrong with a fact that a rule refers to, "" where nothing is."""
    if not faults:
        return ""
    names = rule.names
    return next((fault for name, fault in faults.items() if name in names), "")


def _checked(plan: Plan, facts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the facts the plan needs, and what is wrong with those that are missing or not of their type.

    Numbers become floats, for CEL adds no integer to a float.
    """
    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, fact_type, nullable in plan.facts:
        try:
            value = facts[name]
        except KeyError:
            faults[name] = f"fact {name!r} is missing"
            continue
        actual = type(value)
        if fact_type == "number" and (actual is float or actual is int):
            if not -NUMBER_MAX <= value <= NUMBER_MAX:  # NaN fails this too
                faults[name] = f"fact {name!r} is not a number within ±{NUMBER_MAX:g}"
                continue
            value = float(value)
        elif not (
            (value is None and nullable)
            or (fact_type == "string" and actual is str)
            or (fact_type == "bool" and actual is bool)
            or (fact_type == "instant" and actual is int and INSTANT_MIN <= value < INSTANT_END)
        ):
            faults[name] = f"fact {name!r} ({actual.__name__}) is not a valid {fact_type}"
            continue
        values[name] = value
    return values, faults


def bounded(
    bundle: Bundle, verdict: Verdict, facts: Mapping[str, Any], mode: Entry | None = None, shadow: Verdict | None = None
) -> Verdict:
    """Return what is left of a verdict by its mode, by the rule that money wants two sources, and by the job's mode.

    Args:
        bundle: It says what moves money.
        verdict: What the rule says.
        facts: `mode` of the job and `source_families` are looked at.
        mode: Of the rule; None where nothing holds it back.
        shadow: What a rule in shadow says, to stand beside it.
    """
    outcome, why = verdict.outcome, ""
    if not verdict.error:  # To ask a person for a look is not beyond any mode.
        if mode is not None and mode.mode == "recommend" and outcome in ("approve", "act"):
            outcome, why = "recommend", mode.say()
        elif mode is not None and mode.mode == "supervised" and outcome == "act":
            outcome, why = "approve", mode.say()
        job = facts.get("mode", "act")
        if outcome == "act" and job == "act" and _wants_sources(bundle, verdict, facts):
            outcome, why = "approve", "Money is moved without a person only when independent sources agree; always."
        # To ask for consent is not beyond any mode of the job but `observe`.
        if job in OUTCOMES and outcome != job and (job == "observe" or (outcome == "act" and job != "act")):
            outcome = job
            why = f"The job may not go further than to {job}; whoever runs it may change that (policy.mode)."
    if outcome == verdict.outcome and shadow is None:
        return verdict
    return replace(verdict, outcome=outcome, restraint=why, shadow=shadow)


def _wants_sources(bundle: Bundle, verdict: Verdict, facts: Mapping[str, Any]) -> bool:
    remedy, families = bundle.remedies.get(verdict.remedy), facts.get("source_families")
    agree = isinstance(families, int | float) and families >= FAMILIES_MIN
    return remedy is not None and remedy.moves_money and not agree


def unfilled(rule: Rule) -> Verdict:
    """Return what a rule says whenever it fires, with reason and parameters as they are written."""
    return Verdict(
        rule.outcome, rule.remedy, rule.id, rule.reason, rule.parameters, owner=rule.owner, wanted=rule.outcome
    )


def _verdict(bundle: Bundle, rule: Rule, facts: Mapping[str, Any], tried: tuple[Rule, ...], bound: Bound) -> Verdict:
    parameters = {name: fill_value(value, facts, bundle.facts) for name, value in rule.parameters.items()}
    reason = fill(rule.reason, facts, bundle.facts)
    return Verdict(
        rule.outcome,
        rule.remedy,
        rule.id,
        reason,
        parameters,
        owner=rule.owner,
        wanted=rule.outcome,
        _tried=tried,
        _bound=bound,
    )


def none_in_force(bundle: Bundle) -> Verdict:
    """Return the verdict where `bundle`, the first version of a policy, has not taken effect yet."""
    return escalated(bundle, f"no policy is in force before {to_text(bundle.effective_from)}")


def escalated(bundle: Bundle, error: str) -> Verdict:
    """Return the verdict that a person has to look, for the policy could not decide."""
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
