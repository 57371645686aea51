"""Judges what was found on services by faults that were injected into a running system.

Definitions, for reports must be comparable:

- An *alert* is an incident of the fleet: it opens with a finding on a service while no other finding on one is open,
  and lasts until all findings that opened meanwhile are resolved. Several services flagged in one incident are one
  alert.
- A fault is *found* when a finding on a service opens within five minutes after its injection, and its service is
  *named* when the first of these findings names it.
- An alert is *false* when it opens outside every fault's five minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from config.clock import HOUR, MINUTE, from_text, to_text
from config.errors import UsageError
from config.quantiles import nearest_rank
from replay.backtest.run import Row

WITHIN = 5 * MINUTE
"""A fault is found when a finding comes so soon after its injection."""
SERVICE = "service:"
_POD = re.compile(r"(.+)-[a-z0-9]{5,10}-[a-z0-9]{5}")
"""Kubernetes names a deployment's pods `<deployment>-<hash of the template>-<five random characters>`."""


class Fault(msgspec.Struct, frozen=True):
    """One injected fault."""

    injected_at: str
    kind: str
    pod: str = ""
    service: str = ""
    """Read from the pod's name where it is not given."""

    @property
    def at(self) -> int:
        """When it was injected, µs."""
        return from_text(self.injected_at)

    @property
    def entity(self) -> str:
        """What a finding on it should name."""
        return SERVICE + (self.service or service_of(self.pod))


@dataclass(frozen=True)
class Alert:
    """An incident of the fleet, as the findings on services tell it."""

    opened_at: int
    findings: list[Row]
    """Those that opened while it was open, the opening one first."""


def service_of(pod: str) -> str:
    """Return the service that a pod belongs to, by the way Kubernetes names the pods of a deployment."""
    named = _POD.fullmatch(pod)
    return named[1] if named else pod


def read_faults(path: Path) -> list[Fault]:
    """Read injected faults: a JSON list of `{"injected_at", "kind", "pod" or "service"}`; returned by time.

    Raises:
        UsageError: the file is missing or is no such list.
    """
    try:
        faults = msgspec.json.decode(path.read_bytes(), type=list[Fault])
        return sorted(faults, key=lambda fault: (fault.at, fault.entity))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}.", remedy="Name a file of injected faults.") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError(
            f"{path} holds no list of faults: {error}.",
            remedy='Give a JSON list of {"injected_at": "2022-08-22T03:53:54Z", "pod": …, "kind": …}.',
        ) from error


def alerts_of(findings: Iterable[Row]) -> list[Alert]:
    """Return the alerts that findings make, by time.

    Args:
        findings: Bodies of findings, in any order; only those on services count.
    """
    rows = sorted(
        (row for row in findings if str(row["entity"]).startswith(SERVICE) and not row.get("customer")),
        # At one instant what ends, ends before what begins.
        key=lambda row: (row["at"], not row.get("resolves"), str(row["finding_id"])),
    )
    alerts: list[Alert] = []
    open_: set[tuple[Any, ...]] = set()
    for row in rows:
        slot = row["entity"], row["kind"], str(row["occurrence"]).partition(" until ")[0]
        if row.get("resolves"):
            open_.discard(slot)
            continue
        if not open_:
            alerts.append(Alert(row["at"], []))
        alerts[-1].findings.append(row)
        open_.add(slot)
    return alerts


def judged(faults: Sequence[Fault], findings: Iterable[Row], since: int, until: int) -> Row:
    """Return how the findings on services compare with the faults.

    Args:
        faults: What was injected.
        findings: Bodies of all findings.
        since: Start of the recording, µs.
        until: Its end, µs.
    """
    alerts = alerts_of(findings)
    opened = [finding for alert in alerts for finding in alert.findings]
    verdicts = [_verdict(fault, opened) for fault in faults]
    false = [alert for alert in alerts if not any(fault.at < alert.opened_at <= fault.at + WITHIN for fault in faults)]
    delays = sorted(verdict["delay_minutes"] for verdict in verdicts if verdict["found"])
    hours = (until - since) / HOUR
    return {
        "faults": len(faults),
        "found": len(delays),
        "service_named": sum(verdict["service_named"] for verdict in verdicts),
        "delay_minutes": {f"p{level}": nearest_rank(delays, level) if delays else None for level in (50, 90)},
        "false_alerts": len(false),
        "false_alerts_per_hour": round(len(false) / hours, 2) if hours else None,
        "by_kind": _by_kind(verdicts),
        "hours": round(hours, 1),
        "alerts": len(alerts),
        "verdicts": verdicts,
        "false": [_shown(alert) for alert in false],
    }


def _verdict(fault: Fault, opened: Sequence[Row]) -> Row:
    hits = [finding for finding in opened if fault.at < finding["at"] <= fault.at + WITHIN]
    first = hits[0] if hits else None
    return {
        "injected_at": fault.injected_at,
        "kind": fault.kind,
        "entity": fault.entity,
        "found": first is not None,
        "service_named": first is not None and first["entity"] == fault.entity,
        "named": first and first["entity"],
        "delay_minutes": first and round((first["at"] - fault.at) / MINUTE, 2),
    }


def _by_kind(verdicts: Sequence[Row]) -> dict[str, Row]:
    kinds: dict[str, Row] = {}
    for verdict in sorted(verdicts, key=lambda verdict: str(verdict["kind"])):
        kind = kinds.setdefault(verdict["kind"], {"faults": 0, "found": 0, "service_named": 0})
        kind["faults"] += 1
        kind["found"] += verdict["found"]
        kind["service_named"] += verdict["service_named"]
    return kinds


def _shown(alert: Alert) -> Row:
    entities = list(dict.fromkeys(finding["entity"] for finding in alert.findings))
    return {"opened_at": to_text(alert.opened_at), "entities": entities}
