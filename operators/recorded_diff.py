"""Which recorded decisions another policy would have made differently.

Both policies decide on the facts as they were recorded. Facts that fall into the same regions of all conditions
(`config/policies/regions.py`) are decided on once: a million decisions come to some hundred different ones.

What held single decisions back beside the policy — the budget of false discoveries, flags of people, a remedy that was
used or under way — is left out on both sides.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from config.policies.bundle import Bundle
from config.policies.conditions import Atom
from config.policies.documents import FactDocument, Outcome
from config.policies.regions import regions
from operators.explain import atoms_of
from operators.policy import FAMILIES_MIN, INSTANT_END, INSTANT_MIN, NUMBER_MAX, Verdict, decide

Tell = Callable[[Any], Any]
"""Returns what tells a fact's value from others that the policies may decide on differently."""
ABSENT = object()
FAMILIES = "source_families"
OPTIONAL = ("agent", "mode", FAMILIES)
"""Facts that bear on a decision whether a rule names them or not."""


class Segment(NamedTuple):
    """Whom it is about, and what would be done instead of what."""

    agent: str
    kind: str
    old_outcome: Outcome
    old_remedy: str
    new_outcome: Outcome
    new_remedy: str


@dataclass(slots=True)
class Treated:
    """The decisions of a segment that would have been others."""

    decisions: int = 0
    cases: dict[str, float] = field(default_factory=dict)
    """By case, the most money that was at risk."""
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By rule of the old policy and of the new one."""


class Judged(NamedTuple):
    """What both policies say on facts of some regions."""

    old: Verdict
    new: Verdict
    differs: bool
    unknown: str
    """The fact that was not recorded and one of them wants; "" for none."""


class RecordedDiff:
    """Holds recorded decisions against two policies, one by one.

    Args:
        old: The policy of today.
        new: The one to come.
        mode: Of the job, in place of the recorded one; "" for that.
    """

    def __init__(self, old: Bundle, new: Bundle, mode: str = "") -> None:
        self._old, self._new, self._mode = old, new, mode
        self._kinds: dict[str, _Kind] = {}
        self._expiries = sorted({flag.expires for bundle in (old, new) for flag in bundle.flags.values()})
        self.segments: dict[Segment, Treated] = {}
        self.decisions = 0
        """Looked at so far."""
        self.unknown: Counter[str] = Counter()
        """Those that cannot be judged, by the fact that was not recorded."""

    def add(self, case_id: str, at: int, facts: dict[str, Any]) -> None:
        """Look at a decision.

        Args:
            case_id: Of its case.
            at: Its event time, µs: flags are as they were then.
            facts: As they were recorded.
        """
        self.decisions += 1
        kind = facts.get("kind", "")
        judge = self._kinds.get(kind)
        if judge is None:
            judge = self._kinds[kind] = _Kind(self._old, self._new, kind)
        if self._mode:
            facts["mode"] = self._mode
        judged = judge.judged(facts, at, bisect_left(self._expiries, at + 1))
        if judged.unknown:
            self.unknown[judged.unknown] += 1
        elif judged.differs:
            self._count(judged, case_id, facts)

    def _count(self, judged: Judged, case_id: str, facts: Mapping[str, Any]) -> None:
        old, new = judged.old, judged.new
        segment = Segment(str(facts.get("agent")), str(facts["kind"]), *treatment(old), *treatment(new))
        treated = self.segments.get(segment)
        if treated is None:
            treated = self.segments[segment] = Treated()
        treated.decisions += 1
        treated.rules[old.rule, new.rule] += 1
        money = facts.get("money_at_risk")
        worth = float(money) if isinstance(money, int | float) else 0.0
        treated.cases[case_id] = max(worth, treated.cases.get(case_id, 0.0))

    @property
    def cases(self) -> set[str]:
        """The cases that would have been treated differently at least once."""
        return {case for treated in self.segments.values() for case in treated.cases}

    def newly_acted(self, *, moving_money: bool) -> dict[str, float]:
        """Return the money at risk by case where the new policy acts without a person and the old one did not.

        Args:
            moving_money: Only where what it does moves money.
        """
        found: dict[str, float] = {}
        for segment, treated in self.segments.items():
            remedy = self._new.remedies.get(segment.new_remedy)
            moves = remedy is not None and remedy.moves_money
            same = segment.old_outcome == "act" and (segment.old_remedy == segment.new_remedy or not moving_money)
            if segment.new_outcome == "act" and not same and (moves or not moving_money):
                for case, money in treated.cases.items():
                    found[case] = max(money, found.get(case, 0.0))
        return found


class _Kind:
    """What both policies say about one kind of finding, by regions of facts."""

    def __init__(self, old: Bundle, new: Bundle, kind: str) -> None:
        self._old, self._new = old, new
        facts = {name: bundle.facts[name] for bundle in (old, new) for name, *_ in bundle.plan(kind).facts}
        flags = {*old.flags, *new.flags}
        named = [atom for bundle in (old, new) for atom in atoms_of(bundle, kind)]
        for name in OPTIONAL:
            facts.setdefault(name, FactDocument("number" if name == FAMILIES else "string", ""))
        self._wanted = [name for name in facts if name not in flags and name != "kind"]
        self._tells = [(name, tell_of(name, facts[name], named)) for name in self._wanted]
        self._known: dict[tuple[Any, ...], Judged] = {}

    def judged(self, facts: dict[str, Any], at: int, period: int) -> Judged:
        """Return what both say on `facts`; `period` tells apart the times between which flags expire."""
        key = (period, *[tell(facts.get(name, ABSENT)) for name, tell in self._tells])
        judged = self._known.get(key)
        if judged is None:
            judged = self._known[key] = self._judge(facts, at)
        return judged

    def _judge(self, facts: dict[str, Any], at: int) -> Judged:
        old, new = (decide(bundle, facts | bundle.flags_at(at)) for bundle in (self._old, self._new))
        optional = OPTIONAL
        unknown = next((name for name in self._wanted if name not in facts and name not in optional), "")
        differs = treatment(old) != treatment(new)
        if not differs and new.outcome in ("approve", "act"):
            differs = _written(self._old, old) != _written(self._new, new)
        return Judged(old, new, differs, unknown)


def treatment(verdict: Verdict) -> tuple[Outcome, str]:
    """Return what becomes of a case: where it is only watched, it does not matter what for."""
    return verdict.outcome, "" if verdict.outcome == "observe" else verdict.remedy


def _written(bundle: Bundle, verdict: Verdict) -> Any:
    """Return the parameters of the rule that fired as they are written: filled in, they are those of single facts."""
    return next((dict(rule.parameters) for rule in bundle.rules if rule.id == verdict.rule), {})


def tell_of(name: str, fact: FactDocument, named: list[Atom]) -> Tell:
    """Return what tells apart the values of a fact that conditions tell apart, and values that are none of its type."""
    wanted: dict[str, set[float]] = {FAMILIES: {float(FAMILIES_MIN)}}
    its = [atom for atom in named if name in atom.expression.names]
    if name in ("agent", "mode") or any(atom.constants is None for atom in its):
        return lambda value: value if not isinstance(value, float | int) else (type(value), value)
    found = regions(fact, its)
    if fact.type == "string":
        texts = {region.sample for region in found if not region.is_rest}
        return lambda value: value if value in texts else type(value)
    if fact.type == "bool":
        return lambda value: value if value is True or value is False else type(value)
    points = sorted({region.low for region in found if region.low is not None} | wanted.get(name, set()))
    whole = fact.type == "instant"
    least, most = (INSTANT_MIN, INSTANT_END - 1) if whole else (-NUMBER_MAX, NUMBER_MAX)

    def tell(value: Any) -> Any:
        actual = type(value)
        if (actual is float and not whole) or actual is int:
            if not least <= value <= most:
                return "beyond"
            place = bisect_left(points, value)
            return 2 * place + (place < len(points) and points[place] == value)
        return actual

    return tell
