"""Limits of autonomy, outcomes that bear on them, and an autonomy stage with a case stage behind it."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from config.clock import DAY, HOUR, TIME_MIN
from config.events import Event
from config.policies.autonomy import Limit
from config.policies.bundle import Bundle
from config.policies.versions import Versions
from operators.autonomy_stage import AutonomyLogic, routed
from operators.outcomes import OUTCOME
from operators.standing import CHANGED
from tests.support.approvals import Desk
from tests.support.findings import Stage, finding
from tests.support.policies import bundle_of, rule

AGENTS = frozenset({"fulfilment", "billing", "fraud", "outage", "experience", "cause"})
NOTIFY = rule("notify", "kind == 'order.late'", "act", "notify")
EASY: dict[str, Any] = {
    "reason": "A trial.",
    "evidence": {"last": 20, "within": "30d", "confidence": 0.9},
    "promotion": {"verified_min": 5, "success_min": 0.6, "false_max": 0.3},
    "demotion": {"failures": 2, "within": "3d", "judged_from": 6, "quality_min": 0.8, "probation": "5d"},
}
"""A limit by which little evidence will do."""
LIMIT = Limit(
    agent="*", remedy="*", segment="*", start="supervised", ceiling="autonomous", last=20, within=30 * DAY,
    confidence=0.9, verified_min=5, success_min=0.6, false_max=0.3, failures=2, failures_within=3 * DAY, judged_from=6,
    quality_min=0.8, probation=5 * DAY, anew_from=TIME_MIN, reason="A trial.", owner="team-a",
)  # fmt: skip
"""The same, loaded."""

_offsets = count()


def bounded_bundle(folder: Path, *limits: dict[str, Any], segments: list[dict[str, Any]] | None = None) -> Bundle:
    """Return a bundle that notifies by itself of late orders, within limits: changes of `EASY`."""
    section = {"segments": segments or [], "limits": [EASY | limit for limit in limits or ({},)]}
    return bundle_of(folder, NOTIFY, autonomy=section)


def outcome(at: int, action_id: str, state: str = "settled", **given: Any) -> Event:
    """Return the control record with an outcome that takes effect at `at`, a new one each time."""
    offset = next(_offsets)
    data: dict[str, Any] = {"action_id": action_id, "case_id": "case-1", "case_key": "c1", "state": state, "seq": 1}
    data |= {"agent": "fulfilment", "remedy": "notify", "segment": "other"}
    data |= dict.fromkeys(("verdict", "collateral", "reason", "bundle", "effects", "at"))  # as the contract has it
    if state in ("settled", "verified"):
        data["verdict"] = "verified"
    return Event(at, f"ledger|{offset}", "c1", OUTCOME, data | given, "outcomes/0", offset)


def failed(at: int, action_id: str, **given: Any) -> Event:
    """Return the outcome of an action that did not help."""
    return outcome(at, action_id, **({"state": "escalated", "verdict": "ineffective"} | given))


class Steward:
    """An autonomy stage of the bundle, before a case stage that acts; what both put out, by type."""

    def __init__(self, *bundles: Bundle) -> None:
        self.stage = Stage(AutonomyLogic(Versions(bundles), AGENTS, {"complaint": "experience"}))
        self.desk = Desk(*bundles, mode="act")
        self.out: list[Event] = []
        self._findings = count()

    def feed(self, *events: Event, until: int = 0) -> None:
        """Let control records, and events for the autonomy stage, come, and time go on."""
        until = until or max(event.at for event in events) + 1
        sent = [
            each for event in events for each in (routed(event) if event.type == OUTCOME else [("autonomy", event)])
        ]
        made = self.stage.feed([event for to, event in sent if to == "autonomy"], until)
        self.out += [event for to, event in made if to != "case"]
        levels = [event for to, event in made if to == "case"]
        self.desk.feed(*levels, *(event for to, event in sent if to == "case"), until=until)

    def decide(self, at: int, **given: Any) -> dict[str, Any]:
        """Return the decision about a new case, of a customer of its own."""
        number = next(self._findings)
        found = {"kind": "order.late", "at": at, "entity": f"order:{number}", "customer": f"c{number}"} | given
        self.stage.feed([], at + 1)
        made = self.desk.feed(finding(**found).event(f"c{number}"))
        its = (event.data for event in made if event.type == "decision" and event.key == f"c{number}")
        decision: dict[str, Any] = next(its)
        return decision

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return what the autonomy stage put out."""
        return [event.data for event in self.out if event.type == kind]

    @property
    def moves(self) -> list[tuple[str, str]]:
        """(level, cause) of each change."""
        return [(each["level"], each["cause"]) for each in self.of(CHANGED)]


def earned(steward: Steward, *, count: int = 10, at: int = HOUR, name: str = "a") -> int:
    """Let so many actions help, one an hour; return when the last was heard of."""
    for number in range(count):
        steward.feed(outcome(at + number * HOUR, f"{name}{number}"))
    return at + (count - 1) * HOUR
