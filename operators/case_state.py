"""What the case stage keeps of a customer or cause."""

from __future__ import annotations

import msgspec

from operators.approvals import Ended as EndedRequest
from operators.approvals import Request
from operators.budget import Spent
from operators.case import Case
from operators.escalation import Told
from operators.flags import Limit
from operators.guardrails import Act
from operators.standing import Standing

LINK = "link"


class Link(msgspec.Struct, array_like=True):
    """The open case of a cause."""

    opening: str
    """The finding that opened it."""
    until: int
    """When it is forgotten, should its end never be told."""


class Closed(msgspec.Struct, array_like=True):
    """A case that was resolved a short while ago."""

    case: Case
    at: int
    """When it was resolved."""
    until: int
    """A finding before this opens it again."""


class Ended(msgspec.Struct, array_like=True):
    """An end that came before what it ends, of the same instant."""

    at: int
    entity: str
    slot: str
    occurrence: str
    """Of the end."""
    reason: str


class CaseState(msgspec.Struct):
    """All that is kept of one customer or cause."""

    open: dict[str, Case] = {}
    """By entity."""
    resolved: dict[str, tuple[int, list[int]]] = {}
    """By case id (or id of a finding that ended nothing): when to forget it, and hashes of the ids of its findings."""
    links: dict[str, Link] = {}
    """By cause."""
    contacts: dict[str, int] = {}
    """By case id: when a message was last decided for it."""
    closed: dict[str, Closed] = {}
    """By entity, the case that may be opened again."""
    ended: list[Ended] = []
    """Ends of the present instant that found nothing to end."""
    budgets: dict[str, Spent] = {}
    """Under the key BROADCAST alone: by agent, what was spent of the day's budget of false discoveries,"""
    flags: dict[str, Limit] = {}
    """and the flags, by scope."""
    apart: CaseState | None = None
    """The same of findings whose agent is off or in shadow: nothing live looks at it. None where there was none."""
    requests: dict[str, Request] = {}
    """By case id, what people were asked and have not answered."""
    answered: dict[str, EndedRequest] = {}
    """By request id, those that are over."""
    told: dict[str, Told] = {}
    """Under the key BROADCAST alone: by role, how often it was told of requests that wait,"""
    standings: dict[str, Standing] = {}
    """and the levels of autonomy that have changed, by agent, remedy and segment."""
    acts: list[Act] = []
    """What was done for the customer, oldest first, as long as guardrails count it."""
