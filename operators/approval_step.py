"""What approvals add to a step of the case stage: requests follow decisions, answers and timers end them.

A case has one open request at the most. It stays open as long as the same is wanted, and is taken back when that is
no longer so. What was refused by a person, or never answered, is not asked for again in its case unless the case gets
more severe.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from config.actions import Approval
from config.converter import Converter
from config.events import RELEASE, Event
from config.identity import derived_id, key_group
from config.keys import Keys
from config.policies.bundle import Bundle
from config.policies.versions import Versions
from operators.approvals import (
    APPROVE,
    Answer,
    End,
    Ended,
    Refusal,
    Request,
    judge,
    judge_state,
    request_of,
    said_of,
)
from operators.case import Case, Denial
from operators.case_state import CaseState
from operators.decide import Decided
from operators.escalation import climb, may_tell, share_of
from operators.logic import Context

REQUESTS_MAX = 64
"""Open requests of one customer or cause."""
ENDED_MAX = 128
"""Requests that are over, of one customer or cause, that are remembered."""
_answer = Converter(Answer)


class Cases(Protocol):
    """What else a step of the case stage does."""

    def decided(self, case: Case, customer: str, approval: Approval | None = None) -> tuple[dict[str, Any], Decided]:
        """Return the case's row and what is to be decided now; changes nothing."""

    def update(self, case: Case, customer: str, *, decide_anew: bool, approval: Approval | None = None) -> None:
        """Bring the case's row up to date, decide, and emit what changed."""


def due_requests(state: CaseState) -> Iterator[int]:
    """Yield when `ApprovalStep.sweep` has something to do."""
    for request in state.requests.values():
        yield request.ladder[0][0] if request.ladder else request.expires_at
    yield from (ended.until for ended in state.answered.values())


