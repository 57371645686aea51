"""Decides about a case on the stream: facts out of case and context, the policy's verdict, a decision event.

Pure, and a function of event time only: the same case decides the same in replay. What the policy says is then
bounded by what it cannot overrule (`operators/restrain.py`). What it decides in shadow is recorded beside, and has no
other effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from config.actions import Approval
from config.clock import HOUR, from_text, micros
from config.events import Event
from config.findings import DATA_QUALITY
from config.identity import derived_id
from config.policies.bundle import NO_RULE, Bundle, Remedy
from config.policies.documents import FactDocument, Outcome, Value
from config.policies.versions import Versions
from operators.case import Case, Plan, entity_kind
from operators.flags import Limit
from operators.guardrails import Act, free_at, prune, said_of
from operators.policy import NOTHING, Verdict, decide, none_in_force
from operators.restrain import Left, restrain
from operators.standing import Standing

SHADOW = "shadow"
"""Type of the event that records what was decided in shadow: no decision, so that nobody takes it for one."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the case."""

    open_cases: int
    linked: bool
    contacts: int
    """Other cases of this customer that led to a message within the contact window."""
    kind_confidence: float
    """How likely what the leading finding says is so; the case's confidence is that anything is wrong."""
    flags: Mapping[str, Limit] = field(default_factory=dict)
    """How far people let the job go, by scope."""
    standings: Mapping[str, Standing] = field(default_factory=dict)
    """The levels of autonomy that have changed."""
    acts: Sequence[Act] | None = ()
    """What was done for the customer, oldest first; None where there is no customer."""


class Decided(msgspec.Struct, frozen=True):
    """A decision: what is recorded, and what follows."""

    outcome: Outcome
    remedy: str
    rule: str
    decision: dict[str, Any]
    """Data of the decision event."""
    action: dict[str, Any] | None
    """Data of the action event; only when the outcome is `act`."""
    proposal: dict[str, Any] | None
    """Data of the action event that would follow if a person consents; only when the outcome is `approve`."""
    contacts_customer: bool
    """Whether following the decision means that the customer gets a message."""
    is_live: bool
    """Whether it is more than nothing because all that matches is off or in shadow."""
    again_at: int | None
    """When what holds it back now will be over, microseconds; None where nothing does, or it never will."""
    shadows: tuple[dict[str, Any], ...]
    """Data of the shadow events: what would have been decided, without any effect."""


