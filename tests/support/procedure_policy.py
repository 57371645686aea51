"""A small policy in two versions and its people, as plain values, for worlds in which what is done is held against what
was allowed. Each rule has, beside its condition, a predicate of Python that says the same: what reckons up uses that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Facts = dict[str, Any]
Predicate = Callable[[Facts], bool]

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
BEGINS = 1_700_000_000_000_000
"""When a world begins, microseconds."""
SPAN_H = 36
"""Hours that a world lasts."""
CHANGE_H = 20
"""So many hours after its beginning the second version takes effect."""
ANEW_H = 27
"""From so many hours on, what was earned or lost earlier counts for nothing where no limit of its own holds."""
DESK, DUTY, HEAD = "desk", "duty", "head"

FACTS = {
    **dict.fromkeys(("kind", "agent", "severity", "mode", "open_remedy", "last_outcome"), "string"),
    **dict.fromkeys(("confidence", "money_at_risk", "source_families", "contacts_30d"), "number"),
}
REMEDIES: dict[str, dict[str, Any]] = {
    "tell": {"system": "crm", "valid_for": "4h", "contacts_customer": True},
    "ticket": {"system": "crm", "valid_for": "12h"},
    "ship": {"system": "logistics", "valid_for": "6h"},
    "credit": {
        "system": "billing",
        "valid_for": "8h",
        "contacts_customer": True,
        "moves_money": True,
        "money_max": 300,
    },
    "refund": {"system": "billing", "valid_for": "10h", "moves_money": True, "reversible": False},
}
AMOUNT = {"amount": "{money_at_risk}"}


class Rule(NamedTuple):
    """A rule of the table `t`."""

    id: str
    when: str
    holds: Predicate
    """Says what `when` says."""
    outcome: str = "observe"
    remedy: str = ""
    more: dict[str, Any] | None = None
    """What else a file may say of it."""


RULES = [
    Rule("low", "confidence < 0.5", lambda f: f["confidence"] < 0.5),
    Rule("busy", "open_remedy != ''", lambda f: f["open_remedy"] != ""),
    Rule(
        "no-help",
        "last_outcome in ['ineffective', 'inconclusive', 'escalated']",
        lambda f: f["last_outcome"] in ("ineffective", "inconclusive", "escalated"),
        "recommend",
    ),
    Rule(
        "refund",
        "kind == 'order.double' && confidence >= 0.8",
        lambda f: f["kind"] == "order.double" and f["confidence"] >= 0.8,
        "approve",
        "refund",
        {"parameters": AMOUNT},
    ),
    Rule(
        "credit",
        "kind == 'order.lost' && money_at_risk >= 50.0",
        lambda f: f["kind"] == "order.lost" and f["money_at_risk"] >= 50,
        "act",
        "credit",
        {"parameters": AMOUNT},
    ),
    Rule(
        "ship",
        "kind == 'order.stuck' && severity in ['high', 'critical']",
        lambda f: f["kind"] == "order.stuck" and f["severity"] in ("high", "critical"),
        "act",
        "ship",
    ),
    Rule(
        "tell",
        "kind == 'order.late' && contacts_30d < 2.0 && mode == 'act'",
        lambda f: f["kind"] == "order.late" and f["contacts_30d"] < 2 and f["mode"] == "act",
        "act",
        "tell",
    ),
    Rule(
        "ticket",
        "severity == 'critical'",
        lambda f: f["severity"] == "critical",
        "approve",
        "ticket",
        {"owner": DUTY},
    ),
    Rule("show", "severity != 'low'", lambda f: f["severity"] != "low", "recommend", "ticket"),
]
"""Of the first version; in the second, tickets are opened at once and late orders take consent."""
PREDICATES = {f"t/{rule.id}": rule.holds for rule in RULES}
LATER = {"ticket": "act", "tell": "approve"}

MODES: list[dict[str, Any]] = [
    {"mode": "shadow", "agent": "fraud", "reason": "new"},
    {"mode": "recommend", "agent": "experience", "reason": "new"},
    {"mode": "supervised", "when": "money_at_risk >= 500.0", "reason": "much"},
    {"mode": "shadow", "rule": "t/ship", "when": "confidence < 0.7", "reason": "unsure"},
    {"mode": "off", "rule": "t/show", "agent": "outage", "reason": "no"},
]
WHENS: dict[str, Predicate] = {
    "money_at_risk >= 100.0": lambda f: f["money_at_risk"] >= 100,
    "severity == 'critical'": lambda f: f["severity"] == "critical",
    "money_at_risk >= 500.0": lambda f: f["money_at_risk"] >= 500,
    "confidence < 0.7": lambda f: f["confidence"] < 0.7,
}
AGENTS = ("fulfilment", "billing", "outage", "experience", "fraud")
MODELS = {"late-model": "fulfilment", "bill-model": "billing"}
"""By model whose features may drift, the agent that reads it."""
EARNING: dict[str, Any] = {
    "reason": "A trial.",
    "start": "autonomous",
    "ceiling": "autonomous",
    "evidence": {"last": 12, "within": "19h", "confidence": 0.8},
    "promotion": {"verified_min": 4, "success_min": 0.55, "false_max": 0.35},
    "demotion": {"failures": 3, "within": "9h", "judged_from": 5, "quality_min": 0.8, "probation": "5h"},
}
"""Few outcomes do, for a world is short. No span is one of another section, so that no two things are due at once."""
SUPERVISED = EARNING | {"start": "supervised"}
AUTONOMY: dict[str, Any] = {
    "segments": [
        {"name": "costly", "when": "money_at_risk >= 100.0"},
        {"name": "urgent", "when": "severity == 'critical'"},
    ],
    "limits": [
        SUPERVISED | {"remedy": "credit", "segment": "costly", "ceiling": "supervised"},
        EARNING | {"agent": "outage", "remedy": "tell", "start": "recommend"},
        SUPERVISED | {"segment": "urgent"},
        SUPERVISED | {"agent": "billing", "remedy": "ship"},
        EARNING,
    ],
}
LATER_LIMITS: list[dict[str, Any]] = [
    SUPERVISED | {"agent": "billing", "promotion": {"verified_min": 6, "success_min": 0.7, "false_max": 0.3}},
    SUPERVISED | {"remedy": "ship", "segment": "costly", "ceiling": "supervised"},
]
"""These stand before the others in the second version."""
APPROVALS = {
    "answer_within": "6h",
    "two_people_from": 500,
    "two_people_if_irreversible": True,
    "ladders": {DESK: [{"after": "1h", "to": DUTY}], "*": [{"after": "2h", "to": HEAD}]},
}
GUARDRAILS: dict[str, dict[str, Any]] = {
    "messages": {
        "per": "customer",
        "of": {"contacts_customer": True},
        "most": 1,
        "within": "12h",
        "then": "approve",
        "owner": DESK,
    },
    "actions": {"per": "customer", "most": 4, "within": "12h"},
    "money": {"per": "customer", "counts": "money", "of": {"moves_money": True}, "most": 700, "within": "24h"},
    "ships": {"per": "all", "of": {"remedies": ["ship"]}, "most": 1, "within": "12h"},
    "money-of-all": {"per": "all", "counts": "money", "of": {"moves_money": True}, "most": 600, "within": "12h"},
    "cause": {"per": "cause", "most": 2, "within": "12h"},
}


class Person(NamedTuple):
    """A person who may answer."""

    roles: tuple[str, ...]
    valid_from: int = 0
    """Of the key, microseconds."""
    revoked_at: int | None = None


PEOPLE = {
    "ana": Person((DESK,)),
    "ben": Person((DESK, DUTY)),
    "cleo": Person((DUTY, HEAD)),
    "dan": Person((DESK,), revoked_at=BEGINS + 12 * HOUR),
    "eva": Person((DESK,), valid_from=BEGINS + 24 * HOUR),
    "finn": Person(("stranger",)),
}

STEPS = {
    "tell": {"tell": "send_message"},
    "ticket": {"ticket": "open_ticket"},
    "ship": {"ship": "expedite"},
    "credit": {"credit": "credit", "tell": "send_message"},
    "refund": {"refund": "refund"},
}
"""What each remedy may do: operations by step."""
