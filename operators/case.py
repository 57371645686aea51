"""A case: the open findings on one entity of one customer (or cause), and the row they add up to.

The row is a function of the *set* of findings, never of the order in which they came: severity is a maximum,
confidence what they say together (`operators/evidence.py`), the finding that speaks for the case the greatest by a
total order, and the case opened when the earliest was made.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from config.clock import HOUR, to_text
from config.findings import DATA_QUALITY, Finding
from config.identity import derived_id, short_hash
from operators.evidence import STANDS_ON, Sources, combined, speaking, strongest

SEVERITIES = ("low", "medium", "high", "critical")
HARM = {"low": 1.0, "medium": 3.0, "high": 10.0, "critical": 30.0}
"""Expected harm of a finding that is true, in units of a slight annoyance."""
MONEY_FULL = 1_000.0
"""Money at risk at which harm doubles; more money does not raise it further."""
URGENT = 24 * HOUR
"""A harm so far ahead is half as urgent as one at hand."""
CAUSES_MAX = 8
SEEN_MAX = 256

CAUSE = "cause"
"""Evidence feature of a fan-out finding: the fleet entity that hurt the customer."""
OPENING = "opening_finding"
"""Evidence feature: the finding that opened the cause's case."""


class OpenFinding(msgspec.Struct, array_like=True):
    """What a case keeps of a finding that is not resolved."""

    at: int
    finding_id: str
    agent: str
    kind: str
    severity: str
    confidence: float
    harm_at: int | None
    money_at_risk: float
    features: dict[str, float | int | str | None]
    """Those that the policy reads, and how good the data were."""
    reason: str
    occurrence: str = ""

    @staticmethod
    def of(finding: Finding, features: frozenset[str]) -> OpenFinding:
        """Return what is kept of `finding`, and of its evidence the named `features`."""
        kept = features | {DATA_QUALITY, STANDS_ON}
        return OpenFinding(
            finding.at,
            finding.finding_id,
            finding.agent,
            finding.kind,
            finding.severity,
            finding.confidence,
            finding.harm_at,
            finding.money_at_risk,
            {name: value for name, value in sorted(finding.evidence.features.items()) if name in kept},
            finding.reason,
            finding.occurrence,
        )

    @property
    def rank(self) -> tuple[int, float, int, str]:
        """The greatest speaks for its case: severity first, then confidence, then the latest."""
        return (SEVERITIES.index(self.severity), self.confidence, self.at, self.finding_id)

    def is_ended_by(self, end: Finding) -> bool:
        """Return whether `end` ends this finding of the same slot, not one that it took the place of.

        One that an earlier release kept does not tell its occurrence; it is ended by any.
        """
        return not self.occurrence or is_end_of(end.occurrence, self.occurrence)


class Plan(msgspec.Struct, array_like=True):
    """The action of a case that is being carried out."""

    action_id: str
    remedy: str
    until: int
    """Until then nothing else is begun for the case."""
    state: str = "intended"
    """Of the effect ledger, as far as was told."""
    seq: int = 0
    """Of the last outcome."""
    guarded: bool = False
    """Whether it was handed to the guard stage, which may withhold it."""


class Undone(msgspec.Struct, array_like=True):
    """A remedy that was to be done for a case, and was not."""

    times: int
    """So often."""
    why: str
    again_at: int | None
    """When it may be done after all; None for never by itself."""

    def said(self, now: int) -> str:
        """Return why it is not done now, "" where it may be."""
        if self.again_at is None:
            return f"It was decided before, and not done: {self.why} A person may do it."
        if now < self.again_at:
            return f"It was decided before, and not done: {self.why} It is decided anew at {to_text(self.again_at)}."
        return ""


class Denial(msgspec.Struct, array_like=True):
    """Why a remedy is not asked for again in its case."""

    severity: str
    """Of the case then: only evidence of a higher one asks again."""
    why: str