@dataclass(frozen=True, slots=True)
class Decider:
    """A policy, and how far the job may go by itself.

    Args:
        policy: The policy; the version of a case's event time decides.
        mode: The most that may be done without a person; what the policy wants beyond it is recommended only.
        candidate: A policy that decides beside it in shadow, whatever its date.
    """

    policy: Versions
    mode: Outcome = "recommend"
    candidate: Bundle | None = None

    @property
    def features(self) -> frozenset[str]:
        """Evidence features that facts are taken from."""
        return self.policy.features | (frozenset() if self.candidate is None else self.candidate.features)

    @property
    def memory(self) -> int:
        """How long what was done for a customer is looked back at, also by the candidate, microseconds."""
        return max(self._live_memory, 0 if self.candidate is None else self.candidate.guardrails.memory)

    @property
    def _live_memory(self) -> int:
        return max(bundle.guardrails.memory for bundle in self.policy.bundles)

    def takes_turns(self, decided: Decided, now: int) -> bool:
        """Return whether what is to be done without a person has to wait for its turn."""
        bundle = self.policy.at(now) if decided.outcome == "act" else None
        return bundle is not None and any(decided.remedy in turn.remedies for turn in bundle.guardrails.turns)

    def is_limited(self, remedy: str, causes: Sequence[str], now: int) -> bool:
        """Return whether a limit over all customers, or of one of the causes, speaks of a remedy."""
        bundle = self.policy.at(now)
        return bundle is not None and any(bundle.guardrails.of_fleet(remedy, causes))

    def money(self, remedy: str, at_risk: float, now: int) -> int:
        """Return how much money a remedy of the policy in force moves at the most for a case, in millionths."""
        bundle = self.policy.at(now)
        found = None if bundle is None else bundle.remedies.get(remedy)
        return 0 if found is None else found.money(at_risk)

    def facts(self, bundle: Bundle, case: Case, row: dict[str, Any], around: Surroundings, now: int) -> dict[str, Any]:
        """Return the facts about an open case: those every bundle may declare, and what `bundle` declares."""
        leading = case.leading()
        harm_at = row["harm_at"]
        facts = {
            "kind": row["kind"],
            "agent": row["agent"],
            "entity_kind": entity_kind(row["entity"]),
            "severity": row["severity"],
            "confidence": row["confidence"],
            "kind_confidence": around.kind_confidence,
            "source_families": row["source_families"],
            "evidence_age_hours": round((now - leading.at) / HOUR, 4),
            "priority": row["priority"],
            "money_at_risk": row["money_at_risk"],
            "lead_hours": None if harm_at is None else round((harm_at - now) / HOUR, 4),
            "harm_at": harm_at,
            "findings": row["findings"],
            "reopened": row["reopened"],
            "open_cases": around.open_cases,
            "linked": around.linked,
            "contacts_30d": around.contacts,
            "open_remedy": "" if case.plan is None or case.plan.until <= now else case.plan.remedy,
            "last_outcome": case.last_outcome,
            "mode": self.mode,
        }
        quality = case.quality
        if quality != 1.0 or DATA_QUALITY in bundle.facts:
            # Not said of every decision that all is well, which would only make its record longer.
            facts[DATA_QUALITY] = quality
        for name, fact in bundle.facts.items():
            if fact.reads:
                facts[name] = _feature(leading.features.get(fact.reads), fact, now)
        return facts | bundle.flags_at(now)

    def decide(
        self, case: Case, row: dict[str, Any], around: Surroundings, now: int, approval: Approval | None = None
    ) -> Decided:
        """Return the decision about `case` as `row` describes it. Changes nothing: see `commit`.

        Args:
            case: The case.
            row: Its row.
            around: What is known beside it.
            now: Event time, microseconds.
            approval: Who consented to what the policy asks consent for.
        """
        in_force, beside = self.policy.at(now), self.policy.beside(now)
        bundle = in_force or beside or self.policy.first
        facts = self.facts(bundle, case, row, around, now)
        if in_force is not None:
            verdict = decide(bundle, facts)
        elif beside is not None:
            verdict = replace(NOTHING, reason=f"{NOTHING.reason} {self.policy.shadow_only[beside.hash]}")
        else:
            verdict = none_in_force(bundle)
        live = around
        if self.candidate is not None and around.acts:
            # What is remembered for the candidate alone bears on no decision.
            live = replace(around, acts=prune(around.acts, self._live_memory, now))
        left = restrain(bundle, verdict, case, facts, live, now, approval)
        outcome = left.outcome
        decision = {
            "decision_id": derived_id("decision", case.case_id, case.decisions + 1),
            **_record(bundle, verdict, case, facts, left, now),
            "bundle": "" if in_force is None else bundle.hash,
        }
        remedy = bundle.remedies.get(verdict.remedy)
        action = None
        if outcome in ("act", "approve") and remedy is not None:
            action = _action(remedy, verdict, case, row, decision, now) | left.earned
            if left.held:
                # Whoever consents to it overrules just these.
                action["overrules"] = [each.guardrail for each in left.held]
        if outcome == "act" and action is not None and approval is not None:
            decision["approval"] = action["approval"] = msgspec.to_builtins(approval)
        return Decided(
            outcome,
            verdict.remedy,
            verdict.rule,
            decision,
            action=action if outcome == "act" else None,
            proposal=action if outcome == "approve" else None,
            contacts_customer=remedy is not None and remedy.contacts_customer and outcome != "observe",
            is_live=verdict.rule != NO_RULE,
            again_at=_again_at(case, verdict, left, now),
            shadows=tuple(
                _shadow(by, said, case, seen, around if by is self.candidate else live, now)
                for by, said, seen in self._in_shadow(bundle, verdict, facts, case, row, around, now)
            ),
        )

    def _in_shadow(
        self,
        bundle: Bundle,
        verdict: Verdict,
        facts: dict[str, Any],
        case: Case,
        row: dict[str, Any],
        around: Surroundings,
        now: int,
    ) -> Iterator[tuple[Bundle, Verdict, dict[str, Any]]]:
        """Yield what is said in shadow, each with its bundle and facts.

        That is by rules of the policy that are in shadow, by a version of it that may not decide, and by the candidate.
        """
        if verdict.shadow is not None:
            yield bundle, verdict.shadow, facts
        for other in (self.policy.beside(now), self.candidate):
            if other is not None:
                seen = facts | self.facts(other, case, row, around, now)
                yield other, decide(other, seen), seen


