"""What an agent saw: a finding, with the evidence that anybody can look up again."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from config.converter import Converter
from config.events import Event
from config.identity import derived_id

Severity = Literal["low", "medium", "high", "critical"]

FLEET_AGENT = "cause"
"""Agent of the findings that stand on many customers' findings; it has no manifest."""
TOUCHED_KIND = "customer.touched_by_outage"
FLEET_KINDS = ("lane.degraded", "seller.degraded", TOUCHED_KIND)
"""What it finds."""
DATA_QUALITY = "data_quality"
"""Evidence feature: share of the records behind the finding that were looked at; not there where all were."""


class Query(msgspec.Struct, frozen=True):
    """Selects again the records an aggregate was made of."""

    spans: dict[str, tuple[int, int]]
    """First and last offset by channel `topic/partition`; the records of `key` within [`since`, `until`) count."""
    key: str
    metric: str
    since: int
    until: int
    contract: str
    """`type@version` of the contract that decoded them."""


class Evidence(msgspec.Struct, frozen=True):
    """What a finding stands on."""

    records: list[tuple[str, int, int]] = []
    """(topic, partition, offset) of single records."""
    queries: list[Query] = []
    features: dict[str, float | int | str | None] = {}
    """The values the rule or detector looked at, by name; names carry their unit (`transit_hours_p90`)."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent saw at one event time about one entity."""

    finding_id: str
    agent: str
    kind: str
    """`order.promise_passed`, `service.degraded`, …: the agent's manifest lists them."""
    entity: str
    """What it is about, `kind:id`: `order:…`, `service:…`, `lane:…`."""
    customer: str = ""
    """The customer it hurts, or "" for a fleet finding."""
    occurrence: str
    """Tells this occurrence from others of the same kind on the same entity: an instant, an episode's start."""
    at: int
    severity: Severity
    confidence: float
    """How likely it is true, 0…1."""
    harm_at: int | None = None
    """When the customer is hurt, as far as is known; `harm_at - at` is the lead."""
    money_at_risk: float = 0.0
    causes: list[str] = []
    """Fleet entities that may be the cause (`lane:SP-RJ`, `service:checkout`); the way of fan-in and fan-out."""
    resolves: bool = False
    """Not a new trouble but the end of one: the order was delivered, the service is back."""
    evidence: Evidence = Evidence()
    reason: str
    """One sentence that a support lead understands."""

    def event(self, key: str) -> Event:
        """Return the finding as an event for the stage that keys by `key`."""
        return Event(self.at, self.finding_id, key, "finding", msgspec.to_builtins(self))

    @staticmethod
    def of(event: Event) -> Finding:
        """Return the finding that `event` carries."""
        return _converted(event.data)


_converted = Converter(Finding)


def finding_id(agent: str, kind: str, entity: str, occurrence: str, *subject: str | int) -> str:
    """Return the id of a finding: `H(agent, kind, entity, occurrence)`.

    Args:
        agent: As in `Finding`, and so the next three.
        kind: …
        entity: …
        occurrence: …
        subject: What else tells it from others: a customer's order is told by its number only as long as no other
            customer has an order of that number, and it is not heard of again after it was forgotten.
    """
    return derived_id("finding", agent, kind, entity, occurrence, *subject)


JsonObject = dict[str, Any]
"""A JSON object of built-in values; its shape is the business of whoever reads it."""
