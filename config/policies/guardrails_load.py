"""Loads the section `guardrails` of a bundle: spans, amounts and names are looked at, remedies picked out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar, get_args

from config.clock import DAY, HOUR, MINUTE, TIME_MAX, TIME_MIN, micros, to_micros
from config.duration import parse_duration
from config.errors import PolicyError
from config.money import money
from config.policies.bundle import Remedy
from config.policies.guardrails import (
    MOST_MAX,
    Freeze,
    FreezeDocument,
    Guardrail,
    Guardrails,
    GuardrailsDocument,
    Limit,
    LimitDocument,
    SelectionDocument,
    Sequence,
    SequenceDocument,
    Turn,
    TurnDocument,
    Weekday,
)
from config.policies.rules import known

D = TypeVar("D", LimitDocument, SequenceDocument, FreezeDocument, TurnDocument)
G = TypeVar("G", bound=Guardrail)

_HOURS = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")

WITHIN_MAX = 400 * DAY
"""What is longer ago is not remembered."""


def read_guardrails(
    document: GuardrailsDocument, remedies: Mapping[str, Remedy], owner: str, at: Callable[..., str]
) -> Guardrails:
    """Return what the section says.

    Args:
        document: The section.
        remedies: Of the bundle, by name.
        owner: Of the bundle.
        at: Returns `file:line` of what stands at a path below `guardrails`.

    Raises:
        PolicyError: a span or amount is none, a remedy or class of side effects is unknown, or a guardrail can do
            nothing of what it says.
    """
    loader = _Loader(remedies, owner, at)
    guardrails = Guardrails(
        loader.each("limits", document.limits, loader.limit),
        loader.each("sequences", document.sequences, loader.sequence),
        loader.each("freezes", document.freezes, loader.freeze),
        loader.each("turns", document.turns, loader.turn),
    )
    names: set[str] = set()
    for guardrail in guardrails:
        if guardrail.name in names:
            where = at()
            raise PolicyError(
                f"{where}: two guardrails are called {guardrail.name!r}", remedy="Give each its own name."
            )
        names.add(guardrail.name)
    return guardrails


class _Loader:
    def __init__(self, remedies: Mapping[str, Remedy], owner: str, at: Callable[..., str]) -> None:
        self._remedies = remedies
        self._owner = owner
        self._at = at

    def limit(self, where: str, name: str, document: LimitDocument) -> Limit:
        if document.per != "customer" and document.then == "approve":
            raise PolicyError(
                f"{where}: then: approve is for limits per customer",
                remedy="Write then: recommend: what is over a limit of all is known only when nobody can be asked.",
            )
        if document.per == "customer" and document.counts == "customers":
            raise PolicyError(f"{where}: a customer is one", remedy="Count actions, or write per: cause or all.")
        if not 0 <= document.share <= 1 or (document.share and document.counts != "customers"):
            raise PolicyError(f"{where}: share is no share of customers", remedy="Write 0 to 1, for counts: customers.")
        return Limit(
            name=name,
            owner=document.owner or self._owner,
            then=document.then,
            remedies=self._selected(where, document.of),
            per=document.per,
            counts=document.counts,
            most=_amount(where, document),
            within=_span(where, document.within),
            share=document.share,
        )

    def sequence(self, where: str, name: str, document: SequenceDocument) -> Sequence:
        return Sequence(
            name=name,
            owner=document.owner or self._owner,
            then=document.then,
            remedies=self._selected(where, document.forbids),
            after=self._selected(where, document.after),
            within=_span(where, document.within),
        )

    def freeze(self, where: str, name: str, document: FreezeDocument) -> Freeze:
        allowed = frozenset[str]() if document.allows is None else self._selected(where, document.allows)
        remedies = self._selected(where, document.of) - allowed
        if not remedies:
            raise PolicyError(f"{where}: it allows all that it speaks of", remedy="Allow less, or leave it out.")
        begins = TIME_MIN if document.begins is None else _instant(where, "begins", document.begins)
        ends = TIME_MAX if document.ends is None else _instant(where, "ends", document.ends)
        if begins >= ends:
            raise PolicyError(f"{where}: it ends before it begins", remedy="Write ends after begins.")
        weekly = _weekly(where, document)
        if not weekly and document.begins is document.ends is None:
            raise PolicyError(f"{where}: it never begins", remedy="Give begins and ends, or days and hours.")
        return Freeze(
            name=name,
            owner=document.owner or self._owner,
            then=document.then,
            remedies=remedies,
            begins=begins,
            ends=ends,
            weekly=weekly,
        )

    def turn(self, where: str, name: str, document: TurnDocument) -> Turn:
        remedies = self._selected(where, document.of)
        return Turn(name=name, owner=document.owner or self._owner, then=document.then, remedies=remedies)

    def each(self, section: str, documents: Mapping[str, D], make: Callable[[str, str, D], G]) -> tuple[G, ...]:
        """Return what `make` makes of the guardrails of a section."""
        made = []
        for name, document in documents.items():
            where = f"{self._at(section, name)}: {section.removesuffix('s')} {name!r}"
            if not document.description.strip():
                raise PolicyError(f"{where}: description is empty", remedy="Say what it is for.")
            made.append(make(where, name, document))
        return tuple(made)

    def _selected(self, where: str, document: SelectionDocument) -> frozenset[str]:
        """Return the names of the remedies that a selection speaks of."""
        remedies = self._remedies
        known(where, "remedy", document.remedies, remedies)
        classes = sorted({remedy.side_effect for remedy in remedies.values() if remedy.side_effect})
        known(where, "side effect", document.side_effects, classes)
        if document == SelectionDocument():
            return frozenset(remedies)
        found = frozenset(
            remedy.name
            for remedy in remedies.values()
            if remedy.name in document.remedies
            or remedy.side_effect in document.side_effects
            or (document.contacts_customer and remedy.contacts_customer)
            or (document.moves_money and remedy.moves_money)
        )
        if not found:
            raise PolicyError(f"{where}: no remedy is of its kind", remedy="Select others, or leave it out.")
        return found


def _amount(where: str, document: LimitDocument) -> int:
    if not 0 <= document.most <= MOST_MAX:
        raise PolicyError(f"{where}: most is not within 0 and {MOST_MAX:,}", remedy="Write a number within it.")
    if document.counts == "money":
        return money(document.most)
    if document.most != int(document.most):
        raise PolicyError(f"{where}: most is no whole number", remedy="Write one, or counts: money.")
    return int(document.most)


def _span(where: str, text: str) -> int:
    try:
        span = micros(parse_duration(text))
    except ValueError as error:
        raise PolicyError(f"{where}: within: {error}", remedy="Write a span such as 7d.") from None
    if not 0 < span <= WITHIN_MAX:
        raise PolicyError(f"{where}: within is not within 1us and {WITHIN_MAX // DAY}d", remedy="Write such a span.")
    return span


def _instant(where: str, name: str, instant: datetime) -> int:
    if instant.tzinfo is None:
        raise PolicyError(f"{where}: {name} has no offset from UTC", remedy="Write it as 2026-01-31T00:00:00Z.")
    return to_micros(instant)


def _weekly(where: str, document: FreezeDocument) -> tuple[tuple[int, int], ...]:
    """Return (begin, end) from Monday on of each day's span; none where it is no matter of days or hours."""
    if not document.days and not document.hours:
        return ()
    begin, end = 0, DAY
    if document.hours:
        found = _HOURS.fullmatch(document.hours)
        hours = [] if found is None else [int(part) for part in found.groups()]
        if (
            not hours
            or max(hours[1], hours[3]) > 59
            or (begin := _minutes(*hours[:2])) >= DAY
            or (end := _minutes(*hours[2:])) > DAY
        ):
            raise PolicyError(f"{where}: hours are {document.hours!r}", remedy="Write them as 22:00-06:00, in UTC.")
        if begin == end:
            raise PolicyError(f"{where}: hours begin when they end", remedy="Leave them out for whole days.")
        end += DAY if end < begin else 0
    days = [place for place, day in enumerate(get_args(Weekday)) if not document.days or day in document.days]
    return tuple((day * DAY + begin, day * DAY + end) for day in days)


def _minutes(hour: int, minute: int) -> int:
    return hour * HOUR + minute * MINUTE