def _record(
    bundle: Bundle, verdict: Verdict, case: Case, facts: dict[str, Any], left: Left, now: int
) -> dict[str, Any]:
    """Return what is recorded of a verdict, whether live or in shadow."""
    record = {
        "case_id": case.case_id,
        "at": now,
        "outcome": left.outcome,
        "remedy": verdict.remedy,
        "rule": verdict.rule,
        "fired": list(verdict.fired),
        "nearly": list(verdict.nearly),
        "bundle": bundle.hash,
        "facts": facts,
        "reason": f"{verdict.reason} {left.why}".rstrip(),
        "parameters": dict(verdict.parameters),
        "error": verdict.error,
        "approver": left.approver,
        **left.earned,
    }
    if left.held:
        # Not said of every decision that nothing holds back, which would only make its record longer.
        record["guardrails"] = said_of(left.held)
    return record


def _shadow(
    bundle: Bundle, verdict: Verdict, case: Case, facts: dict[str, Any], around: Surroundings, now: int
) -> dict[str, Any]:
    """Return the data of a shadow event, without its id: what would be recorded if it were live."""
    left = restrain(bundle, verdict, case, facts, around, now)
    return {"shadow": True} | _record(bundle, verdict, case, facts, left, now)


def _action(
    remedy: Remedy, verdict: Verdict, case: Case, row: dict[str, Any], decision: dict[str, Any], now: int
) -> dict[str, Any]:
    """Return the data of the action event: all that whoever carries it out needs, and may want to check first."""
    target = f"{remedy.system}:{case.entity}"
    valid_until = now + micros(remedy.valid_for)
    # A warning that comes after the harm is worse than none.
    if row["harm_at"] is not None and row["harm_at"] > now:
        valid_until = min(valid_until, row["harm_at"])
    return {
        "action_id": derived_id("action", case.case_id, remedy.name, target, _occurrence(case, remedy)),
        "case_id": case.case_id,
        "decision_id": decision["decision_id"],
        "entity": case.entity,
        "customer": row["customer"],
        "agent": row["agent"],
        "kind": row["kind"],
        "remedy": remedy.name,
        "target": target,
        "parameters": dict(verdict.parameters),
        "facts": decision["facts"],
        "bundle": decision["bundle"],
        "approval": None,
        "valid_until": valid_until,
        "at": now,
    }


def _occurrence(case: Case, remedy: Remedy) -> str:
    """Return the number of an action: a remedy acts once per case and target, so that one intent is not two actions.

    Only after one that was not done comes another.
    """
    undone = case.undone.get(remedy.name)
    return "1" if undone is None else str(undone.times + 1)


def _again_at(case: Case, verdict: Verdict, left: Left, now: int) -> int | None:
    """Return when it is to be decided anew about a case, None for when something is heard of it."""
    if left.outcome == "act":
        return None
    if left.held:
        return free_at(left.held)
    undone = case.undone.get(verdict.remedy)
    at = None if undone is None else undone.again_at
    return at if at is not None and at > now else None


def commit(case: Case, decided: Decided, key: str, now: int) -> list[Event]:
    """Note the decision in `case`; return the decision event and, when it acts, the action event."""
    case.decisions += 1
    case.decided = (decided.outcome, decided.remedy, decided.rule)
    events = [Event(now, decided.decision["decision_id"], key, "decision", decided.decision)]
    action = decided.action
    if action is not None:
        case.plan = Plan(action["action_id"], action["remedy"], action["valid_until"])
        case.used = sorted({*case.used, action["remedy"]})
        events.append(Event(now, action["action_id"], key, "action", action))
    return events


def commit_shadows(case: Case, decided: Decided, key: str, now: int, *, anew: bool) -> list[Event]:
    """Note what was decided in shadow; return the shadow events to record.

    Args:
        case: The case.
        decided: The decision.
        key: Of the case.
        now: Event time, µs.
        anew: Record them even when they say what the last ones said.
    """
    said = [(each["outcome"], each["remedy"], each["rule"]) for each in decided.shadows]
    anew, case.shadowed = anew or said != case.shadowed, said
    events = []
    for each in decided.shadows if anew else ():
        case.shadows += 1
        shadow_id = derived_id("shadow", case.case_id, case.shadows)
        events.append(Event(now, shadow_id, key, SHADOW, {"shadow_id": shadow_id} | each))
    return events


def _feature(value: Value, fact: FactDocument, now: int) -> Value:
    """Return an evidence feature as a fact: agents write instants as text."""
    if isinstance(value, str) and (fact.hours_until or fact.type == "instant"):
        try:
            value = from_text(value)
        except ValueError:
            return value  # The policy sees text where an instant belongs, and asks a person.
    return round((value - now) / HOUR, 4) if fact.hours_until and isinstance(value, int) else value
