"""Counts what people are asked and answer, as it is released into the store, and what of it is open there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from config.clock import SECOND
from config.metrics import (
    ANSWER_SECONDS,
    ANSWERS,
    ESCALATIONS,
    REFUSALS,
    REQUESTS,
    REQUESTS_ENDED,
    REQUESTS_OLDEST,
    REQUESTS_OPEN,
)
from sinks.chain import Entry

APPROVAL = "approval"
"""Kind of the outputs that tell of requests."""


class _Said(msgspec.Struct):
    """What is read of any of them; each has some of it."""

    request_id: str
    at: int = 0
    roles: list[str] = []
    role: str = ""
    answer: str = ""
    waited_us: int = 0
    reason: str = ""
    end: str = ""
    to: str = ""
    notify: bool = True


_decode = msgspec.json.Decoder(_Said).decode


class OpenRequests:
    """The open requests of one sink part. A request and all that comes of it are in the same part.

    Args:
        part: Its name.
        before: (type, body) of what was released before, in order.
    """

    def __init__(self, part: str, before: Iterable[tuple[str, bytes]]) -> None:
        self._part = part
        self._open: dict[str, tuple[str, int]] = {}
        """Owner's role and when it was asked, by request."""
        self._roles: set[str] = set()
        for type_, body in before:
            self._fold(type_, _decode(body))
        self._tell()

    def released(self, entries: Sequence[Entry]) -> None:
        """Count entries that have just become durable."""
        mine = [(entry.type, _decode(entry.body)) for entry in entries if entry.kind == APPROVAL]
        for type_, said in mine:
            _count(type_, said)
            self._fold(type_, said)
        if mine:
            self._tell()

    def _fold(self, type_: str, said: _Said) -> None:
        if type_ == "approval.requested":
            self._open[said.request_id] = (said.roles[0], said.at)
        elif type_ == "approval.closed":
            self._open.pop(said.request_id, None)

    def _tell(self) -> None:
        by_role = Counter(role for role, _ in self._open.values())
        self._roles |= by_role.keys()
        for role in self._roles:
            REQUESTS_OPEN.set(by_role[role], self._part, role)
        oldest = min((at for _, at in self._open.values()), default=0)
        REQUESTS_OLDEST.set(oldest / SECOND, self._part)


def _count(type_: str, said: _Said) -> None:
    match type_:
        case "approval.requested":
            REQUESTS.add(1, said.roles[0])
        case "approval.counted":
            ANSWERS.add(1, said.role, said.answer)
            ANSWER_SECONDS.observe(said.waited_us / SECOND)
        case "approval.refused":
            REFUSALS.add(1, said.reason)
        case "approval.escalated":
            ESCALATIONS.add(1, said.to, "yes" if said.notify else "no")
        case "approval.closed":
            REQUESTS_ENDED.add(1, said.end)
