"""One step of the case stage: what a finding, a link or the end of a case does to a key's cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from config.actions import Approval
from config.events import RELEASE, Event
from config.findings import Finding
from config.identity import derived_id, short_hash
from operators.approval_step import ApprovalStep
from operators.budget import bears
from operators.case import (
    CAUSE,
    CAUSES_MAX,
    OPENING,
    Case,
    OpenFinding,
    case_id,
    changed,
    confidence_of,
    is_end_of,
    kind_confidence,
    row_of,
    slot_of,
)
from operators.case_state import CaseState, Closed, Ended, Link
from operators.decide import Decided, Surroundings, commit, commit_shadows
from operators.guard import GUARD, proposed
from operators.guardrails import ACTS_MAX, Act, note_end, prune
from operators.logic import Context
from operators.outcomes import ENDS, PATIENCE, note_outcome

if TYPE_CHECKING:
    from operators.cases import CaseLogic


@dataclass(slots=True)
class CaseStep:
    """What one event or timer does to one key.

    Attributes:
        apart: Whether `state` is that of findings whose agent is off or in shadow. They are released as the evidence
            they are, and decided about for the record; no case event, decision or action of theirs leaves.
    """

    logic: CaseLogic
    key: str
    state: CaseState
    context: Context
    apart: bool = False

    def on_finding(self, finding: Finding, event: Event) -> None:
        """Let a finding open, join, or end a case."""
        if self._is_known(finding.finding_id):
            return
        self._emit(event.id, "finding", event.data)
        if finding.resolves:
            self._on_end(finding)
            return
        now = self.context.now
        self._note_cause(finding)
        case = self._case_of(finding)
        slot = slot_of(finding)
        found = OpenFinding.of(finding, self.logic.features)
        there = case.open.get(slot)
        if there is None or (there.at, there.finding_id) < (found.at, found.finding_id):
            case.open[slot] = found
        case.remember(finding.finding_id)
        case.findings += 1
        causes = sorted({*case.causes, *finding.causes})
        case.causes, case.has_more_causes = causes[:CAUSES_MAX], case.has_more_causes or len(causes) > CAUSES_MAX
        case.opened_at = min(case.opened_at, finding.at)
        case.expires_at = max(case.expires_at, max(finding.at, finding.harm_at or finding.at) + self.logic.case_ttl)
        self.update(case, finding.customer, decide_anew=True, charge=finding.agent)
        for ended in self.state.ended:
            same = (ended.at, ended.entity, ended.slot) == (now, finding.entity, slot)
            if same and case.open[slot] is found and is_end_of(ended.occurrence, finding.occurrence):
                self._take_out(case, slot, ended.reason)
                return

    def on_link(self, cause: str, opening: str) -> None:
        """Make the cases that named `cause` part of its case; `opening` is empty when its case is over."""
        state = self.state
        if opening:
            state.links[cause] = Link(opening, self.context.now + self.logic.case_ttl)
        else:
            state.links.pop(cause, None)
            return  # A case stays part of the fleet case it was part of.
        for _, case in sorted(state.open.items()):
            if cause in case.causes:
                self.update(case, case.row["customer"], decide_anew=False)

    @property
    def approvals(self) -> ApprovalStep:
        """What it does to the requests of the key."""
        logic = self.logic
        policy, groups = logic.decider.policy, logic.key_groups
        return ApprovalStep(self, logic.keys, policy, logic.memory_ttl, groups, self.key, self.state, self.context)

    def on_outcome(self, event: Event) -> None:
        """Note what came of an action in its case; where that ended, decide anew what is to be done."""
        told, state = event.data, self.state
        closed = (each.case for each in state.closed.values())
        case = next((each for each in (*state.open.values(), *closed) if each.case_id == told["case_id"]), None)
        ignored = "there is no such case" if case is None else note_outcome(case, told, self.context.now)
        identity = derived_id("outcome", event.channel, event.seq)
        self._emit(identity, "outcome.ignored" if ignored else "outcome.noted", told | {"ignored": ignored})
        if case is None or ignored:
            if case is None or case.plan is None or case.plan.action_id != told["action_id"]:
                self._on_late_outcome(told)
            return
        over = 0 if case.plan is None else case.plan.until
        state.acts = note_end(state.acts, told["action_id"], told["state"], over)
        if case.plan is None:
            # Those that waited for it have their turn too, the most urgent first.
            waiting = [each for each in state.open.values() if each is case or each.again_at]
            self.decide_in_turn(waiting, [case], weighed=False)

    def _on_late_outcome(self, told: dict[str, Any]) -> None:
        """Note what came of an action that no case waits for any more: its own is over, or has begun another since."""
        state, now, name = self.state, self.context.now, told["action_id"]
        act = next((each for each in state.acts if each.action_id == name and each.until), None)
        if act is None:
            return
        over = told["state"] in ENDS
        state.acts = note_end(state.acts, name, told["state"], 0 if over else max(act.until, now + PATIENCE))
        if over:
            self.decide_in_turn([each for each in state.open.values() if each.again_at], weighed=False)

    def decide_in_turn(self, cases: Sequence[Case], anew: Sequence[Case] = (), *, weighed: bool = True) -> None:
        """Decide about cases again, the most urgent first: what is done for one may hold back another.

        Args:
            cases: The cases.
            anew: Those whose decision is recorded whatever it says.
            weighed: Whether all that is of the instant was weighed already.
        """
        for case in sorted(cases, key=lambda each: (-each.row["priority"], each.case_id)):
            is_anew = case.weighing or any(each is case for each in anew)
            self.update(case, case.row["customer"], decide_anew=is_anew, weighed=weighed)

    def resolve(self, case: Case, reason: str, *, may_reopen: bool = True) -> None:
        """Close `case`, and remember it and its findings for a while."""
        state, now = self.state, self.context.now
        self.approvals.withdraw(case, f"The case is over: {reason}")
        row = case.row | {"status": "resolved", "updated_at": now, "resolved_at": now, "reason": reason}
        self._emit_case(case, row, "case.resolved")
        del state.open[case.entity]
        state.resolved[case.case_id] = (now + self.logic.memory_ttl, case.seen)
        case.seen, case.open, case.again_at, case.weighing = [], {}, None, False
        if may_reopen:
            state.closed[case.entity] = Closed(case, now, now + self.logic.reopen_within)

    def _on_end(self, end: Finding) -> None:
        case, slot = self.state.open.get(end.entity), slot_of(end)
        if case is not None and slot in case.open and case.open[slot].is_ended_by(end):
            case.remember(end.finding_id)
            self._take_out(case, slot, end.reason)
            return
        # Known for a while although it ends nothing, so that a duplicate is not released again.
        now = self.context.now
        self.state.resolved[end.finding_id] = (now + self.logic.dedupe_ttl, [short_hash(end.finding_id)])
        # What it ends may be of the same instant and come after it, for the ids of equals are in no useful order.
        self.state.ended.append(Ended(now, end.entity, slot, end.occurrence, end.reason))

    def _take_out(self, case: Case, slot: str, reason: str) -> None:
        """Take the finding of `slot` out of its case; the last one resolves it."""
        if len(case.open) == 1:
            self.resolve(case, reason)
            return
        del case.open[slot]
        # One event ends several findings, each by an end of its own: in between, what is left is not so any more.
        case.again_at = self.context.now + 1
        row, _ = self.decided(case, case.row["customer"])
        self._emit_undecided(case, row)

    def _charge(self, case: Case, agent: str) -> bool:
        """Charge the agent's budget with a case that is new, or was beyond it: more may be known of it now.

        Returns:
            Whether the case is held now and was not before, or the other way round.
        """
        budget, held = self.logic.budgets.get(agent), case.held
        if case.seq > 0 and not held:
            return False
        case.held = budget is not None and not bears(
            budget, self.context.common().budgets, agent, self.context.now, confidence_of(case, self.logic.sources)
        )
        return case.held != held

    def _note_cause(self, finding: Finding) -> None:
        features = finding.evidence.features
        cause, opening = features.get(CAUSE), features.get(OPENING)
        if isinstance(cause, str) and isinstance(opening, str):
            self.state.links[cause] = Link(opening, self.context.now + self.logic.case_ttl)

    def _case_of(self, finding: Finding) -> Case:
        """Return the case that the finding belongs to: the open one, one opened again, or a new one."""
        state, entity = self.state, finding.entity
        case = state.open.get(entity)
        if case is None:
            case = self._reopened(finding)
        if case is None:
            case = Case(self._new_case_id(finding), entity, self.context.now)
        state.open[entity] = case
        return case

    def _reopened(self, finding: Finding) -> Case | None:
        state, now = self.state, self.context.now
        closed = state.closed.get(finding.entity)
        if closed is None:
            return None
        told = self._told_case_id(finding)
        if now >= closed.until if told is None else told != closed.case.case_id:
            return None
        del state.closed[finding.entity]
        case = closed.case
        case.seen = state.resolved.pop(case.case_id, (0, []))[1]
        # At one instant the end of one finding may come before or after another finding: that is not to be seen.
        case.reopened += now > closed.at
        return case

    def _is_known(self, finding_id: str) -> bool:
        identity = short_hash(finding_id)
        return any(identity in case.seen for case in self.state.open.values()) or any(
            identity in seen for _, seen in self.state.resolved.values()
        )

    def _told_case_id(self, finding: Finding) -> str | None:
        # The cause stage names the finding that opened its episode, so that the customers' cases can point here
        # although equal instants may bring another finding of the episode first.
        opening = finding.evidence.features.get(OPENING)
        return case_id(self.key, opening) if finding.entity == self.key and isinstance(opening, str) else None

    def _new_case_id(self, finding: Finding) -> str:
        told = self._told_case_id(finding)
        if told is not None and told not in self.state.resolved:
            return told
        return case_id(self.key, finding.finding_id)

    def decided(self, case: Case, customer: str, approval: Approval | None = None) -> tuple[dict[str, Any], Decided]:
        """Return the case's row and what is to be decided now; changes nothing."""
        logic, state, now = self.logic, self.state, self.context.now
        parent = self._parent_of(case)
        row = row_of(case, self.key, customer, parent, now, logic.sources)
        around = Surroundings(
            open_cases=len(state.open),
            linked=bool(parent),
            contacts=sum(1 for name in state.contacts if name != case.case_id),
            kind_confidence=kind_confidence(case, logic.sources),
            flags=self.context.shared().flags,
            standings=self.context.shared().standings,
            acts=state.acts if customer else None,
        )
        return row, logic.decider.decide(case, row, around, now, approval)

    def update(
        self,
        case: Case,
        customer: str,
        *,
        decide_anew: bool,
        charge: str = "",
        approval: Approval | None = None,
        weighed: bool = False,
    ) -> None:
        """Bring the case's row up to date, decide, and emit what changed.

        Args:
            case: The case.
            customer: The customer it hurts, or "".
            decide_anew: Record a decision even when it says what the last one said.
            charge: The agent whose budget of false discoveries bears the case; "" for none.
            approval: Who consented to what the policy asks consent for.
            weighed: Whether all that is of the instant was weighed already.
        """
        state, approvals, now = self.state, self.approvals, self.context.now
        row, decided = self.decided(case, customer, approval)
        # What is only watched by its mode bothers nobody, and takes nothing of a budget.
        if charge and decided.is_live and self._charge(case, charge):
            row, decided = self.decided(case, customer, approval)
        if approval is None and not weighed and not self.apart and self.logic.decider.takes_turns(decided, now):
            # Others of this very instant may be more urgent, and come after it.
            case.again_at, case.weighing = now + 1, case.weighing or decide_anew
            self._emit_undecided(case, row)
            return
        case.again_at, case.weighing = None if self.apart else decided.again_at, False
        anew = decide_anew or (decided.outcome, decided.remedy, decided.rule) != case.decided
        anew = anew or approvals.asks_else(case, decided)
        events = commit(case, decided, self.key, now) if anew and not self.apart else []
        if events and decided.contacts_customer:
            state.contacts[case.case_id] = now
        row["decision"] = case.decided[0]
        row["decision_id"] = events[0].id if events else case.row.get("decision_id", "")
        self._emit_case(case, row, "case.updated")
        if events and decided.action is not None:
            self._note_act(decided.action, row["money_at_risk"])
        for event in (*events, *commit_shadows(case, decided, self.key, now, anew=anew)):
            self._release(event, case, row)
        approvals.follow(case, decided, row)

    def _note_act(self, action: dict[str, Any], at_risk: float) -> None:
        """Note what is done for a customer; what is done about a cause is nobody's."""
        logic, state, now = self.logic, self.state, self.context.now
        if action["customer"] and logic.memory:
            money = logic.decider.money(action["remedy"], at_risk, now)
            acts = [
                *prune(state.acts, logic.memory, now),
                Act(now, action["action_id"], action["remedy"], money, action["valid_until"]),
            ]
            while len(acts) > ACTS_MAX:
                # The one that would be forgotten first: another may be under way for long.
                acts.remove(min(acts, key=lambda act: max(act.at + logic.memory, act.until)))
            state.acts = acts

    def _release(self, event: Event, case: Case, row: dict[str, Any]) -> None:
        """Let an event leave; an action that limits over all customers speak of, by the stage that keeps them."""
        decider, now = self.logic.decider, self.context.now
        if event.type == "action":
            remedy, causes = event.data["remedy"], case.causes if event.data["customer"] else [self.key]
            if decider.is_limited(remedy, causes, now):
                money = decider.money(remedy, row["money_at_risk"], now)
                if case.plan is not None:
                    case.plan.guarded = True
                has_more = case.has_more_causes and bool(event.data["customer"])
                self.context.emit(GUARD, proposed(event, causes, money, has_more=has_more))
                return
        self.context.emit(RELEASE, event)

    def _parent_of(self, case: Case) -> str:
        """Return the id of the case of a cause of `case`, the first by name; once part of one, it stays so."""
        for cause in case.causes:
            link = self.state.links.get(cause)
            if link is not None and cause != self.key:
                return case_id(cause, link.opening)
        parent: str = case.row.get("parent_case", "")
        return parent

    def _emit_undecided(self, case: Case, row: dict[str, Any]) -> None:
        """Emit what changed of a case that will be decided about in a moment."""
        row |= {name: case.row.get(name, "") for name in ("decision", "decision_id")}
        self._emit_case(case, row, "case.updated")

    def _emit_case(self, case: Case, row: dict[str, Any], kind: str) -> None:
        change = changed(case.row, row)
        if not change:
            return
        if case.seq == 0:
            kind = "case.opened"
        elif "status" in change and row["status"] == "open":
            kind = "case.reopened"
        case.seq += 1
        case.row = row
        if self.apart:
            return
        event_id = derived_id("case-event", case.case_id, case.seq)
        data = {"case_id": case.case_id, "seq": case.seq, "at": self.context.now, "change": change}
        self._emit(event_id, kind, data)

    def _emit(self, event_id: str, kind: str, data: Any) -> None:
        self.context.emit(RELEASE, Event(self.context.now, event_id, self.key, kind, data))
