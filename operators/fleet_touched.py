"""Whom services touched that only look sick, told to the service that is to blame.

A customer whose request failed at the front met a fault of the store behind it. The front knows the customer, the store
does not; the fleet stage knows that both are one incident. So it keeps for a few minutes whom each service touched, and
while an incident is under way passes on to each service named in it those whom the other services of it touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from config.clock import MINUTE
from config.events import Event
from config.findings import Finding
from config.identity import derived_id
from operators.fleet_state import FleetState, Incident, Touched

TOUCHED = "touched"
TOUCHED_FOR = 5 * MINUTE
"""Customers touched so long before an incident is told count as touched by it: most are told within that."""


def note(state: FleetState, event: Event) -> None:
    """Take note of the customers that a service touched in one pane; forget what is too old."""
    data, since = event.data, event.at - TOUCHED_FOR
    state.touched.setdefault(data["entity"], []).append(Touched(event.at, data["at"], data["customers"]))
    for entity, panes in list(state.touched.items()):
        state.touched[entity] = panes = [pane for pane in panes if pane.at > since]
        if not panes:
            del state.touched[entity]


def passed_on(state: FleetState, incident: Incident, now: int) -> Iterator[Event]:
    """Yield what the services named in an incident have not been told of those that others of it touched."""
    for named in _entities(incident.told):
        for entity in _entities(incident.drafts):
            pair = f"{named} {entity}"
            for pane in state.touched.get(entity, []) if entity != named else []:
                if pane.at > max(incident.sent.get(pair, 0), now - TOUCHED_FOR):
                    incident.sent[pair] = pane.at
                    data = {"entity": entity, "at": pane.since, "until": pane.at, "customers": pane.customers}
                    yield Event(now, derived_id(TOUCHED, named, entity, pane.at), named, TOUCHED, data)


def _entities(findings: Iterable[Finding]) -> list[str]:
    return sorted({finding.entity for finding in findings})
