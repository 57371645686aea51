"""What was allowed to be done, reckoned up naively: from what was released, what people wrote, the YAML of the policy
and the database of the target. It shares no code with the engine: conditions are predicates of Python, times are
counted from the beginning, all is kept for ever.

Every decision is worked out anew from the findings before it, and may be less than that, but never more. Every action
must be of such a decision, consented to where it has to be; every effect at the target of such an action.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tests.support.procedure_allowed import RANKS, allowed, consent_lacks, exceeded
from tests.support.procedure_effects import at_target
from tests.support.procedure_known import Known
from tests.support.procedure_policy import BEGINS, HOUR, SPAN_H
from tests.support.procedure_rules import Row, span

OF_NO_CASE = ("case.", "shadow", "outcome.ignored", "autonomy.")
"""Outputs that may name a case that nobody sees, or that is not there yet."""


class Oracle(Known):
    """Reckons up one world."""

    def reckon(self, released: Iterable[Any]) -> Iterator[str]:
        """Yield what was decided and was not allowed."""
        for one in released:
            follow = getattr(self, "_on_" + one.type.replace(".", "_"), None)
            self.seen[one.type] += 1
            case_id = one.data.get("case_id", "")
            if case_id and case_id not in self.cases and not one.type.startswith(OF_NO_CASE):
                yield f"{one.type} at {one.at} is of no case that anybody sees"
            elif follow is not None:
                yield from follow(one.at, one.key, one.data) or ()
        yield from self._of_levels()

    def _on_decision(self, at: int, key: str, data: Row) -> Iterator[str]:
        self.decisions[data["decision_id"]] = data
        case, consent = self.cases[data["case_id"]], data.get("approval")
        most = allowed(self, at, case, data, consent)
        said = f"{data['outcome']} {data['remedy']} at {at}"
        self.seen[f"{data['outcome']}: {most.why}"] += 1
        if RANKS[data["outcome"]] > RANKS[most.outcome]:
            yield f"{said}, allowed is {most.outcome}: {most.why}"
        wanted, what = (most.remedy, most.parameters), (data["remedy"], data["parameters"])
        if data["outcome"] in ("approve", "act") and what != wanted:
            yield f"{said} {data['parameters']}, allowed is {most.remedy} {most.parameters}: {most.why}"
        if most.level:
            self.seen[f"goes by {most.level} ({most.because})"] += 1
        earned = (data.get("segment", ""), data.get("autonomy", ""))
        if data["remedy"] == most.remedy and earned != (most.segment, most.level):
            yield f"{said} goes by {earned}, earned is {(most.segment, most.level)}: {most.why}"
        chosen = self.version(at)[2]["remedies"].get(data["remedy"], {})
        if chosen.get("contacts_customer") and data["outcome"] != "observe":
            case.contacted = at

    def _of_levels(self) -> Iterator[str]:
        """Yield the changes of levels that were told and not due, and the other way round."""
        due = {
            (at, "/".join(triple)): (level, why)
            for triple in self.levels.triples
            for at, level, why in self.levels.moves(triple)
            if at < BEGINS + SPAN_H * HOUR
        }
        self.seen.update(f"level {level}: {why}" for level, why in due.values())
        for name in sorted({*due, *self.changes}):
            if due.get(name) != self.changes.get(name):
                yield f"level {name} became {self.changes.get(name)}, due is {due.get(name)}"

    def _on_action(self, at: int, key: str, data: Row) -> Iterator[str]:
        name, case = data["action_id"], self.cases[data["case_id"]]
        decision = self.decisions.get(data["decision_id"])
        if name in self.actions:
            yield f"action {name} was released twice"
        if decision is None or decision["outcome"] != "act" or decision["at"] != at:
            yield f"action {name} has no decision to act"
        elif any(decision[part] != data[part] for part in ("case_id", "remedy", "parameters", "bundle", "facts")):
            yield f"action {name} is not what was decided"
        elif decision.get("approval") != data["approval"]:
            yield f"action {name} names another consent than its decision"
        traits = self.version(at)[2]["remedies"][data["remedy"]]
        for limit, spent in exceeded(self, at, case, data, traits):
            consent, main = data["approval"], self.version(at)[2]
            if consent is not None and main["guardrails"]["limits"][limit].get("then") == "approve":
                request = self.requests.get(consent["request_id"], {"action": {}})
                bad = consent_lacks(
                    self, at, consent, data["remedy"], data["parameters"], data["bundle"], traits, data["facts"], main
                )
                if not bad and limit in request["action"].get("overrules", []):
                    self.seen[f"guardrail {limit} overruled by its owner"] += 1
                    continue
            yield f"action {name} is beyond guardrail {limit}: {spent} spent before"
        harms = [one["harm_at"] for one in self.open_of(case) if one["harm_at"] is not None]
        last = min([at + span(traits["valid_for"]), *([min(harms)] if harms and min(harms) > at else [])])
        if data["valid_until"] > last:
            yield f"action {name} is valid for too long"
        self.actions[name] = data | {"named": set(self.causes.get(case.entity, ()))}
        case.used.add(data["remedy"])
        case.plan = {"remedy": data["remedy"], "until": data["valid_until"]}
        self.seen["acted with consent" if data["approval"] else "acted without asking"] += 1

    def at_target(
        self, effects: list[Row], numbers: Callable[[str], Mapping[str, int]], asked: Mapping[str, int]
    ) -> Iterator[str]:
        """Yield what is at the target, and may not be: see `procedure_effects`."""
        return at_target(self, effects, numbers, asked)
