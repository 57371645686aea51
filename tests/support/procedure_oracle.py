"""What was allowed to be done, reckoned up naively: from what was released, what people wrote, the YAML of the policy
and the database of the target. It shares no code with the engine: conditions are predicates of Python, times are
counted from the beginning, all is kept for ever.

Every decision is worked out anew from the findings before it, and may be less than that, but never more. Every action
must be of such a decision, consented to where it has to be; every effect at the target of such an action.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.procedure_bundle import STEPS
from tests.support.procedure_rules import (
    DAY,
    SECOND,
    SEVERITIES,
    TIGHT,
    Row,
    counts,
    fire,
    money_of,
    rules_of,
    severity_of,
    span,
    speaks,
)
from tests.support.remedy_oracle import FIELDS, MARGIN_S, key_of

MONTH = 30 * DAY
RANKS = {"observe": 0, "recommend": 1, "approve": 2, "act": 3}
ENDS = {"verified", "settled", "compensated", "refused", "escalated"}


@dataclass
class Case:
    """A case as far as it matters."""

    entity: str
    customer: str
    used: set[str] = field(default_factory=set)
    denied: Row = field(default_factory=dict)
    """Severity at which a remedy was refused."""
    plan: Row | None = None
    last_outcome: str = ""
    contacted: int | None = None


class Oracle:
    """Reckons up one world.

    Args:
        folders: Of the versions of the policy: `bundle.yaml`, `rules.yaml`.
        in_force: From when on each holds, by the hash that decisions name, in the same order.
        mode: How far the job may go.
        sent: Control records as they were written: at, type, data.
    """

    def __init__(self, folders: Iterable[Path], in_force: Mapping[str, int], mode: str, sent: Iterable[Any]) -> None:
        self._versions = [
            (hash_, begins, yaml.safe_load((folder / "bundle.yaml").read_text()), rules_of(folder))
            for folder, (hash_, begins) in zip(folders, in_force.items(), strict=True)
        ]
        self._mode, self._sent = mode, list(sent)
        self._open: dict[str, dict[tuple[str, str], Row]] = {}
        self._causes: dict[str, set[str]] = {}
        """By entity, all causes that its findings named."""
        self._refused: set[str] = set()
        """Actions that were told to be refused: nothing was done."""
        self._cases: dict[str, Case] = {}
        self._decisions: dict[str, Row] = {}
        self._requests: dict[str, Row] = {}
        self.actions: dict[str, Row] = {}
        self.seen: Counter[str] = Counter()
        """What was met, so that a run can be told from one in which nothing happened."""

    def reckon(self, released: Iterable[Any]) -> Iterator[str]:
        """Yield what was decided and was not allowed."""
        for one in released:
            follow = getattr(self, "_on_" + one.type.replace(".", "_"), None)
            self.seen[one.type] += 1
            case_id = one.data.get("case_id", "")
            if case_id and case_id not in self._cases and not one.type.startswith(("case.", "shadow")):
                yield f"{one.type} at {one.at} is of no case that anybody sees"
            elif follow is not None:
                yield from follow(one.at, one.key, one.data) or ()

    # -- what is so ---------------------------------------------------------------------------------------------------

    def _on_finding(self, at: int, key: str, data: Row) -> None:
        if self._is_apart(data["agent"]):
            return
        self._causes.setdefault(data["entity"], set()).update(data["causes"])
        slots, slot = self._open.setdefault(data["entity"], {}), (data["agent"], data["kind"])
        if not data["resolves"]:
            slots[slot] = data
        elif slot in slots and data["occurrence"].startswith(slots[slot]["occurrence"] + " "):
            del slots[slot]

    def _case_event(self, at: int, key: str, data: Row) -> None:
        case, change = self._cases.get(data["case_id"]), data["change"]
        if case is None:
            self._cases[data["case_id"]] = Case(change["entity"], key)
            found = self._open.get(change["entity"], {}).values()
            self._causes[change["entity"]] = {cause for one in found for cause in one["causes"]}
        elif change.get("status") == "resolved":
            self._open[case.entity] = {}

    def _on_guardrail_withheld(self, at: int, key: str, data: Row) -> None:
        for one in data["guardrails"]:
            self.seen[f"withheld by {one['guardrail']}"] += 1

    _on_case_opened = _on_case_updated = _on_case_resolved = _case_event

    def _on_outcome_noted(self, at: int, key: str, data: Row) -> None:
        case = self._cases[data["case_id"]]
        if data["state"] == "refused":
            self._refused.add(data["action_id"])
        if case.plan is None:
            return
        if data["state"] not in ENDS:
            case.plan["until"] = max(case.plan["until"], at + DAY)
            return
        gone = data["state"] in ("compensated", "refused") or data["verdict"] is None
        case.last_outcome, case.plan = data["state"] if gone else data["verdict"], None

    def _on_approval_requested(self, at: int, key: str, data: Row) -> None:
        self._requests[data["request_id"]] = data | {"roles": list(data["roles"]), "asked_at": at}

    def _on_approval_escalated(self, at: int, key: str, data: Row) -> None:
        request = self._requests[data["request_id"]]
        request.setdefault("later", []).append((at, data["to"]))

    def _on_approval_closed(self, at: int, key: str, data: Row) -> None:
        if data["end"] in ("rejected", "expired"):
            request = self._requests[data["request_id"]]
            self._cases[data["case_id"]].denied[request["remedy"]] = severity_of(self._findings(data["case_id"]))
        self.seen[f"request {data['end']}"] += 1

    def _on_approval_counted(self, at: int, key: str, data: Row) -> Iterator[str]:
        answer = next(one for one in self._sent if one.type == "approval.answered" and one.at == at)
        if not counts(answer, self._requests[data["request_id"]]):
            yield f"an answer of {data['approver']} counted at {at} that must not"

    def _on_approval_refused(self, at: int, key: str, data: Row) -> Iterator[str]:
        self.seen[f"refused: {data['reason']}"] += 1
        if not data["reason"] or not data["detail"]:
            yield f"an answer of {data['approver']} is refused without a reason"

    # -- what is decided ----------------------------------------------------------------------------------------------

    def _on_decision(self, at: int, key: str, data: Row) -> Iterator[str]:
        self._decisions[data["decision_id"]] = data
        case, consent = self._cases[data["case_id"]], data.get("approval")
        allowed, remedy, parameters, why = self._allowed(at, case, data, consent)
        self.seen[f"{data['outcome']}: {why}"] += 1
        if RANKS[data["outcome"]] > RANKS[allowed]:
            yield f"{data['outcome']} {data['remedy']} at {at}, allowed is {allowed}: {why}"
        elif data["outcome"] in ("approve", "act") and (data["remedy"], data["parameters"]) != (remedy, parameters):
            yield f"{data['outcome']} {data['remedy']} {data['parameters']}, allowed is {remedy} {parameters}: {why}"
        chosen = self._version(at)[2]["remedies"].get(data["remedy"], {})
        if chosen.get("contacts_customer") and data["outcome"] != "observe":
            case.contacted = at

    def _allowed(self, at: int, case: Case, decision: Row, consent: Row | None) -> tuple[str, str, Row, str]:
        """Return the most that may be decided now, what would be done, and why it is no more."""
        hash_, _, main, rules = self._version(at)
        found = list(self._open.get(case.entity, {}).values())
        if not found:
            return "observe", "", {}, "nothing is open"
        facts = self._facts(at, case, decision["case_id"], found)
        if decision["bundle"] != hash_:
            return "observe", "", {}, "another version is in force"
        outcome, rule, mode = fire(main, rules, facts)
        if rule is None:
            return outcome, "", {}, "no rule"
        remedy, why = rule.get("remedy", ""), rule["id"]
        traits = main["remedies"].get(remedy, {})
        parameters = {
            name: facts[value.strip("{}")] if str(value).startswith("{") else value
            for name, value in rule.get("parameters", {}).items()
        }
        wanted = outcome
        if mode in ("recommend", "supervised"):
            outcome = min(outcome, {"recommend": "recommend", "supervised": "approve"}[mode], key=RANKS.__getitem__)
            why += f", mode {mode}"
        if outcome == "act" and traits.get("moves_money") and facts["source_families"] < 2:
            outcome, why = "approve", why + ", one source"
        if outcome == "act" and self._mode != "act":
            outcome, why = self._mode, why + ", the job"
        if wanted in ("approve", "act"):
            denied = case.denied.get(remedy)
            if remedy in case.used:
                outcome, why = "observe", why + ", used"
            elif denied is not None and SEVERITIES.index(facts["severity"]) <= SEVERITIES.index(denied):
                outcome, why = "observe", why + ", denied"
            elif case.plan is not None and at < case.plan["until"]:
                outcome, why = min(outcome, "recommend", key=RANKS.__getitem__), why + ", another is under way"
        if consent is not None and outcome == "approve":
            wrong = self._consent(at, consent, remedy, parameters, hash_, traits, facts, main)
            outcome, why = ("act", why + ", consent") if not wrong else (outcome, why + ", " + wrong)
        flagged = self._flagged(at, facts["agent"], remedy, traits)
        if flagged == "observe" or (flagged and outcome == "act"):
            # A guardrail asks, rather than lets act; and to ask is beyond no flag but observe-only.
            asks = flagged != "observe" and decision.get("guardrails")
            outcome, why = "approve" if asks else flagged, why + ", a flag"
        return outcome, remedy, parameters, why

    def _facts(self, at: int, case: Case, case_id: str, found: list[Row]) -> Row:
        leading = max(found, key=lambda f: (SEVERITIES.index(f["severity"]), f["confidence"], f["at"], f["finding_id"]))
        families: dict[str, float] = {}
        for one in found:
            families[one["agent"]] = max(families.get(one["agent"], 0.0), one["confidence"])
        doubt = 1.0
        for _, confidence in sorted(families.items()):
            doubt *= 1.0 - confidence
        others = [
            other
            for name, other in self._cases.items()
            if name != case_id and other.customer == case.customer and other.contacted is not None
        ]
        under_way = case.plan is not None and case.plan["until"] > at
        return {
            "kind": leading["kind"],
            "agent": leading["agent"],
            "severity": severity_of(found),
            "confidence": round(1.0 - doubt, 6),
            "money_at_risk": max(one["money_at_risk"] for one in found),
            "source_families": sum(confidence >= 0.5 for confidence in families.values()),
            "contacts_30d": sum(other.contacted + MONTH > at for other in others if other.contacted is not None),
            "open_remedy": case.plan["remedy"] if case.plan is not None and under_way else "",
            "last_outcome": case.last_outcome,
            "mode": self._mode,
        }

    def _version(self, at: int) -> tuple[str, int, Row, list[Row]]:
        return [version for version in self._versions if version[1] <= at][-1]

    def _is_apart(self, agent: str) -> bool:
        # Both versions have the same modes; an agent that is wholly in shadow has none of its findings seen.
        return any(
            mode["agent"] == agent and "rule" not in mode and "when" not in mode and TIGHT[mode["mode"]] < 2
            for mode in self._versions[0][2]["modes"]
            if "agent" in mode
        )

    def _findings(self, case_id: str) -> list[Row]:
        return list(self._open.get(self._cases[case_id].entity, {}).values())

    def _flagged(self, at: int, agent: str, remedy: str, traits: Row) -> str:
        """Return how far flags let go: "" where none is in the way."""
        flags: Row = {}
        for one in sorted((one for one in self._sent if one.type == "flag.set" and one.at < at), key=lambda o: o.at):
            flags[one.data["scope"]] = one.data
        left = ""
        for scope in ("*", f"agent:{agent}", f"remedy:{remedy}"):
            flag = flags.get(scope)
            if flag is None or flag["mode"] == "normal" or ("until" in flag and flag["until"] <= at):
                continue
            if flag["mode"] == "observe-only":
                return "observe"
            notifies = traits.get("contacts_customer", False) and not traits.get("moves_money", False)
            if not (notifies if flag["mode"] == "notify-only" else traits.get("reversible", True)):
                left = "recommend"
        return left

    # -- what people say ----------------------------------------------------------------------------------------------

    def _consent(
        self, at: int, consent: Row, remedy: str, parameters: Row, hash_: str, traits: Row, facts: Row, main: Row
    ) -> str:
        """Return what is wrong with a consent, "" for nothing."""
        request = self._requests.get(consent["request_id"])
        if request is None:
            return "nobody was asked"
        asked = (request["remedy"], request["action"]["parameters"], request["bundle"])
        if asked != (remedy, parameters, hash_):
            return f"asked was {asked}"
        rules = main["approvals"]
        risky = facts["money_at_risk"] >= rules["two_people_from"]
        people = 2 if risky or not traits.get("reversible", True) else 1
        agreed: list[str] = []
        for one in sorted((one for one in self._sent if one.type == "approval.answered"), key=lambda o: o.at):
            if one.data["request_id"] != request["request_id"] or one.at > at or not counts(one, request):
                continue
            if one.data["answer"] == "reject":
                return "somebody said no"
            if one.data["approver"] not in agreed:
                agreed.append(one.data["approver"])
        if len(agreed) < people:
            return f"only {agreed} agreed, of {people}"
        if len(set(consent["approvers"])) < people or not set(consent["approvers"]) <= set(agreed):
            return f"{agreed} agreed, not {consent['approvers']}"
        return ""

    # -- what is done -------------------------------------------------------------------------------------------------

    def _on_action(self, at: int, key: str, data: Row) -> Iterator[str]:
        name, case = data["action_id"], self._cases[data["case_id"]]
        decision = self._decisions.get(data["decision_id"])
        if name in self.actions:
            yield f"action {name} was released twice"
        if decision is None or decision["outcome"] != "act" or decision["at"] != at:
            yield f"action {name} has no decision to act"
        elif any(decision[part] != data[part] for part in ("case_id", "remedy", "parameters", "bundle", "facts")):
            yield f"action {name} is not what was decided"
        elif decision.get("approval") != data["approval"]:
            yield f"action {name} names another consent than its decision"
        traits = self._version(at)[2]["remedies"][data["remedy"]]
        for limit, spent in self._exceeded(at, case, data, traits):
            consent, main = data["approval"], self._version(at)[2]
            if consent is not None and main["guardrails"]["limits"][limit].get("then") == "approve":
                request = self._requests.get(consent["request_id"], {"action": {}})
                bad = self._consent(
                    at, consent, data["remedy"], data["parameters"], data["bundle"], traits, data["facts"], main
                )
                if not bad and limit in request["action"].get("overrules", []):
                    self.seen[f"guardrail {limit} overruled by its owner"] += 1
                    continue
            yield f"action {name} is beyond guardrail {limit}: {spent} spent before"
        harms = [one["harm_at"] for one in self._findings(data["case_id"]) if one["harm_at"] is not None]
        last = min([at + span(traits["valid_for"]), *([min(harms)] if harms and min(harms) > at else [])])
        if data["valid_until"] > last:
            yield f"action {name} is valid for too long"
        self.actions[name] = data | {"named": set(self._causes.get(case.entity, ()))}
        case.used.add(data["remedy"])
        case.plan = {"remedy": data["remedy"], "until": data["valid_until"]}
        self.seen["acted with consent" if data["approval"] else "acted without asking"] += 1

    def _exceeded(self, at: int, case: Case, action: Row, traits: Row) -> Iterator[tuple[str, float]]:
        """Yield the guardrails that an action is beyond, and what was spent before."""
        main = self._version(at)[2]
        for name, limit in main["guardrails"]["limits"].items():
            if not speaks(limit, action["remedy"], traits):
                continue
            money = limit.get("counts") == "money"
            for cause in sorted(self._causes.get(case.entity, ())) if limit["per"] == "cause" else [""]:
                before = [
                    one
                    for one in self.actions.values()
                    if one["at"] + span(limit["within"]) > at
                    and speaks(limit, one["remedy"], main["remedies"][one["remedy"]])
                    and one["action_id"] not in self._refused
                    and (limit["per"] != "customer" or one["customer"] == action["customer"])
                    and (limit["per"] != "cause" or cause in one["named"])
                ]
                spent = sum(money_of(main, one) if money else 1 for one in before)
                if spent + (money_of(main, action) if money else 1) > limit["most"]:
                    yield name, spent

    def at_target(
        self, effects: list[Row], numbers: Callable[[str], Mapping[str, int]], asked: Mapping[str, int]
    ) -> Iterator[str]:
        """Yield what is at the target, and may not be.

        Args:
            effects: All effects there.
            numbers: Tells what is known there of an entity.
            asked: When each was first asked for, as seen on the network, by idempotency key.
        """
        known = {
            key_of(name, step): (name, step) for name, one in self.actions.items() for step in STEPS[one["remedy"]]
        }
        sums: dict[str, Counter[str]] = {}
        forward = [one for one in effects if one["undoes"] is None]
        for one in forward:
            body = json.loads(one["body"])
            if one["key"] not in known:
                yield f"collateral: {one['operation']} on {one['entity']} is of no action, or done twice"
            else:
                name, step = known[one["key"]]
                action = self.actions[name]
                yield from self._allowed_there(one, body, action, STEPS[action["remedy"]][step])
                traits = self._version(action["at"])[2]["remedies"][action["remedy"]]
                if one["key"] not in asked:
                    yield f"collateral: {one['operation']} on {one['entity']} was asked for by nobody"
                elif self._flagged(asked[one["key"]], action["agent"], action["remedy"], traits):
                    yield f"{one['operation']} on {one['entity']} was asked for although a flag held it"
            amount = round(body["amount"] * 100) if "amount" in body else 1
            sums.setdefault(one["entity"], Counter())[FIELDS[one["operation"]]] += amount * (one["status"] == "done")
        for one in effects:
            if one["undoes"] is not None and one["undoes"] not in {each["key"] for each in forward}:
                yield f"collateral: {one['operation']} took back what never was"
        for entity, expected in sums.items():
            for name, number in numbers(entity).items():
                if name != "trouble" and number != expected[name]:
                    yield f"collateral: {name} of {entity} is {number}, its effects add up to {expected[name]}"
        self.seen["effects"] += len(forward)
        self.seen["effects taken back"] += sum(one["status"] == "undone" for one in forward)

    def _allowed_there(self, one: Row, body: Row, action: Row, operation: str) -> Iterator[str]:
        name = f"{one['operation']} on {one['entity']}"
        if (one["operation"], one["entity"]) != (operation, action["customer"]):
            yield f"{name} is not what action {action['action_id']} is about"
        if "amount" in body and body["amount"] != action["parameters"]["amount"]:
            yield f"{name}: {body['amount']} where {action['parameters']['amount']} was decided"
        if not action["at"] / SECOND - 1 <= one["at"] <= action["valid_until"] / SECOND + MARGIN_S:
            yield f"{name} was done before it was decided, or too late"
        if action["remedy"] == "refund" and not action["approval"]:
            yield f"{name} always takes consent"
