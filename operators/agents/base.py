"""How the journey stage and the agents that watch customers work together.

An agent is asked to look at a customer's journey whenever something about it may be due. It looks at what is known
now, reports findings, and says past which instant it must look again. It is pure but for what it notes as reported
in the journey itself; it sees no single event, so it cannot depend on the order of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from config.clock import HOUR, to_text
from config.findings import Evidence, Finding, Query, Severity, finding_id
from config.money import MONEY_SCALE
from operators.journey_state import Contact, Journey, Signal
from operators.subject import Reported, Subject

SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
SCORE_BAD = 2
"""A review of this score or less (of 1 to 5) is a complaint."""

Features = dict[str, float | int | str | None]


class Found(NamedTuple):
    """What a rule found, before it becomes a finding."""

    kind: str
    occurrence: str
    severity: Severity
    confidence: float
    harm_at: int | None
    money: int
    """At risk, in millionths of the currency unit."""
    causes: list[str]
    queries: list[Query]
    """Of the aggregates that it stands on."""
    features: Features
    reason: str


Verdict = Found | int | None
"""What a rule says of a subject: found something; look again after this instant; or nothing, for good."""


@dataclass(slots=True)
class View:
    """What an agent sees of a customer at one instant, and where it reports."""

    customer: str
    journey: Journey
    signals: Mapping[str, Mapping[str, Signal]]
    """The fleet's current signals by entity and name."""
    signals_since: int
    """Signals older than this are out of date."""
    now: int
    findings: list[Finding] = field(default_factory=list)
    """What was reported, in order."""

    def signal(self, entity: str, name: str) -> Signal | None:
        """Return the current signal `name` of `entity`, unless it is out of date."""
        signal = self.signals.get(entity, {}).get(name)
        return None if signal is None or signal.at < self.signals_since else signal

    def report(self, agent: str, entity: str, subject: Subject, found: Found) -> None:
        """Report what was found on `subject`, and note it there, so that it is made once and can be ended.

        It is one degree more severe when the customer has spoken up already.
        """
        subject.findings[found.kind] = Reported(found.occurrence, found.causes)
        self.findings.append(
            Finding(
                finding_id=finding_id(agent, found.kind, entity, found.occurrence, self.customer, subject.since),
                agent=agent,
                kind=found.kind,
                entity=entity,
                customer=self.customer,
                occurrence=found.occurrence,
                at=self.now,
                severity=raised(found.severity) if self._spoke_up() else found.severity,
                confidence=round(found.confidence, 4),
                harm_at=found.harm_at,
                money_at_risk=found.money / MONEY_SCALE,
                causes=found.causes,
                evidence=Evidence(
                    records=_records(subject),
                    queries=found.queries,
                    features=found.features | self._surroundings(),
                ),
                reason=found.reason,
            )
        )

    def end(self, agent: str, entity: str, subject: Subject, kinds: Iterable[str], ended_at: int, reason: str) -> None:
        """Report the end of those findings of `kinds` that were made on `subject`.

        The end of a finding is a finding of its own, so its occurrence, and with it its id, differs.
        """
        for kind in kinds:
            reported = subject.findings.pop(kind, None)
            if reported is None:
                continue
            occurrence = f"{reported.occurrence} until {to_text(ended_at)}"
            self.findings.append(
                Finding(
                    finding_id=finding_id(agent, kind, entity, occurrence, self.customer, subject.since),
                    agent=agent,
                    kind=kind,
                    entity=entity,
                    customer=self.customer,
                    occurrence=occurrence,
                    at=self.now,
                    severity="low",
                    confidence=1.0,
                    causes=reported.causes,
                    resolves=True,
                    evidence=Evidence(records=_records(subject)),
                    reason=reason,
                )
            )

    def _spoke_up(self) -> bool:
        journey = self.journey
        return any(_is_complaint(contact) for contact in journey.contacts) or self._open_tickets() > 0

    def _open_tickets(self) -> int:
        return sum(ticket.closed_at is None for ticket in self.journey.tickets.values())

    def _surroundings(self) -> Features:
        """Return what is known around the subject: has the customer spoken, do they use what they bought?"""
        journey = self.journey
        features: Features = {
            "contacts_recent": len(journey.contacts),
            "complaints_recent": sum(map(_is_complaint, journey.contacts)),
            "tickets_open": self._open_tickets(),
        }
        if journey.usage:
            used_at = max(usage.at for usage in journey.usage.values())
            features["usage_age_hours"] = hours(self.now - used_at)
        return features


class CustomerAgent(Protocol):
    """A domain's knowledge about single customers."""

    name: str
    signals: frozenset[str]
    """Names of the fleet signals it reads; no others are kept."""

    def look(self, view: View) -> int | None:
        """Report what is to be found now.

        Returns:
            The earliest instant after which there may be more to find although no further record came, or None.
        """


def raised(severity: Severity) -> Severity:
    """Return one degree more than `severity`, at most critical."""
    return SEVERITIES[min(SEVERITIES.index(severity) + 1, len(SEVERITIES) - 1)]


def day(at: int) -> str:
    """Return the day of an instant, 2017-11-24, in UTC: for sentences."""
    return to_text(at)[:10]


def hours(span: int) -> float:
    """Return microseconds as hours, to a hundredth: for features and sentences."""
    return round(span / HOUR, 2)


def earliest(first: int | None, second: int | None) -> int | None:
    """Return the earlier of two instants, either of which may be absent."""
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)


def _is_complaint(contact: Contact) -> bool:
    return contact.type != "review.answered" or contact.score <= SCORE_BAD


def _records(subject: Subject) -> list[tuple[str, int, int]]:
    records = []
    for channel, offset in sorted(subject.records):
        topic, _, partition = channel.rpartition("/")
        records.append((topic, int(partition), offset))
    return records
