"""Whether one policy is anywhere looser than another: over the whole finite decision table, not over past cases.

Looser is to act where the other asked, to ask where it only showed, to show where it kept still; and to do something
else than the other does, with or without a person's consent. Where it says "nowhere", that holds for all facts of
their declared types about the kinds of finding looked at, up to what a condition calculates, of which it says that it
cannot tell. Where it says "here", the facts it gives were decided on by both policies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, product
from typing import Any, Literal

from config.agents.load import Manifest
from config.clock import TIME_MIN
from config.expressions import Expression, compile_expression, named_values
from config.findings import FLEET_AGENT
from config.policies.bundle import Bundle, Rule
from config.policies.conditions import atoms, take_apart
from config.policies.documents import OUTCOMES, FactDocument, Outcome
from config.policies.regions import OTHER
from config.policies.rules import SAMPLES
from operators import looser_autonomy, looser_guardrails
from operators.boxes import Box, Boxes, Space, TooComplex, find, meet
from operators.decision_table import FAMILIES, JOB_MODES, KIND, MODE, Line, agents_of, space_of, table_of
from operators.policy import FAMILIES_MIN, Verdict, bounded, decide

Change = Literal["equivalent", "tightening", "loosening", "undecided"]
FOUND_MAX = 200
"""Places named: enough to see what was changed."""
TRIES_MAX = 300
"""Facts tried where it is not plain what a calculation comes to."""


@dataclass(frozen=True, slots=True)
class Place:
    """Facts on which two policies differ, or rules of which it cannot be told whether they do."""

    kind: str
    old_rule: str
    new_rule: str
    old_outcome: Outcome
    old_remedy: str
    new_outcome: Outcome
    new_remedy: str
    facts: Mapping[str, Any]
    """Decided on by both; empty where it cannot be told."""
    because: str = ""
    """Why it cannot be told; or what differs that facts do not show."""


@dataclass(slots=True)
class Comparison:
    """How a policy differs from another."""

    kinds: tuple[str, ...]
    """Kinds of finding looked at."""
    looser: list[Place] = field(default_factory=list)
    tighter: list[Place] = field(default_factory=list)
    undecided: list[Place] = field(default_factory=list)
    """Where it may be looser, for all that can be told."""

    @property
    def change(self) -> Change:
        """What the change from the old policy to the new one is."""
        if self.looser:
            return "loosening"
        return "undecided" if self.undecided else "tightening" if self.tighter else "equivalent"


def compare(old: Bundle, new: Bundle, manifests: Mapping[str, Manifest]) -> Comparison:
    """Return where `new` is looser than `old`, and where it is tighter.

    Args:
        old: The policy of today.
        new: The one to come.
        manifests: Of the agents, by name: whose findings are of which kind.
    """
    found = Comparison(kinds_of((old, new), manifests.values()))
    _compare_facts(old, new, found)
    _compare_approvals(old, new, found)
    _compare_sections(old, new, [*(manifest.agent for manifest in manifests.values()), FLEET_AGENT], found)
    for flags in _flags((old, new)):
        pair = [fixed(bundle, states) for bundle, states in zip((old, new), flags, strict=True)]
        seen: set[Any] = set()
        for kind in found.kinds:
            agents = agents_of(kind, list(manifests.values()))
            alike = (agents, *(_speaking(bundle, kind) for bundle in pair))
            if alike not in seen:
                seen.add(alike)
                _Kind(old, new, kind, flags, found).compare(pair[0], pair[1], agents)
    return found


def kinds_of(bundles: Sequence[Bundle], manifests: Iterable[Manifest]) -> tuple[str, ...]:
    """Return the kinds that agents find or policies name, then one more of each pattern, and one that nobody names."""
    kinds = {kind for manifest in manifests for kind in manifest.findings} | {OTHER}
    for bundle in bundles:
        patterns = [pattern for patterns, _ in bundle.tables for pattern in patterns]
        patterns += [mode.kind for mode in bundle.modes]
        kinds.update(pattern.replace("*", OTHER).replace("?", "x") for pattern in patterns)
        conditions = [rule.when for rule in bundle.rules] + [mode.when for mode in bundle.modes if mode.when]
        named = [atom for condition in conditions for atom in atoms(take_apart(condition.source))]
        for atom in named:
            if atom.expression.names == {KIND}:
                kinds.update(value for value in atom.constants or () if isinstance(value, str))
    return tuple(sorted(kinds, key=lambda kind: (OTHER in kind, kind)))


def _speaking(bundle: Bundle, kind: str) -> Any:
    """Return what tells the tables of kinds apart: kinds that the same rules speak of, without naming it, are alike."""
    plan = bundle.plan(kind)
    conditions = [rule.when for rule in plan.rules] + [mode.when for mode in plan.modes if mode.when]
    if any(KIND in condition.names for condition in conditions):
        return kind
    return tuple(rule.id for rule in plan.rules), plan.modes


def _flags(bundles: tuple[Bundle, Bundle]) -> list[tuple[dict[str, bool], ...]]:
    """Return the states that the flags of both policies are in together, in the course of time."""
    instants = {TIME_MIN, *(flag.expires for bundle in bundles for flag in bundle.flags.values())}
    states = [tuple(bundle.flags_at(at) for bundle in bundles) for at in sorted(instants)]
    return [state for place, state in enumerate(states) if state not in states[:place]]


def fixed(bundle: Bundle, flags: Mapping[str, bool]) -> Bundle:
    """Return `bundle` with the values of flags in place of their names in its conditions."""
    if not flags:
        return bundle

    def value(condition: Expression) -> Expression:
        return compile_expression(named_values(condition.source, flags))

    def ruled(rule: Rule) -> Rule:
        return replace(rule, when=value(rule.when), conjuncts=tuple(map(value, rule.conjuncts)))

    return replace(
        bundle,
        tables=tuple((kinds, tuple(map(ruled, rules))) for kinds, rules in bundle.tables),
        modes=tuple(replace(mode, when=mode.when and value(mode.when)) for mode in bundle.modes),
    )


def _compare_facts(old: Bundle, new: Bundle, found: Comparison) -> None:
    for name, fact in new.facts.items():
        before = old.facts.get(name)
        if before is not None and _source(before) != _source(fact):
            was, now = (_source(each) for each in (before, fact))
            found.undecided.append(_unknown("*", f"fact {name} is another: it was {was}, and is {now}"))


def _source(fact: FactDocument) -> str:
    """Return what a fact is and is taken from, as a person reads it."""
    return f"{fact.type} {'hours until ' if fact.hours_until else ''}{fact.reads}".rstrip()


def _compare_approvals(old: Bundle, new: Bundle, found: Comparison) -> None:
    """Note where fewer people, or others, have to agree."""
    before, after = old.approvals, new.approvals
    fewer = after.two_people_from > before.two_people_from
    alone = before.two_people_if_irreversible and not after.two_people_if_irreversible
    if fewer or alone:
        found.looser.append(_unknown("*", "one person's consent is enough where two had to agree"))
    elif (before.two_people_from, before.two_people_if_irreversible) != (
        after.two_people_from,
        after.two_people_if_irreversible,
    ):
        found.tighter.append(_unknown("*", "two people have to agree where one person's consent was enough"))
    if before.ladders != after.ladders:
        found.undecided.append(_unknown("*", "others may answer when nobody does: the ladders are not the same"))


def _compare_sections(old: Bundle, new: Bundle, agents: Sequence[str], found: Comparison) -> None:
    """Note where remedies may go further by themselves, or less far, and what guardrails hold back."""
    places = {1: found.looser, -1: found.tighter, 0: found.undecided}
    apart = chain(looser_autonomy.differences(old, new, agents), looser_guardrails.differences(old, new))
    for sign, because in apart:
        if len(places[sign]) < FOUND_MAX:
            places[sign].append(_unknown("*", because))


def _unknown(kind: str, because: str) -> Place:
    return Place(kind, "", "", "observe", "", "observe", "", {}, because)


@dataclass(frozen=True, slots=True)
class _Kind:
    """The comparison of two policies about one kind of finding."""

    old: Bundle
    new: Bundle
    kind: str
    flags: tuple[dict[str, bool], ...]
    found: Comparison

    def compare(self, old: Bundle, new: Bundle, agents: Sequence[str]) -> None:
        """Note the lines of the tables of `old` and `new`, whose flags are fixed, that differ."""
        try:
            space = space_of((old, new), self.kind, agents)
            before, after = (table_of(bundle, self.kind, space) for bundle in (old, new))
            olds, news = ([_reach(bundle, line) for line in lines] for bundle, lines in ((old, before), (new, after)))
            ways = [_way(space, *way) for way in WAYS]
            for i, j in product(range(len(before)), range(len(after))):
                first, second = before[i], after[j]
                for places, sign in ((self.found.looser, 1), (self.found.tighter, -1)):
                    other = sign == 1 and not self._is_same(first.verdict, second.verdict)
                    where = [
                        box
                        for was, will, boxes in zip(olds[i], news[j], ways, strict=True)
                        if _is_further(was, will, sign, other=other)
                        for box in boxes
                    ]
                    if len(places) < FOUND_MAX and where and (both := meet(first.boxes, second.boxes)):
                        earlier = [box for line in (*before[:i], *after[:j]) for box in line.boxes]
                        box = find(meet(both, where), earlier)
                        if box is not None:
                            self._note(places, space, first, second, box)
        except TooComplex:
            self.found.undecided.append(_unknown(self.kind, "its conditions are too many to look at all of them"))

    def _is_same(self, old: Verdict, new: Verdict) -> bool:
        """Return whether the new verdict does nothing that the old one does not do, and asks nobody else."""
        if not new.remedy:
            return True
        if new.wanted == old.wanted == "approve" and new.owner != old.owner:
            return False
        if (old.remedy, dict(old.parameters)) != (new.remedy, dict(new.parameters)):
            return False
        before, after = self.old.remedies[new.remedy], self.new.remedies[new.remedy]
        alike = replace(before, valid_for=after.valid_for, owner=after.owner)
        return alike == after and after.valid_for <= before.valid_for

    def _note(self, places: list[Place], space: Space, first: Line, second: Line, box: Box) -> None:
        """Note facts in `box`, if both policies decide on them as the tables say."""
        rules = (first.verdict.rule, second.verdict.rule)
        for facts in space.samples(box, TRIES_MAX):
            old, new = (
                decide(bundle, self._whole(bundle, facts) | flags)
                for bundle, flags in zip((self.old, self.new), self.flags, strict=True)
            )
            shown = facts | self.flags[1]
            noted = Place(self.kind, *rules, old.outcome, old.remedy, new.outcome, new.remedy, shown)
            if (old.rule, new.rule) == rules:
                places.append(noted)
                return
        if places is self.found.looser:
            opaque = sorted(source for source in space.opaque if not space.is_free(box, source))
            because = f"it depends on what {' and '.join(opaque)} comes to"
            self.found.undecided.append(replace(noted, facts={}, because=because))

    def _whole(self, bundle: Bundle, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return facts with those besides that reasons and parameters of `bundle` want."""
        return {name: SAMPLES[fact_type] for name, fact_type, _ in bundle.plan(self.kind).facts} | dict(facts)


