"""What is so in a world as far as it matters for what is allowed: reckoned up from what was released, what people wrote
and the YAML of the policy. For `procedure_oracle`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.procedure_levels import Levels
from tests.support.procedure_policy import DAY
from tests.support.procedure_rules import SEVERITIES, TIGHT, Row, counts, rules_of, severity_of

MONTH = 30 * DAY
ENDS = {"verified", "settled", "compensated", "refused", "escalated"}


@dataclass
class Case:
    """A case as far as it matters."""

    entity: str
    customer: str
    used: set[str] = field(default_factory=set)
    undone: dict[str, list[int | None]] = field(default_factory=dict)
    """Of remedies that were refused when they were to be done: from when on each may be tried again, None for never."""
    denied: Row = field(default_factory=dict)
    """Severity at which a remedy was refused."""
    plan: Row | None = None
    last_outcome: str = ""
    contacted: int | None = None


class Known:
    """What is so, and was so, in one world; all is kept for ever.

    Args:
        folders: Of the versions of the policy: `bundle.yaml`, `rules.yaml`.
        in_force: From when on each holds, by the hash that decisions name, in the same order.
        mode: How far the job may go.
        sent: Control records as they were written, and what drifted: at, type, data.
    """

    def __init__(self, folders: Iterable[Path], in_force: Mapping[str, int], mode: str, sent: Iterable[Any]) -> None:
        self._versions = [
            (hash_, begins, yaml.safe_load((folder / "bundle.yaml").read_text()), rules_of(folder))
            for folder, (hash_, begins) in zip(folders, in_force.items(), strict=True)
        ]
        self.mode, self.sent = mode, list(sent)
        self.levels = Levels(self._versions, self.sent)
        self._open: dict[str, dict[tuple[str, str], Row]] = {}
        self.causes: dict[str, set[str]] = {}
        """By entity, all causes that its findings named."""
        self.refused: set[str] = set()
        """Actions that were told to be refused: nothing was done."""
        self.cases: dict[str, Case] = {}
        self.decisions: dict[str, Row] = {}
        self.requests: dict[str, Row] = {}
        self.actions: dict[str, Row] = {}
        self.changes: dict[tuple[int, str], tuple[str, str]] = {}
        """Of levels, as they were told: by when and whose, to what and why."""
        self.seen: Counter[str] = Counter()
        """What was met, so that a run can be told from one in which nothing happened."""

    def _on_finding(self, at: int, key: str, data: Row) -> None:
        if self._is_apart(data["agent"]):
            return
        self.causes.setdefault(data["entity"], set()).update(data["causes"])
        slots, slot = self._open.setdefault(data["entity"], {}), (data["agent"], data["kind"])
        if not data["resolves"]:
            slots[slot] = data
        elif slot in slots and data["occurrence"].startswith(slots[slot]["occurrence"] + " "):
            del slots[slot]

    def _case_event(self, at: int, key: str, data: Row) -> None:
        case, change = self.cases.get(data["case_id"]), data["change"]
        if case is None:
            self.cases[data["case_id"]] = Case(change["entity"], key)
            found = self._open.get(change["entity"], {}).values()
            self.causes[change["entity"]] = {cause for one in found for cause in one["causes"]}
        elif change.get("status") == "resolved":
            self._open[case.entity] = {}

    def _on_guardrail_withheld(self, at: int, key: str, data: Row) -> None:
        case, remedy = self.cases[data["case_id"]], data["action"]["remedy"]
        case.used.add(remedy)
        case.plan = {"remedy": remedy, "until": data["action"]["valid_until"]}
        for one in data["guardrails"]:
            self.seen[f"withheld by {one['guardrail']}"] += 1

    _on_case_opened = _on_case_updated = _on_case_resolved = _case_event

    def _on_outcome_noted(self, at: int, key: str, data: Row) -> None:
        case = self.cases[data["case_id"]]
        if data["state"] == "refused":
            self.refused.add(data["action_id"])
        if case.plan is None:
            return
        if data["state"] == "refused":
            remedy = case.plan["remedy"]
            case.used.discard(remedy)
            case.undone.setdefault(remedy, []).append(data["again_at"] if data.get("guardrails") else None)
            self.seen["refused and known of"] += 1
        if data["state"] not in ENDS:
            case.plan["until"] = max(case.plan["until"], at + DAY)
            return
        gone = data["state"] in ("compensated", "refused") or data["verdict"] is None
        case.last_outcome, case.plan = data["state"] if gone else data["verdict"], None

    def _on_autonomy_changed(self, at: int, key: str, data: Row) -> None:
        if data["remedy"] != "*":
            self.changes[(at, key)] = (data["level"], data["cause"])

    def _on_approval_requested(self, at: int, key: str, data: Row) -> None:
        self.requests[data["request_id"]] = data | {"roles": list(data["roles"]), "asked_at": at}

    def _on_approval_escalated(self, at: int, key: str, data: Row) -> None:
        request = self.requests[data["request_id"]]
        request.setdefault("later", []).append((at, data["to"]))

    def _on_approval_closed(self, at: int, key: str, data: Row) -> None:
        if data["end"] in ("rejected", "expired"):
            case, request = self.cases[data["case_id"]], self.requests[data["request_id"]]
            case.denied[request["remedy"]] = severity_of(self.open_of(case))
        self.seen[f"request {data['end']}"] += 1

    def _on_approval_counted(self, at: int, key: str, data: Row) -> Iterator[str]:
        answer = next(one for one in self.sent if one.type == "approval.answered" and one.at == at)
        if not counts(answer, self.requests[data["request_id"]]):
            yield f"an answer of {data['approver']} counted at {at} that must not"

    def _on_approval_refused(self, at: int, key: str, data: Row) -> Iterator[str]:
        self.seen[f"refused: {data['reason']}"] += 1
        if not data["reason"] or not data["detail"]:
            yield f"an answer of {data['approver']} is refused without a reason"

    # -- what follows from it -----------------------------------------------------------------------------------------

    def open_of(self, case: Case) -> list[Row]:
        """Return the findings that are open in a case."""
        return list(self._open.get(case.entity, {}).values())

    def facts(self, at: int, case: Case, case_id: str, found: list[Row]) -> Row:
        """Return the facts that rules look at."""
        leading = max(found, key=lambda f: (SEVERITIES.index(f["severity"]), f["confidence"], f["at"], f["finding_id"]))
        families: dict[str, float] = {}
        for one in found:
            families[one["agent"]] = max(families.get(one["agent"], 0.0), one["confidence"])
        doubt = 1.0
        for _, confidence in sorted(families.items()):
            doubt *= 1.0 - confidence
        others = [
            other
            for name, other in self.cases.items()
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
            "mode": self.mode,
            "data_quality": leading["evidence"]["features"].get("data_quality", 1.0),
        }

    def version(self, at: int) -> tuple[str, int, Row, list[Row]]:
        """Return the version in force: its hash, when it begins, its main document, its rules."""
        return [version for version in self._versions if version[1] <= at][-1]

    def _is_apart(self, agent: str) -> bool:
        # Both versions have the same modes; an agent that is wholly in shadow has none of its findings seen.
        return any(
            mode["agent"] == agent and "rule" not in mode and "when" not in mode and TIGHT[mode["mode"]] < 2
            for mode in self._versions[0][2]["modes"]
            if "agent" in mode
        )

    def flagged(self, at: int, agent: str, remedy: str, traits: Row) -> str:
        """Return how far flags let go: "" where none is in the way."""
        flags: Row = {}
        for one in sorted((one for one in self.sent if one.type == "flag.set" and one.at < at), key=lambda o: o.at):
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
