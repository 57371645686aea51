"""Builders of findings, and a way to run a stage's logic on events through a real key group."""

from collections.abc import Iterable
from typing import Any

from config.clock import TIME_MAX
from config.events import Event
from config.findings import Evidence, Finding, finding_id
from operators.frame import Frame
from operators.keyed import KeyedGroup
from operators.logic import KeyedLogic


def finding(**given: Any) -> Finding:
    """Return a finding on order 1 of customer c1, changed as `given`; its id follows from what it is."""
    fields: dict[str, Any] = {
        "agent": "fulfilment",
        "kind": "order.promise_at_risk",
        "entity": "order:1",
        "customer": "c1",
        "occurrence": "once",
        "at": 0,
        "severity": "medium",
        "confidence": 0.8,
        "reason": "It will be late.",
    } | given
    features = fields.pop("features", {})
    records = fields.pop("records", [])
    fields.setdefault("finding_id", finding_id(*(fields[name] for name in ("agent", "kind", "entity", "occurrence"))))
    return Finding(evidence=Evidence(records=records, features=features), **fields)


def fleet_finding(**given: Any) -> Finding:
    """Return an outage finding on the checkout service, changed as `given`."""
    fields = {
        "agent": "outage",
        "kind": "service.degraded",
        "entity": "service:checkout",
        "customer": "",
        "severity": "high",
        "confidence": 0.95,
        "reason": "Checkout fails.",
    }
    return finding(**(fields | given))


def end_of(opened: Finding, at: int, **given: Any) -> Finding:
    """Return the finding that resolves `opened` at `at`."""
    fields = {
        "agent": opened.agent,
        "kind": opened.kind,
        "entity": opened.entity,
        "customer": opened.customer,
        "occurrence": f"{opened.occurrence} until {at}",
        "at": at,
        "severity": "low",
        "confidence": 1.0,
        "resolves": True,
        "reason": "It is over.",
    }
    return finding(**(fields | given))


class Stage:
    """One key group of a stage, fed by one channel."""

    def __init__(self, logic: KeyedLogic[Any]) -> None:
        self.logic = logic
        self.group = KeyedGroup(logic, ["in"])

    def feed(self, events: Iterable[Event], until: int) -> list[tuple[str, Event]]:
        """Return what the stage emits when all events come and time goes on to `until` (exclusive)."""
        self.group.receive(Frame(0, "in", until, list(events)))
        return self.group.advance()

    def restart(self) -> None:
        """Go on with a new group restored from the state of this one."""
        whole = self.group.whole()
        self.group = KeyedGroup(self.logic, ["in"])
        self.group.restore([whole])


def process(logic: KeyedLogic[Any], events: Iterable[Event], until: int = TIME_MAX) -> list[tuple[str, Event]]:
    """Return what a new stage emits for `events`."""
    return Stage(logic).feed(events, until)
