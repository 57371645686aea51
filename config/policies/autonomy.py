"""How far a bundle lets remedies go by themselves, and what they earn and lose that by.

Per agent, remedy and segment of cases: the level to begin with, the highest that can be earned, what is wanted of
verified outcomes to rise, and what makes it fall. A level only bounds what a rule says; it makes no rule act.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal, get_args

import msgspec

from config.clock import DAY, TIME_MIN, micros
from config.duration import parse_duration
from config.errors import ExpressionError, PolicyError
from config.expressions import Bound, Expression
from config.policies.read import instant
from config.proportion import wilson

Level = Literal["recommend", "supervised", "autonomous"]
"""How far a remedy may go: shown to a person; done with a person's consent; done as the rule says."""
LEVELS: tuple[Level, ...] = get_args(Level)
"""From the lowest to the highest."""
OTHER = "other"
"""The segment of the cases that none is named for."""
SEGMENTS_MAX = 16
LAST_MAX = 1_000
SPAN_MAX = 4_000 * DAY
"""What is longer is no instant any more that a snapshot holds."""
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


class SegmentDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of case for which levels are earned apart."""

    name: str
    when: str
    """A condition on the facts; the first that holds names the segment."""
    description: str


class EvidenceDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which outcomes are looked at, and how surely they must speak."""

    last: int = 200
    """So many actions, those heard of last."""
    within: str = "90d"
    """None that is older."""
    confidence: float = 0.95
    """With which each bound holds."""


class PromotionDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it takes to go on from `supervised` to `autonomous`."""

    verified_min: int = 30
    """Actions that were seen to help."""
    success_min: float = 0.8
    """Lower bound of the share of actions that were seen to help."""
    false_max: float = 0.1
    """Upper bound of the share of false actions: those that changed what they should not, or were taken back."""


class DemotionDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes it fall by one level."""

    failures: int = 3
    """So many failed actions"""
    within: str = "7d"
    """within this time;"""
    judged_from: int = 10
    """or, from so many outcomes on, that they surely do not keep what `promotion` asks for."""
    quality_min: float = 0.8
    """Findings on data of less quality are acted on with consent only."""
    probation: str = "14d"
    """So long nothing is earned after a fall."""


class LimitDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for the agents, remedies and segments that it matches."""

    reason: str
    """Why, for whoever asks."""
    agent: str = "*"
    """Whose findings; a pattern, and so the next two."""
    remedy: str = "*"
    segment: str = "*"
    start: Level = "supervised"
    """Where nothing is known yet."""
    ceiling: Level = "autonomous"
    """The highest that can be earned."""
    evidence: EvidenceDocument = EvidenceDocument()
    promotion: PromotionDocument = PromotionDocument()
    demotion: DemotionDocument = DemotionDocument()
    anew_from: datetime | None = None
    """What was earned or lost earlier counts for nothing from then on, in event time: the way to begin anew."""
    owner: str = ""
    """Who may change it; "" for the owner of the bundle."""


class AutonomyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `autonomy` of a bundle."""

    segments: list[SegmentDocument] = []
    limits: list[LimitDocument] = []
    """The first that matches holds; without one, what a rule says is not bounded."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What holds for the agents, remedies and segments that it matches, ready to use. Spans are microseconds."""

    agent: str
    remedy: str
    segment: str
    start: Level
    ceiling: Level
    last: int
    within: int
    confidence: float
    verified_min: int
    success_min: float
    false_max: float
    failures: int
    failures_within: int
    judged_from: int
    quality_min: float
    probation: int
    anew_from: int
    reason: str
    owner: str

    def covers(self, agent: str, remedy: str, segment: str) -> bool:
        """Return whether it speaks of these."""
        pairs = ((remedy, self.remedy), (segment, self.segment))
        return self.speaks_of(agent) and all(fnmatchcase(name, pattern) for name, pattern in pairs)

    def speaks_of(self, agent: str) -> bool:
        """Return whether it speaks of anything that an agent finds."""
        return fnmatchcase(agent, self.agent)