class Case(msgspec.Struct, array_like=True):
    """An open case."""

    case_id: str
    entity: str
    opened_at: int
    expires_at: int = 0
    seq: int = 0
    """Case events so far."""
    decisions: int = 0
    """Decisions so far."""
    findings: int = 0
    """Findings so far, without those that end one."""
    open: dict[str, OpenFinding] = {}
    """By slot."""
    seen: list[int] = []
    """Hashes of the ids of its findings, the newest `SEEN_MAX`."""
    plan: Plan | None = None
    used: list[str] = []
    """Remedies that were acted with, unless it was told that they were not done: each acts once per case."""
    decided: tuple[str, str, str] = ("", "", "")
    """Outcome, remedy and rule of the last decision."""
    causes: list[str] = []
    """Causes that any of its findings named, the first `CAUSES_MAX` by name: whatever the order, the same."""
    row: dict[str, Any] = {}
    """The row that its case events add up to."""
    reopened: int = 0
    """How often it was opened again after it had been resolved."""
    held: bool = False
    """Whether it is beyond its agent's budget of false discoveries, and so only watched."""
    shadows: int = 0
    """Decisions in shadow so far."""
    shadowed: list[tuple[str, str, str]] = []
    """Outcome, remedy and rule of the last ones."""
    denied: dict[str, Denial] = {}
    """By remedy, what people said no to, or did not answer; "" for the question what to do at all."""
    climbed: int = 0
    """Rungs of the ladder that were climbed for it: whoever was told is not told again."""
    last_outcome: str = ""
    """What came of the last action that ended."""
    again_at: int | None = None
    """When it is decided anew, for what holds it back now will then be over."""
    weighing: bool = False
    """Whether that is because an action is weighed against all else of the same instant."""
    undone: dict[str, Undone] = {}
    """By remedy, what was decided to be done and was not."""
    has_more_causes: bool = False
    """Whether its findings named more causes than are kept."""

    def has_seen(self, finding_id: str) -> bool:
        """Return whether the finding is known already."""
        return short_hash(finding_id) in self.seen

    def remember(self, finding_id: str) -> None:
        """Take note of a finding's id."""
        self.seen = [*self.seen, short_hash(finding_id)][-SEEN_MAX:]

    def denial(self, remedy: str) -> Denial | None:
        """Return what keeps `remedy` from being asked for, None where nothing does."""
        denial = self.denied.get(remedy)
        if denial is None or SEVERITIES.index(self.severity) > SEVERITIES.index(denial.severity):
            return None
        return denial

    @property
    def severity(self) -> str:
        """The highest of its open findings."""
        return max((finding.severity for finding in self.open.values()), key=SEVERITIES.index)

    def leading(self) -> OpenFinding:
        """Return the open finding that speaks for the case."""
        return max(self.open.values(), key=lambda finding: finding.rank)

    @property
    def quality(self) -> float | int | str | None:
        """How good the data were that the leading finding stands on, 0 to 1, as its agent says."""
        return self.leading().features.get(DATA_QUALITY, 1.0)


def case_id(correlation_key: str, opening_finding: str) -> str:
    """Return the id of the case that `opening_finding` opened."""
    return derived_id("case", correlation_key, opening_finding)


def slot_of(finding: Finding) -> str:
    """Return what tells open findings on one entity apart: a later one of the same slot takes the earlier's place."""
    return f"{finding.agent} {finding.kind} {finding.evidence.features.get(CAUSE, '')}"


def is_end_of(end: str, occurrence: str) -> bool:
    """Return whether `end` is the occurrence of the end of a finding with `occurrence`: agents write it in front."""
    return end.startswith(f"{occurrence} ")


def entity_kind(entity: str) -> str:
    """Return `order` of `order:123`."""
    return entity.partition(":")[0]


def priority(severity: str, money_at_risk: float, confidence: float, harm_at: int | None, now: int) -> float:
    """Return expected harm times urgency times confidence, to a millionth.

    Urgency is 1 when the harm is at hand or done, 1/2 a day ahead, 1/3 two days ahead; 1/2 when unknown.
    """
    harm = HARM[severity] * (1.0 + min(max(money_at_risk, 0.0), MONEY_FULL) / MONEY_FULL)
    urgency = 0.5 if harm_at is None else URGENT / (URGENT + max(harm_at - now, 0))
    return round(harm * urgency * confidence, 6)


def confidence_of(case: Case, sources: Sources) -> float:
    """Return what all open findings say together: how likely it is that anything is wrong."""
    return combined(_families(case, sources))


def kind_confidence(case: Case, sources: Sources) -> float:
    """Return what the open findings of the leading one's kind say together: how likely it is that this is so."""
    return combined(_families(case, sources, case.leading().kind))


def _families(case: Case, sources: Sources, kind: str = "") -> dict[str, float]:
    return strongest(
        (sources.of(each.agent, each.kind, each.features.get(STANDS_ON)), each.confidence)
        for each in case.open.values()
        if not kind or each.kind == kind
    )


def row_of(
    case: Case, correlation_key: str, customer: str, parent_case: str, now: int, sources: Sources
) -> dict[str, Any]:
    """Return the row of an open case with at least one open finding, without what was decided about it."""
    found = case.open.values()
    leading = case.leading()
    families = _families(case, sources)
    confidence = combined(families)
    money = max(finding.money_at_risk for finding in found)
    harm_at = min((finding.harm_at for finding in found if finding.harm_at is not None), default=None)
    return {
        "correlation_key": correlation_key,
        "agent": leading.agent,
        "kind": leading.kind,
        "entity": case.entity,
        "customer": customer,
        "parent_case": parent_case,
        "status": "open",
        "severity": case.severity,
        "confidence": confidence,
        "priority": priority(case.severity, money, confidence, harm_at, now),
        "money_at_risk": money,
        "harm_at": harm_at,
        "opened_at": case.opened_at,
        "updated_at": now,
        "resolved_at": None,
        "lead_us": None if harm_at is None else harm_at - case.opened_at,
        "findings": case.findings,
        "source_families": speaking(families),
        "reopened": case.reopened,
        "held": case.held,
        "reason": leading.reason,
    }


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of `after` that differ from `before`: folded into `before`, they give `after`."""
    return {name: value for name, value in after.items() if name not in before or before[name] != value}


def fold(changes: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the row that the changes of a case's events add up to, in the order of their `seq`."""
    row: dict[str, Any] = {}
    for change in changes:
        row.update(change)
    return row
