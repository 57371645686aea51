"""Loads the section `guardrails` of a bundle: spans, amounts and names are looked at, remedies picked out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from config.clock import DAY, micros
from config.duration import parse_duration
from config.errors import PolicyError
from config.money import money
from config.policies.bundle import Remedy
from config.policies.guardrails import (
    Guardrails,
    GuardrailsDocument,
    Limit,
    LimitDocument,
    SelectionDocument,
)
from config.policies.rules import known

WITHIN_MAX = 400 * DAY
"""What is longer ago is not remembered."""
MOST_MAX = 1_000_000_000


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
    return Guardrails(tuple(loader.limit(name, limit) for name, limit in document.limits.items()))


class _Loader:
    def __init__(self, remedies: Mapping[str, Remedy], owner: str, at: Callable[..., str]) -> None:
        self._remedies = remedies
        self._owner = owner
        self._at = at

    def limit(self, name: str, document: LimitDocument) -> Limit:
        path = ("limits", name)
        where = f"{self._at(*path)}: limit {name!r}"
        if not document.description.strip():
            raise PolicyError(f"{where}: description is empty", remedy="Say what it is for.")
        if document.per != "customer" and document.then == "approve":
            raise PolicyError(
                f"{where}: then: approve is for limits per customer",
                remedy="Write then: recommend: what is over a limit of all is known only when nobody can be asked.",
            )
        return Limit(
            name=name,
            owner=document.owner or self._owner,
            then=document.then,
            remedies=self._selected(where, document.of),
            per=document.per,
            counts=document.counts,
            most=_amount(where, document),
            within=_span(where, "within", document.within),
        )

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
        raise PolicyError(f"{where}: most is no whole number of actions", remedy="Write one, or counts: money.")
    return int(document.most)


def _span(where: str, name: str, text: str) -> int:
    try:
        span = micros(parse_duration(text))
    except ValueError as error:
        raise PolicyError(f"{where}: {name}: {error}", remedy="Write a span such as 7d.") from None
    if not 0 < span <= WITHIN_MAX:
        raise PolicyError(f"{where}: {name} is not within 1us and {WITHIN_MAX // DAY}d", remedy="Write such a span.")
    return span
