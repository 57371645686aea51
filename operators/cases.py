"""The case stage: findings become cases, cases get decisions.

Key: the correlation key, a customer or a fleet entity (a cause). In: `finding` events; `link` events by which the
cause stage tells a customer that a cause it named has a case of its own; `autonomy.changed` of the autonomy stage; and,
by control channels, flags, answers and outcomes.
Out, to the outbox: the finding, the case event (`case.opened`, `case.updated`, `case.resolved`, `case.reopened`), the
decision and action of the same step, and what people are asked and said (`operators/approval_step.py`). To `guard`: the
action, where the policy has a limit over all customers for it.

Open findings on one entity make one case. It is resolved when all of them are, or when nothing was heard of it for
the time to live. What is found on the entity soon after all had ended opens the same case again: it is the same
trouble, and what was done about it must not be done twice. What is found later, or after a case expired, opens a new
one. What one event does stands in `operators/case_step.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from config.agents.load import Budget
from config.clock import micros
from config.errors import RecoveryError
from config.events import Event
from config.findings import Finding
from config.keys import Keys
from operators.approval_step import due_requests
from operators.approvals import ANSWERED
from operators.case import slot_of
from operators.case_state import LINK, CaseState
from operators.case_step import CaseStep
from operators.decide import Decider
from operators.evidence import Sources
from operators.flags import FLAG, note
from operators.guardrails import prune
from operators.logic import Context
from operators.outcomes import OUTCOME
from operators.standing import CHANGED
from operators.standing import note as note_standing

SWEEP = "sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSettings:
    """How long cases, and the memory of them, last."""

    case_ttl: timedelta = timedelta(days=30)
    """A case is resolved as expired so long after its last finding, or its harm where that is later."""
    memory_ttl: timedelta = timedelta(days=30)
    """A resolved case is remembered so long, so that a finding that comes again does not open it anew."""
    reopen_within: timedelta = timedelta(days=1)
    """A finding on the entity so soon after its case was resolved opens it again. For the case of a cause its episode
    decides: `CauseSettings.reopen_within`."""
    contact_window: timedelta = timedelta(days=30)
    """A message counts as a recent contact for so long."""
    key_groups: int = 1
    """Of the stage: budgets that people share are divided among them."""
    dedupe_ttl: timedelta = timedelta(days=1)
    """Event ids are remembered per key for this span, to drop duplicates."""


class CaseLogic:
    """Correlates findings into cases and decides about them.

    Args:
        decider: The policy, and how far the job may go.
        settings: How long cases last.
        sources: What each kind of finding stands on.
        budgets: Of false discoveries, by agent; without one, whatever it finds is borne.
        keys: Of the people who may answer where the policy asks; without any, nobody can.
    """

    name = "case"
    state_type = CaseState
    state_version = 1

    def __init__(
        self,
        decider: Decider,
        settings: CaseSettings,
        sources: Sources | None = None,
        budgets: Mapping[str, Budget] | None = None,
        keys: Keys | None = None,
    ) -> None:
        self.decider = decider
        self.keys = keys or Keys()
        self.budgets = budgets or {}
        self.sources = sources or Sources()
        self.features = decider.features
        self.case_ttl = micros(settings.case_ttl)
        self.memory_ttl = micros(settings.memory_ttl)
        self.reopen_within = micros(settings.reopen_within)
        self._contact_window = micros(settings.contact_window)
        self.memory = decider.memory
        self.key_groups = settings.key_groups
        self.dedupe_ttl = micros(settings.dedupe_ttl)

    def new_state(self, key: str) -> CaseState:
        """Return the state of a key without cases."""
        return CaseState()

    def on_event(self, key: str, state: CaseState, event: Event, context: Context) -> None:
        """Handle a finding, a link, a level of autonomy, or a control record: a flag, a person's answer, or an outcome.

        Raises:
            ValueError: the event is of another type: the stages are wired wrongly.
        """
        if event.type == FLAG:
            note(state.flags, event)
            return
        if event.type == CHANGED:
            note_standing(state.standings, event)
            return
        for each, _ in _states(state):
            self._forget_ended(each, context.now)
        if event.type == "finding":
            finding = Finding.of(event)
            if self._is_live(finding, state, context.now):
                CaseStep(self, key, state, context).on_finding(finding, event)
            else:
                state.apart = state.apart or CaseState()
                CaseStep(self, key, state.apart, context, apart=True).on_finding(finding, event)
        elif event.type == LINK:
            CaseStep(self, key, state, context).on_link(event.data["cause"], event.data["opening"])
        elif event.type == ANSWERED:
            CaseStep(self, key, state, context).approvals.on_answer(event)
        elif event.type == OUTCOME:
            CaseStep(self, key, state, context).on_outcome(event)
        else:
            raise ValueError(f"stage {self.name} takes findings, links, levels and control records, not {event.type}")
        self._set_sweep(state, context)

    def _is_live(self, finding: Finding, state: CaseState, now: int) -> bool:
        """Return whether a finding joins the cases that are acted on: its agent is neither off nor in shadow."""
        if self.decider.policy.is_live(finding.agent, finding.kind, now):
            return True
        # What was found when it was live ends there.
        case = state.open.get(finding.entity)
        return finding.resolves and case is not None and slot_of(finding) in case.open

    def on_timer(self, key: str, state: CaseState, timer: str, context: Context) -> None:
        """Resolve what has expired, forget what is past remembering."""
        for each, apart in _states(state):
            self._sweep(CaseStep(self, key, each, context, apart))
        self._set_sweep(state, context)

    def _sweep(self, step: CaseStep) -> None:
        state, now = step.state, step.context.now
        for case in [case for case in state.open.values() if case.expires_at <= now]:
            step.resolve(case, "Expired: nothing more was heard of it.", may_reopen=False)
        state.resolved = {name: entry for name, entry in state.resolved.items() if entry[0] > now}
        self._forget_ended(state, now)
        state.closed = {entity: closed for entity, closed in state.closed.items() if closed.until > now}
        state.links = {cause: link for cause, link in state.links.items() if link.until > now}
        state.contacts = {name: at for name, at in state.contacts.items() if at + self._contact_window > now}
        state.acts = prune(state.acts, self.memory, now)
        step.decide_in_turn(
            [case for case in state.open.values() if case.again_at is not None and case.again_at <= now]
        )
        step.approvals.sweep()

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

    def _forget_ended(self, state: CaseState, now: int) -> None:
        if state.ended:
            state.ended = [ended for ended in state.ended if ended.at == now]

    def _set_sweep(self, state: CaseState, context: Context) -> None:
        due: list[int] = []
        for each, _ in _states(state):
            due += [case.expires_at for case in each.open.values()]
            due += [case.again_at for case in each.open.values() if case.again_at is not None]
            due += [forget_at for forget_at, _ in each.resolved.values()]
            due += [closed.until for closed in each.closed.values()]
            due += [ended.at + 1 for ended in each.ended]
            due += [link.until for link in each.links.values()]
            due += [at + self._contact_window for at in each.contacts.values()]
            due += [max(act.at + self.memory, act.until) for act in each.acts]
            due += due_requests(each)
        if due:
            context.set_timer(SWEEP, min(due))
        else:
            context.forget()


def _states(state: CaseState) -> list[tuple[CaseState, bool]]:
    """Return the state of a key, and that which is kept apart, each with whether it is."""
    return [(state, False)] if state.apart is None else [(state, False), (state.apart, True)]
