"""What the fleet stage keeps: the last panes of every service, and the incidents under way."""

from __future__ import annotations

import msgspec

from config.findings import Finding


class Vital(msgspec.Struct, array_like=True):
    """What a service's signs say at the end of one pane."""

    at: int
    """End of the pane, µs."""
    signs: dict[str, float]
    """Evidence by sign (`operators/blame.py`)."""


class Touched(msgspec.Struct, array_like=True):
    """Customers whose requests a service failed in one pane."""

    at: int
    """End of the pane, µs."""
    since: int
    """Its start, µs."""
    customers: list[str]


class Incident(msgspec.Struct, array_like=True):
    """One trouble of the fleet, however many services show it."""

    opened: int
    """End of the pane at which the first service was found bad, µs."""
    drafts: list[Finding] = []
    """What services have been found bad by, the first ones first; one per service and kind."""
    open: list[str] = []
    """Slots of the drafts that have not been resolved."""
    told: list[Finding] = []
    """What was found: about the service to blame."""
    sent: dict[str, int] = {}
    """End of the last pane whose customers were passed on, by service to blame and service that touched them."""


class FleetState(msgspec.Struct):
    """All that is kept of a fleet."""

    vitals: dict[str, list[Vital]] = {}
    """By service, of the last few panes, the earliest first."""
    pending: list[Finding] = []
    """What services said of the pane at hand."""
    incidents: list[Incident] = []
    """Those under way, the earliest first."""
    touched: dict[str, list[Touched]] = {}
    """By service, of the last few minutes, the earliest first."""


def slot(finding: Finding) -> str:
    """Return what a finding and the one that resolves it have in common."""
    return f"{finding.entity} {finding.kind} {finding.occurrence.partition(' until ')[0]}"
