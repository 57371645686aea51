"""The case stage: findings become cases, cases get decisions.

Key: the correlation key, a customer or a fleet entity (a cause). In: `finding` events, and `link` events by which the
cause stage tells a customer that a cause it named has a case of its own. Out, to the outbox: the finding, the case
event (`case.opened`, `case.updated`, `case.resolved`), and the decision and action of the same step.

Open findings on one entity make one case. It is resolved when all of them are, or when nothing was heard of it for
the time to live; what is found on the entity after that opens a new case.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from config.clock import micros
from config.errors import RecoveryError
from config.events import RELEASE, Event
from config.findings import Finding
from config.identity import derived_id, short_hash
from operators.case import CAUSE, CAUSES_MAX, OPENING, Case, OpenFinding, case_id, changed, row_of, slot_of
from operators.decide import Decider, Surroundings, commit
from operators.logic import Context

SWEEP = "sweep"
LINK = "link"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSettings:
    """How long cases, and the memory of them, last."""

    case_ttl: timedelta = timedelta(days=30)
    """A case is resolved as expired so long after its last finding, or its harm where that is later."""
    memory_ttl: timedelta = timedelta(days=30)
    """A resolved case is remembered so long, so that a finding that comes again does not open it anew."""
    contact_window: timedelta = timedelta(days=30)
    """A message counts as a recent contact for so long."""
    dedupe_ttl: timedelta = timedelta(days=1)
    """Event ids are remembered per key for this span, to drop duplicates."""


class Link(msgspec.Struct, array_like=True):
    """The open case of a cause."""

    opening: str
    """The finding that opened it."""
    until: int
    """When it is forgotten, should its end never be told."""


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


class CaseLogic:
    """Correlates findings into cases and decides about them.

    Args:
        decider: The policy, and how far the job may go.
        settings: How long cases last.
    """

    name = "case"
    state_type = CaseState
    state_version = 1

    def __init__(self, decider: Decider, settings: CaseSettings) -> None:
        self._decider = decider
        self._features = decider.bundle.features
        self._case_ttl = micros(settings.case_ttl)
        self._memory_ttl = micros(settings.memory_ttl)
        self._contact_window = micros(settings.contact_window)
        self.dedupe_ttl = micros(settings.dedupe_ttl)

    def new_state(self, key: str) -> CaseState:
        """Return the state of a key without cases."""
        return CaseState()

    def on_event(self, key: str, state: CaseState, event: Event, context: Context) -> None:
        """Handle a finding or a link.

        Raises:
            ValueError: the event is of another type: the stages are wired wrongly.
        """
        step = _Step(self, key, state, context)
        if event.type == "finding":
            step.on_finding(Finding.of(event), event)
        elif event.type == LINK:
            step.on_link(event.data["cause"], event.data["opening"])
        else:
            raise ValueError(f"stage {self.name} takes findings and links, not {event.type}")
        self._set_sweep(state, context)

    def on_timer(self, key: str, state: CaseState, timer: str, context: Context) -> None:
        """Resolve what has expired, forget what is past remembering."""
        now = context.now
        step = _Step(self, key, state, context)
        for case in [case for case in state.open.values() if case.expires_at <= now]:
            step.resolve(case, "Expired: nothing more was heard of it.")
        state.resolved = {name: entry for name, entry in state.resolved.items() if entry[0] > now}
        state.links = {cause: link for cause, link in state.links.items() if link.until > now}
        state.contacts = {name: at for name, at in state.contacts.items() if at + self._contact_window > now}
        self._set_sweep(state, context)

    def on_partial(self, key: str, state: CaseState, partial: Any, context: Context) -> None:
        """Refuse: cases are made of events alone.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"stage {self.name} takes no partials")

    def migrate(self, version: int, state: Any) -> CaseState:
        """Refuse: there is no older version.

        Raises:
            RecoveryError: always.
        """
        raise RecoveryError(
            f"stage {self.name}: recovered state is of version {version}, which was never released.",
            remedy="Start with a new store and recovery folder.",
        )

    def _set_sweep(self, state: CaseState, context: Context) -> None:
        due = [case.expires_at for case in state.open.values()]
        due += [forget_at for forget_at, _ in state.resolved.values()]
        due += [link.until for link in state.links.values()]
        due += [at + self._contact_window for at in state.contacts.values()]
        if due:
            context.set_timer(SWEEP, min(due))
        else:
            context.forget()


