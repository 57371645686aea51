"""A small store with something of everything in it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from config.clock import HOUR
from config.events import Event
from sinks.outbox import Outbox, Release
from sinks.part_writer import ChannelStats
from sinks.store import Store

PART = "part-000"
OPENED = 1_700_000_000_000_000


def finding(id_: str, at: int, entity: str, **more: Any) -> Event:
    evidence = {
        "records": [["orders", 0, 7], ["orders", 0, 9]],
        "queries": [
            {
                "spans": {"telemetry/1": [3, 8]},
                "key": "lane:SP-RJ",
                "metric": "transit_hours",
                "since": at - HOUR,
                "until": at,
                "contract": "fulfilment.measured@1",
            }
        ],
        "features": {"late_hours": 4.0},
    }
    data = {
        "agent": "fulfilment",
        "kind": "order.promise_at_risk",
        "severity": "high",
        "confidence": 0.5,
        "entity": entity,
        "at": at,
        "reason": "It [bold]will[/bold] be \x1b[31mlate.",
        "evidence": evidence,
    }
    return Event(at, id_, "alice", "finding", data | more)


def case_event(case_id: str, seq: int, at: int, type_: str = "case.opened", **change: Any) -> Event:
    data = {"case_id": case_id, "seq": seq, "at": at, "change": {"updated_at": at} | change}
    return Event(at, f"{case_id}-{seq}", "alice", type_, data)


def decision(case_id: str, seq: int, at: int, outcome: str = "recommend") -> Event:
    data: dict[str, Any] = {
        "decision_id": f"d-{case_id}-{seq}",
        "case_id": case_id,
        "at": at,
        "outcome": outcome,
        "remedy": "open_ticket",
        "rule": "chase",
        "fired": ["chase"],
        "nearly": ["goodwill"],
        "bundle": "b",
        "facts": {},
        "reason": "Somebody should look.",
    }
    return Event(at, data["decision_id"], "alice", "decision", data)


def action(case_id: str, at: int) -> Event:
    data: dict[str, Any] = {
        "action_id": f"a-{case_id}",
        "case_id": case_id,
        "decision_id": f"d-{case_id}-1",
        "remedy": "open_ticket",
        "target": "crm",
        "parameters": {},
        "valid_until": at + HOUR,
        "at": at,
    }
    return Event(at, data["action_id"], "alice", "action", data)


def dead_letter(offset: int, reason: str, value: bytes, *, kept: bool = True) -> Event:
    data = {
        "topic": "orders",
        "partition": 0,
        "offset": offset,
        "reason": reason,
        "detail": "field $.data",
        "contract": "",
        "value": b64encode(value if kept else b"").decode(),
        "value_hash": "00",
        "value_bytes": len(value),
        "key": None if reason == "tombstone" else b64encode(b"k").decode(),
        "timestamp": 1_700_000_000_000 + offset,
        "headers": [["ce_type", b64encode(b"order.placed").decode()], ["none", None]],
    }
    return Event(0, f"orders/0/{offset}", "orders/0", "dead_letter", data)


def drift(since: int, *, ended: bool = False, feature: str = "order_progress.left_days") -> Event:
    type_, at = ("drift.ended", since + 9 * HOUR) if ended else ("drift.begun", since + 2 * HOUR)
    data: dict[str, Any] = {"model": "complaint", "feature": feature, "since": since, "at": at, "ended": ended}
    if not ended:
        data |= {"distance": 0.31, "threshold": 0.08, "above": 20.5, "until": None, "share": 0.4, "share_before": 0.1}
    return Event(at, f"{feature} {since} {type_}", "complaint", type_, data)


def opened_row(agent: str, kind: str, entity: str, lead_h: int | None, priority: float) -> dict[str, Any]:
    return {
        "correlation_key": "alice",
        "agent": agent,
        "kind": kind,
        "entity": entity,
        "customer": "alice",
        "status": "open",
        "severity": "high",
        "confidence": 0.5,
        "priority": priority,
        "money_at_risk": 10.0,
        "harm_at": None if lead_h is None else OPENED + lead_h * HOUR,
        "opened_at": OPENED,
        "lead_us": None if lead_h is None else lead_h * HOUR,
        "findings": 1,
        "reason": f"About {entity}.",
    }


def events() -> list[Event]:
    at_risk = ("fulfilment", "order.promise_at_risk")
    late = {"topic": "crm", "partition": 0, "offset": 5, "at": 1, "watermark": 2, "type": "ticket.opened"}
    return [
        finding("f1", OPENED, "order:1"),
        case_event(
            "aaa1", 1, OPENED, **opened_row(*at_risk, "order:1", 48, 2.0), decision="act", decision_id="d-aaa1-1"
        ),
        decision("aaa1", 1, OPENED, "act"),
        action("aaa1", OPENED),
        finding("f2", OPENED + 2, "order:2"),
        case_event("aaa2", 1, OPENED, **opened_row(*at_risk, "order:2", 24, 9.0)),
        decision("aaa2", 1, OPENED),
        case_event("bbb3", 1, OPENED, **opened_row("billing", "payment.double", "order:3", None, 1.0)),
        case_event("aaa1", 2, OPENED + HOUR, "case.resolved", status="resolved", resolved_at=OPENED + HOUR),
        finding("f3", OPENED + 2 * HOUR, "order:1"),
        dead_letter(3, "not-json", b"{"),
        dead_letter(1, "not-json", b"}"),
        dead_letter(2, "tombstone", b""),
        dead_letter(4, "limits", b"x" * 100, kept=False),
        Event(0, "crm/0/5", "crm/0", "late", late),
    ]


def filled(url: str, *, done: bool = True, more: Sequence[Event] = (), given: Sequence[Event] | None = None) -> str:
    """Make a store at `url` of the `given` outputs, by default some of every kind, and of `more`; return the URL."""
    with Store.open(url, create=True) as store:
        store.begin_run([PART], "job")
        box = Outbox(PART, frozenset("a"), store.open_part)
        stats = [ChannelStats("orders/0", 10, OPENED, records=10, accepted=6, rejected=4)]
        box.write([Release("a", [*(events() if given is None else given), *more], ended=done, stats=stats)])
        box.snapshot()[1]()
    return url