@dataclass(frozen=True, slots=True)
class Autonomy:
    """How far remedies may go by themselves."""

    segments: tuple[tuple[str, Expression], ...] = ()
    limits: tuple[Limit, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The segments that there are."""
        return frozenset({OTHER, *(name for name, _ in self.segments)})

    def segment(self, values: Mapping[str, object]) -> str:
        """Return the segment of a case: the first of which it cannot be told that the case is not in it.

        Args:
            values: The facts, numbers as floats.
        """
        if not self.segments:
            return OTHER
        try:
            bound = Bound(values)
        except ExpressionError:
            return self.segments[0][0]
        for name, when in self.segments:
            try:
                if when.holds(bound):
                    return name
            except ExpressionError:
                return name
        return OTHER

    def limit(self, agent: str, remedy: str, segment: str) -> Limit | None:
        """Return what holds for these, None where nothing bounds them."""
        return next((limit for limit in self.limits if limit.covers(agent, remedy, segment)), None)


@dataclass(frozen=True, slots=True)
class Known:
    """What a section may name."""

    agents: Iterable[str]
    remedies: Iterable[str]
    owner: str
    """Of the bundle."""
    condition: Callable[[str, str], Expression]
    """Compiles a condition, given where it stands."""
    check: Callable[[str, str, str, Iterable[str]], None]
    """Checks that a pattern matches any of the names that there are, given where it stands and what it names."""


def read_autonomy(document: AutonomyDocument, known: Known, at: Callable[..., str]) -> Autonomy:
    """Return what the section says.

    Args:
        document: The section.
        known: What it may name.
        at: Returns `file:line` of what stands at a path below `autonomy`.

    Raises:
        PolicyError: a name is unknown or taken, a pattern matches nothing, a condition cannot be read, a number is out
            of range, or what promotion asks for cannot be reached.
    """
    segments: dict[str, Expression] = {}
    if len(document.segments) > SEGMENTS_MAX:
        raise PolicyError(
            f"{at('segments')}: {len(document.segments)} segments",
            remedy=f"Name at most {SEGMENTS_MAX}: outcomes are counted apart for each.",
        )
    for position, each in enumerate(document.segments):
        where = f"{at('segments', position)}: segment {each.name!r}"
        if not _NAME.fullmatch(each.name) or each.name == OTHER or each.name in segments:
            remedy = f"Use small letters, digits, - and _; each name once, and not {OTHER!r}."
            raise PolicyError(f"{where}: no name for a segment", remedy=remedy)
        segments[each.name] = known.condition(where, each.when)
    limits = []
    for position, limit in enumerate(document.limits):
        where = f"{at('limits', position)}: limit {position + 1}"
        if not limit.reason.strip():
            raise PolicyError(f"{where}: reason is empty", remedy="Say why, for whoever asks.")
        named = (("agent", known.agents), ("remedy", known.remedies), ("segment", [OTHER, *segments]))
        for what, among in named:
            known.check(where, what, getattr(limit, what), among)
        limits.append(_limit(where, limit, known.owner))
    return Autonomy(tuple(segments.items()), tuple(limits))


def _limit(where: str, document: LimitDocument, owner: str) -> Limit:
    evidence, promotion, demotion = document.evidence, document.promotion, document.demotion
    if LEVELS.index(document.start) > LEVELS.index(document.ceiling):
        raise PolicyError(
            f"{where}: start {document.start!r} lies above ceiling {document.ceiling!r}",
            remedy="Lower the one or raise the other.",
        )
    for name, number, least, most in (
        ("evidence.last", evidence.last, 1, LAST_MAX),
        ("evidence.confidence", evidence.confidence, 0.51, 0.9999),
        ("promotion.verified_min", promotion.verified_min, 1, evidence.last),
        ("promotion.success_min", promotion.success_min, 0, 1),
        ("promotion.false_max", promotion.false_max, 0, 1),
        ("demotion.failures", demotion.failures, 1, evidence.last),
        ("demotion.judged_from", demotion.judged_from, 1, evidence.last),
        ("demotion.quality_min", demotion.quality_min, 0, 1),
    ):
        if not least <= number <= most:
            raise PolicyError(f"{where}: {name} is {number:g}", remedy=f"Write a number from {least:g} to {most:g}.")
    _check_reachable(where, evidence, promotion)
    return Limit(
        agent=document.agent,
        remedy=document.remedy,
        segment=document.segment,
        start=document.start,
        ceiling=document.ceiling,
        last=evidence.last,
        within=_span(where, "evidence.within", evidence.within),
        confidence=evidence.confidence,
        verified_min=promotion.verified_min,
        success_min=promotion.success_min,
        false_max=promotion.false_max,
        failures=demotion.failures,
        failures_within=_span(where, "demotion.within", demotion.within),
        judged_from=demotion.judged_from,
        quality_min=demotion.quality_min,
        probation=_span(where, "demotion.probation", demotion.probation),
        anew_from=TIME_MIN if document.anew_from is None else instant(where, "anew_from", document.anew_from),
        reason=document.reason,
        owner=document.owner or owner,
    )


def _check_reachable(where: str, evidence: EvidenceDocument, promotion: PromotionDocument) -> None:
    """Check that the best outcomes that are looked at would do."""
    best = wilson(evidence.last, evidence.last, evidence.confidence)[0]
    least = wilson(0, evidence.last, evidence.confidence)[1]
    for name, asked, reached, fails in (
        ("success_min", promotion.success_min, best, best < promotion.success_min),
        ("false_max", promotion.false_max, least, least > promotion.false_max),
    ):
        if fails:
            raise PolicyError(
                f"{where}: promotion.{name} of {asked:g} cannot be reached: the last {evidence.last} outcomes, were "
                f"they all good, have a bound of {reached:.4f}",
                remedy="Ask for less, or look at more outcomes (evidence.last).",
            )


def _span(where: str, name: str, text: str) -> int:
    try:
        span = micros(parse_duration(text))
    except ValueError as error:
        raise PolicyError(f"{where}: {name}: {error}", remedy="Write a span such as 7d.") from None
    if span <= 0:
        raise PolicyError(f"{where}: {name} is no time", remedy="Write a span such as 7d.")
    if span > SPAN_MAX:
        most = f"{SPAN_MAX // DAY}d"
        raise PolicyError(f"{where}: {name} is longer than {most}", remedy=f"Write a span of up to {most}.")
    return span