@dataclass(slots=True)
class _Step:
    """What one event or timer does to one key."""

    logic: CaseLogic
    key: str
    state: CaseState
    context: Context

    def on_finding(self, finding: Finding, event: Event) -> None:
        state, now = self.state, self.context.now
        if self._is_known(finding.finding_id):
            return
        self._emit(event.id, "finding", event.data)
        case = state.open.get(finding.entity)
        slot = slot_of(finding)
        features = finding.evidence.features
        if finding.resolves:
            if case is not None and slot in case.open:
                self._end(case, slot, finding)
            else:
                # Nothing to end; known for a while all the same, so that a duplicate is not released again.
                state.resolved[finding.finding_id] = (now + self.logic.dedupe_ttl, [short_hash(finding.finding_id)])
            return
        cause, opening = features.get(CAUSE), features.get(OPENING)
        if isinstance(cause, str) and isinstance(opening, str):
            state.links[cause] = Link(opening, now + self.logic._case_ttl)
        if case is None:
            case = state.open[finding.entity] = Case(self._new_case_id(finding), finding.entity, now)
        found = OpenFinding.of(finding, self.logic._features)
        there = case.open.get(slot)
        if there is None or (there.at, there.finding_id) < (found.at, found.finding_id):
            case.open[slot] = found
        case.remember(finding.finding_id)
        case.findings += 1
        case.causes = sorted({*case.causes, *finding.causes})[:CAUSES_MAX]
        case.expires_at = max(case.expires_at, max(now, finding.harm_at or now) + self.logic._case_ttl)
        self._update(case, finding.customer, decide_anew=True)

    def on_link(self, cause: str, opening: str) -> None:
        state = self.state
        if opening:
            state.links[cause] = Link(opening, self.context.now + self.logic._case_ttl)
        else:
            state.links.pop(cause, None)
            return  # A case stays part of the fleet case it was part of.
        for _, case in sorted(state.open.items()):
            if cause in case.causes:
                self._update(case, case.row["customer"], decide_anew=False)

    def resolve(self, case: Case, reason: str) -> None:
        """Close `case` and remember its findings for a while."""
        now = self.context.now
        row = case.row | {"status": "resolved", "updated_at": now, "resolved_at": now, "reason": reason}
        self._emit_case(case, row)
        del self.state.open[case.entity]
        self.state.resolved[case.case_id] = (now + self.logic._memory_ttl, case.seen)

    def _end(self, case: Case, slot: str, finding: Finding) -> None:
        case.remember(finding.finding_id)
        if len(case.open) == 1:
            self.resolve(case, finding.reason)
        else:
            del case.open[slot]
            self._update(case, case.row["customer"], decide_anew=False)

    def _is_known(self, finding_id: str) -> bool:
        identity = short_hash(finding_id)
        return any(identity in case.seen for case in self.state.open.values()) or any(
            identity in seen for _, seen in self.state.resolved.values()
        )

    def _new_case_id(self, finding: Finding) -> str:
        # The cause stage names the finding that opened its episode, so that the customers' cases can point here
        # although equal instants may bring another finding of the episode first.
        opening = finding.evidence.features.get(OPENING)
        if finding.entity == self.key and isinstance(opening, str):
            told = case_id(self.key, opening)
            if told not in self.state.resolved:
                return told
        return case_id(self.key, finding.finding_id)

    def _update(self, case: Case, customer: str, *, decide_anew: bool) -> None:
        """Bring the case's row up to date, decide, and emit what changed.

        Args:
            case: The case.
            customer: The customer it hurts, or "".
            decide_anew: Record a decision even when it says what the last one said.
        """
        logic, state, now = self.logic, self.state, self.context.now
        parent = self._parent_of(case)
        row = row_of(case, self.key, customer, parent, now)
        around = Surroundings(
            open_cases=len(state.open),
            linked=bool(parent),
            contacts=sum(1 for name in state.contacts if name != case.case_id),
        )
        decided = logic._decider.decide(case, row, around, now)
        events: list[Event] = []
        if decide_anew or (decided.outcome, decided.remedy, decided.rule) != case.decided:
            events = commit(case, decided, self.key, now)
            if logic._decider.contacts_customer(decided):
                state.contacts[case.case_id] = now
        row["decision"] = case.decided[0]
        row["decision_id"] = events[0].id if events else case.row["decision_id"]
        self._emit_case(case, row)
        for event in events:
            self.context.emit(RELEASE, event)

    def _parent_of(self, case: Case) -> str:
        """Return the id of the case of a cause of `case`, the first by name; once part of one, it stays so."""
        for cause in case.causes:
            link = self.state.links.get(cause)
            if link is not None and cause != self.key:
                return case_id(cause, link.opening)
        parent: str = case.row.get("parent_case", "")
        return parent

    def _emit_case(self, case: Case, row: dict[str, Any]) -> None:
        change = changed(case.row, row)
        if not change:
            return
        kind = "case.opened" if case.seq == 0 else "case.resolved" if row["status"] == "resolved" else "case.updated"
        case.seq += 1
        case.row = row
        event_id = derived_id("case-event", case.case_id, case.seq)
        data = {"case_id": case.case_id, "seq": case.seq, "at": self.context.now, "change": change}
        self._emit(event_id, kind, data)

    def _emit(self, event_id: str, kind: str, data: Any) -> None:
        self.context.emit(RELEASE, Event(self.context.now, event_id, self.key, kind, data))
