"""How a bundle asks people: how long a request may wait, how many must agree, and who is told when nobody answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from config.clock import DAY, micros
from config.duration import parse_duration
from config.errors import PolicyError
from config.keys import ROLE

ANY = "*"
"""The ladder of owners that have none of their own."""


class RungDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a ladder."""

    after: str
    """How long a request has waited by then: `4h`."""
    to: str
    """The role that is told, and may answer from then on."""


class ApprovalsDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `approvals` of a bundle."""

    answer_within: str = "24h"
    """How long a request waits for an answer; without one it is denied."""
    two_people_from: float = 1_000.0
    """Money at risk from which on two people must agree."""
    two_people_if_irreversible: bool = True
    """Whether two people must agree to what cannot be undone."""
    escalations_max: int = 24
    """How often a role is told of requests that wait, a day at the most."""
    ladders: dict[str, list[RungDocument]] = {}
    """By owner of the rule; `*` for all others. Without any, the bundle's escalation is told at half the time."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of a ladder, ready to use."""

    after: int
    """Microseconds."""
    to: str


@dataclass(frozen=True, slots=True)
class Approvals:
    """How people are asked."""

    answer_within: int = DAY
    """Microseconds."""
    two_people_from: float = 1_000.0
    two_people_if_irreversible: bool = True
    escalations_max: int = 24
    ladders: Mapping[str, tuple[Rung, ...]] = field(default_factory=dict)

    def people(self, money_at_risk: float, *, reversible: bool) -> int:
        """Return how many people must agree."""
        risky = money_at_risk >= self.two_people_from or (self.two_people_if_irreversible and not reversible)
        return 2 if risky else 1

    def ladder(self, owner: str) -> tuple[Rung, ...]:
        """Return who is told when requests to `owner` wait, in order."""
        return self.ladders.get(owner, self.ladders.get(ANY, ()))


def read_approvals(document: ApprovalsDocument, escalation: str, at: Callable[..., str]) -> Approvals:
    """Return what the section says.

    Args:
        document: The section.
        escalation: Of the bundle.
        at: Returns `file:line` of what stands at a path below `approvals`.

    Raises:
        PolicyError: a span is none, a ladder does not rise, or a number or role is none.
    """
    within = _span(at("answer_within"), "answer_within", document.answer_within)
    if within <= 0:
        raise PolicyError(f"{at('answer_within')}: answer_within is no time", remedy="Write a span such as 24h.")
    if not document.two_people_from >= 0:
        raise PolicyError(f"{at('two_people_from')}: two_people_from is below 0", remedy="Write an amount.")
    if document.escalations_max < 1:
        raise PolicyError(
            f"{at('escalations_max')}: escalations_max is {document.escalations_max}: nobody would ever be told",
            remedy="Write 1 or more.",
        )
    ladders = {owner: _ladder(owner, rungs, at) for owner, rungs in document.ladders.items()}
    return Approvals(
        within,
        document.two_people_from,
        document.two_people_if_irreversible,
        document.escalations_max,
        ladders or {ANY: (Rung(within // 2, escalation),)},
    )


def _ladder(owner: str, documents: list[RungDocument], at: Callable[..., str]) -> tuple[Rung, ...]:
    rungs: list[Rung] = []
    for position, document in enumerate(documents):
        where = at("ladders", owner, position)
        after = _span(where, "after", document.after)
        if rungs and after <= rungs[-1].after:
            raise PolicyError(f"{where}: after is not later than that of the step before", remedy="Let it rise.")
        if not ROLE.fullmatch(document.to):
            raise PolicyError(f"{where}: {document.to!r} is no role", remedy="Name one as a key file does.")
        rungs.append(Rung(after, document.to))
    return tuple(rungs)


def _span(where: str, name: str, text: str) -> int:
    try:
        return micros(parse_duration(text))
    except ValueError as error:
        raise PolicyError(f"{where}: {name}: {error}", remedy="Write a span such as 4h.") from None