@dataclass(slots=True)
class ApprovalStep:
    """What one event or timer does to the requests of one key.

    Args:
        cases: The step it is part of.
        keys: Who may sign.
        policy: How people are asked.
        memory_ttl: How long a request that is over is remembered, microseconds.
        key_groups: Of the stage.
        key: Of the stage.
        state: Of the key.
        context: Of the event or timer.
    """

    cases: Cases
    keys: Keys
    policy: Versions
    memory_ttl: int
    key_groups: int
    key: str
    state: CaseState
    context: Context

    def asks_else(self, case: Case, decided: Decided) -> bool:
        """Return whether a decision asks for something else than the open request of its case."""
        request = self.state.requests.get(case.case_id)
        return request is not None and self._stale(request, decided) is not None

    def follow(self, case: Case, decided: Decided, row: dict[str, Any]) -> None:
        """Ask, or take a request back, as the last decision about a case says."""
        request = self.state.requests.get(case.case_id)
        wanted = decided.outcome == "approve" and case.denial(decided.remedy) is None
        if request is not None:
            if wanted and self._stale(request, decided) is None:
                return
            self._end(request, "withdrawn", f"Something else is wanted now: {decided.decision['reason']}")
        if wanted:
            self._ask(case, decided, row, self.context.now if request is None else request.since)

    def withdraw(self, case: Case, why: str) -> None:
        """Take back what is asked about a case that is over."""
        request = self.state.requests.get(case.case_id)
        if request is not None:
            self._end(request, "withdrawn", why)

    def on_answer(self, event: Event) -> None:
        """Judge an answer, and let follow from it what it says."""
        answer = _answer(event.data)
        request = next((each for each in self._open() if each.request_id == answer.request_id), None)
        ended = self.state.answered.get(answer.request_id)
        refusal = judge(answer, request, ended, self.keys, self.context.now)
        if refusal is None and request is not None:
            refusal = self._answered(answer, request)
        if refusal is not None:
            known = request or ended
            told = ("request_id", "answer", "approver", "role")
            data = {name: getattr(answer, name) for name in told} | msgspec.to_builtins(refusal)
            data |= {"case_id": "" if known is None else known.case_id, "at": self.context.now}
            self._emit(derived_id("approval-refusal", event.channel, event.seq), "refused", data)
            if request is not None and refusal.differences:
                # Time alone has changed what is wanted: it is asked for anew, if anything is.
                case = self._case_of(request)
                self.cases.update(case, case.row["customer"], decide_anew=False)

    def sweep(self) -> None:
        """Tell others of what waits, deny what nobody answered in time, and forget what is past remembering."""
        now = self.context.now
        for request in self._open():
            while request.ladder and request.ladder[0][0] <= now < request.expires_at:
                self._escalate(request)
        for request in [each for each in self._open() if each.expires_at <= now]:
            who = " or ".join(request.roles)
            why = f"Nobody of {who} answered in time, so it is denied; only evidence of higher severity asks again."
            self._deny(request, "expired", why)
        self.state.answered = {name: ended for name, ended in self.state.answered.items() if ended.until > now}

    def _open(self) -> list[Request]:
        return list(self.state.requests.values())

    def _stale(self, request: Request, decided: Decided) -> Refusal | None:
        """Return why a request cannot be granted by what is decided now, None where it can."""
        bundle = self._bundle
        remedy = bundle.remedies.get(decided.remedy)
        reversible = remedy is None or remedy.reversible
        people = bundle.approvals.people(decided.decision["facts"]["money_at_risk"], reversible=reversible)
        return judge_state(request, decided.decision, people)

    def _case_of(self, request: Request) -> Case:
        return next(case for case in self.state.open.values() if case.case_id == request.case_id)

    def _ask(self, case: Case, decided: Decided, row: dict[str, Any], since: int) -> None:
        now, decision = self.context.now, decided.decision
        bundle = self._bundle
        remedy = bundle.remedies.get(decided.remedy)
        reversible = remedy is None or remedy.reversible
        request = request_of(decision, decided.proposal, row, bundle.approvals, reversible=reversible, now=now)
        ladder = bundle.approvals.ladder(decision["approver"])
        told, request.ladder = climb(ladder, case.climbed, since, now, request.expires_at)
        request.roles = list(dict.fromkeys([*request.roles, *told]))
        request.since = since
        if len(self.state.requests) >= REQUESTS_MAX:
            oldest = min(self._open(), key=lambda each: (each.asked_at, each.request_id))
            self._end(oldest, "withdrawn", f"More than {REQUESTS_MAX} requests about one customer or cause are open.")
        self.state.requests[request.case_id] = request
        self._emit(request.request_id, "requested", said_of(request, decision, self.key))

    def _escalate(self, request: Request) -> None:
        """Climb one rung: another role may answer, and is told if its budget of the day bears it."""
        now, case, most = self.context.now, self._case_of(request), self._bundle.approvals.escalations_max
        _, role = request.ladder.pop(0)
        case.climbed += 1
        group = key_group(self.key, self.key_groups)
        notify = may_tell(self.context.common().told, role, now, share_of(most, self.key_groups, group, now))
        request.roles = list(dict.fromkeys([*request.roles, role]))
        data = {
            "request_id": request.request_id,
            "case_id": request.case_id,
            "case_key": self.key,
            "at": now,
            "to": role,
            "notify": notify,
            "why": ""
            if notify
            else f"{role} was told of enough today; the owner of the policy may raise escalations_max.",
            "remedy": request.remedy,
            "severity": request.severity,
            "waited_us": now - request.since,
            "expires_at": request.expires_at,
        }
        self._emit(derived_id("approval-escalation", request.request_id, case.climbed), "escalated", data)

    @property
    def _bundle(self) -> Bundle:
        return self.policy.at(self.context.now) or self.policy.first

    def _answered(self, answer: Answer, request: Request) -> Refusal | None:
        """Let an answer count; return why it does not, where what it consents to is not what is wanted now."""
        case = self._case_of(request)
        customer: str = case.row["customer"]
        approval = Approval(request.request_id, [*request.approvers, answer.approver])
        if answer.answer == APPROVE:
            granted = approval if request.action is not None else None
            _, decided = self.cases.decided(case, customer, granted)
            if (refusal := self._stale(request, decided)) is not None:
                return refusal
        request.heard.append(answer.identity)
        who = f"{answer.approver} ({answer.role})"
        if answer.answer == APPROVE:
            request.approvers = approval.approvers
        self._emit(
            derived_id("approval-answer", request.request_id, len(request.heard)),
            "counted",
            {
                "request_id": request.request_id,
                "case_id": request.case_id,
                "at": self.context.now,
                "answer": answer.answer,
                "approver": answer.approver,
                "role": answer.role,
                "answered_at": answer.answered_at,
                "still_needed": max(request.people - len(request.approvers), 0) if answer.answer == APPROVE else 0,
                "waited_us": self.context.now - request.asked_at,
            },
        )
        if answer.answer != APPROVE:
            self._deny(request, "rejected", f"{who} said no; only evidence of higher severity asks again.")
        elif len(request.approvers) >= request.people:
            if request.action is None:
                # A question without a proposal: whoever says yes has taken it in hand.
                case.denied[request.remedy] = Denial(case.severity, f"{who} has taken it in hand.")
            self._end(request, "granted", f"Approved by {', '.join(approval.approvers)}.")
            self.cases.update(case, customer, decide_anew=False, approval=granted)
        return None

    def _deny(self, request: Request, end: End, why: str) -> None:
        case = self._case_of(request)
        case.denied[request.remedy] = Denial(case.severity, why)
        self._end(request, end, why)
        self.cases.update(case, case.row["customer"], decide_anew=False)

    def _end(self, request: Request, end: End, why: str) -> None:
        state, now = self.state, self.context.now
        del state.requests[request.case_id]
        state.answered[request.request_id] = Ended(request.case_id, end, why, now + self.memory_ttl, request.heard)
        for name in list(state.answered)[:-ENDED_MAX]:
            del state.answered[name]
        data = {
            "request_id": request.request_id,
            "case_id": request.case_id,
            "at": now,
            "end": end,
            "why": why,
            "approvers": request.approvers,
            "asked_at": request.asked_at,
        }
        self._emit(derived_id("approval-end", request.request_id), "closed", data)

    def _emit(self, identity: str, what: str, data: dict[str, Any]) -> None:
        self.context.emit(RELEASE, Event(self.context.now, identity, self.key, f"approval.{what}", data))