Reach = tuple[tuple[Outcome, Outcome], ...]
"""By each of `WAYS`, what is left of an outcome, and what would be left if the job held nothing back."""
WAYS = tuple(product(JOB_MODES, (True, False)))
"""What bounds a verdict beside its own mode: the job's, and whether sources enough agree."""


def _reach(bundle: Bundle, line: Line) -> Reach:
    families = {True: FAMILIES_MIN, False: FAMILIES_MIN - 1}

    def left(job: Outcome, enough: bool) -> Outcome:
        return bounded(bundle, line.verdict, {MODE: job, FAMILIES: families[enough]}, line.mode).outcome

    return tuple((left(mode, enough), left("act", enough)) for mode, enough in WAYS)


def _way(space: Space, mode: Outcome, enough: bool) -> Boxes:
    """Return where the job has a mode, and sources enough agree or do not."""
    agreeing = space.having(FAMILIES, lambda families: (families >= FAMILIES_MIN) is enough)
    return meet(space.having(MODE, mode.__eq__), agreeing)


def _is_further(old: tuple[Outcome, Outcome], new: tuple[Outcome, Outcome], sign: int, *, other: bool) -> bool:
    """Return whether `new` goes further than `old` (1), or less far (-1); to do something else is to go further.

    A job that may only recommend shows what would act, and still asks for what asks: so that a rule asks which acted
    before is none the looser.
    """
    step, free = (
        (OUTCOMES.index(after) - OUTCOMES.index(before)) * sign for before, after in zip(old, new, strict=True)
    )
    return free >= 0 and (step > 0 or (step == 0 and other and new[0] in ("approve", "act")))
