"""A small policy in two versions, its playbooks and its people, for worlds in which what is done is held against what
was allowed. Each rule has, beside its condition, a predicate of Python that says the same: what reckons up uses that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from config.clock import HOUR, to_text
from config.playbooks.model import Playbook
from tests.support.playbooks import AT, playbook, step
from tests.support.policies import rule

Facts = dict[str, Any]
Predicate = Callable[[Facts], bool]

SPAN_H = 36
"""Hours that a world lasts."""
CHANGE_H = 20
"""So many hours after its beginning the second version takes effect."""
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

RULES: list[tuple[dict[str, Any], Predicate]] = [
    (rule("low", "confidence < 0.5"), lambda f: f["confidence"] < 0.5),
    (rule("busy", "open_remedy != ''"), lambda f: f["open_remedy"] != ""),
    (
        rule("no-help", "last_outcome in ['ineffective', 'inconclusive', 'escalated']", "recommend"),
        lambda f: f["last_outcome"] in ("ineffective", "inconclusive", "escalated"),
    ),
    (
        rule("refund", "kind == 'order.double' && confidence >= 0.8", "approve", "refund", parameters=AMOUNT),
        lambda f: f["kind"] == "order.double" and f["confidence"] >= 0.8,
    ),
    (
        rule("credit", "kind == 'order.lost' && money_at_risk >= 50.0", "act", "credit", parameters=AMOUNT),
        lambda f: f["kind"] == "order.lost" and f["money_at_risk"] >= 50,
    ),
    (
        rule("ship", "kind == 'order.stuck' && severity in ['high', 'critical']", "act", "ship"),
        lambda f: f["kind"] == "order.stuck" and f["severity"] in ("high", "critical"),
    ),
    (
        rule("tell", "kind == 'order.late' && contacts_30d < 2.0 && mode == 'act'", "act", "tell"),
        lambda f: f["kind"] == "order.late" and f["contacts_30d"] < 2 and f["mode"] == "act",
    ),
    (
        rule("ticket", "severity == 'critical'", "approve", "ticket", owner=DUTY),
        lambda f: f["severity"] == "critical",
    ),
    (rule("show", "severity != 'low'", "recommend", "ticket"), lambda f: f["severity"] != "low"),
]
"""Of the first version; in the second, tickets are opened at once and late orders take consent."""
PREDICATES = {f"t/{written['id']}": holds for written, holds in RULES}
SECOND = {"ticket": "act", "tell": "approve"}

MODES: list[dict[str, Any]] = [
    {"mode": "shadow", "agent": "fraud", "reason": "new"},
    {"mode": "recommend", "agent": "experience", "reason": "new"},
    {"mode": "supervised", "when": "money_at_risk >= 500.0", "reason": "much"},
    {"mode": "shadow", "rule": "t/ship", "when": "confidence < 0.7", "reason": "unsure"},
    {"mode": "off", "rule": "t/show", "agent": "outage", "reason": "no"},
]
WHENS: dict[str, Predicate] = {
    "money_at_risk >= 500.0": lambda f: f["money_at_risk"] >= 500,
    "confidence < 0.7": lambda f: f["confidence"] < 0.7,
}
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
    "dan": Person((DESK,), revoked_at=AT + 12 * HOUR),
    "eva": Person((DESK,), valid_from=AT + 24 * HOUR),
    "finn": Person(("stranger",)),
}


def write_policy(folder: Path) -> list[Path]:
    """Write both versions into subfolders of `folder`; return them, the earlier first."""
    made = []
    for version, begins in (("1.0.0", "1970-01-01T00:00:00Z"), ("2.0.0", _instant(CHANGE_H))):
        second = SECOND if version == "2.0.0" else {}
        main = {
            "name": "procedure",
            "owner": "board",
            "escalation": DUTY,
            "version": version,
            "effective_from": begins,
            "facts": {name: {"type": kind, "description": "d"} for name, kind in FACTS.items()},
            "remedies": {name: remedy | {"description": "d"} for name, remedy in REMEDIES.items()},
            "tables": ["rules.yaml"],
            "modes": MODES,
            "approvals": APPROVALS,
            "guardrails": {"limits": {name: limit | {"description": "d"} for name, limit in GUARDRAILS.items()}},
            "default": {"outcome": "recommend", "reason": "No rule for {kind}."},
        }
        rules = [written | {"outcome": second.get(written["id"], written["outcome"])} for written, _ in RULES]
        table = {"table": "t", "owner": DESK, "kinds": ["order.*"], "rules": rules}
        to = folder / version
        to.mkdir(parents=True)
        (to / "bundle.yaml").write_text(yaml.safe_dump(main))
        (to / "rules.yaml").write_text(yaml.safe_dump(table))
        made.append(to)
    return made


def _instant(hours: int) -> str:
    return to_text(AT + hours * HOUR)


def books(folder: Path) -> dict[str, Playbook]:
    """Return the playbook of each remedy."""
    retry = {"attempts": 3, "first": "1s", "most": "20s"}
    look: dict[str, Any] = {"after": "5m", "patience": "20m", "unchanged": ["notes", "reviews"]}
    inputs = {"inputs": {"amount": {"type": "number"}}}

    def system(step_id: str, target: str, operation: str, inverse: str, **more: Any) -> dict[str, Any]:
        undo = {"operation": inverse, "within": "24h"} if inverse else None
        return step(step_id, target=target, operation=operation, inverse=undo, timeout="2s", retry=retry, **more)

    money = {"amount": {"type": "number", "value": "amount"}}
    tell = system("tell", "crm", "send_message", "withdraw_message")
    credit = system("credit", "billing", "credit", "reverse_credit", parameters=money)
    refund = system("refund", "billing", "refund", "", parameters=money, irreversible="it is gone")
    made = [
        playbook(folder, tell, name="tell", verify=look),
        playbook(folder, system("ticket", "crm", "open_ticket", "close_ticket"), name="ticket", verify=look),
        playbook(folder, system("ship", "logistics", "expedite", "cancel_expedite"), name="ship", verify=look),
        playbook(folder, credit, tell, name="credit", verify=look, **inputs),
        playbook(folder, refund, name="refund", verify=look, approval="always", **inputs),
    ]
    return {one.name: one for one in made}


STEPS = {
    "tell": {"tell": "send_message"},
    "ticket": {"ticket": "open_ticket"},
    "ship": {"ship": "expedite"},
    "credit": {"credit": "credit", "tell": "send_message"},
    "refund": {"refund": "refund"},
}
"""What each remedy may do: operations by step."""
