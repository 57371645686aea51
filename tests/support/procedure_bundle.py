"""Writes the small policy of `procedure_policy` and its playbooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from config.clock import HOUR, to_text
from config.playbooks.model import Playbook
from tests.support.playbooks import AT, playbook, step
from tests.support.policies import rule
from tests.support.procedure_policy import (
    ANEW_H,
    APPROVALS,
    AUTONOMY,
    BEGINS,
    CHANGE_H,
    DESK,
    DUTY,
    FACTS,
    GUARDRAILS,
    LATER,
    LATER_LIMITS,
    MODES,
    REMEDIES,
    RULES,
)

assert AT == BEGINS, "what reckons up has its own beginning"


def write_policy(folder: Path) -> list[Path]:
    """Write both versions into subfolders of `folder`; return them, the earlier first."""
    made = []
    for version, begins in (("1.0.0", "1970-01-01T00:00:00Z"), ("2.0.0", _instant(CHANGE_H))):
        is_later = version == "2.0.0"
        later = LATER if is_later else {}
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
            "autonomy": _autonomy(is_later=is_later),
            "approvals": APPROVALS,
            "guardrails": {"limits": {name: limit | {"description": "d"} for name, limit in GUARDRAILS.items()}},
            "default": {"outcome": "recommend", "reason": "No rule for {kind}."},
        }
        rules = [
            rule(one.id, one.when, later.get(one.id, one.outcome), one.remedy, **(one.more or {})) for one in RULES
        ]
        table = {"table": "t", "owner": DESK, "kinds": ["order.*"], "rules": rules}
        to = folder / version
        to.mkdir(parents=True)
        (to / "bundle.yaml").write_text(yaml.safe_dump(main))
        (to / "rules.yaml").write_text(yaml.safe_dump(table))
        made.append(to)
    return made


def _autonomy(*, is_later: bool) -> dict[str, Any]:
    section = {"segments": [segment | {"description": "d"} for segment in AUTONOMY["segments"]]}
    if not is_later:
        return section | {"limits": AUTONOMY["limits"]}
    *others, rest = AUTONOMY["limits"]
    return section | {"limits": [*LATER_LIMITS, *others, rest | {"anew_from": _instant(ANEW_H)}]}


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
