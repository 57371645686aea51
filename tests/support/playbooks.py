"""Playbooks and actions for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from config.actions import Action
from config.clock import HOUR
from config.playbooks.load import load_playbook
from config.playbooks.model import Playbook

AT = 1_700_000_000_000_000


def step(step_id: str = "message", **more: Any) -> dict[str, Any]:
    """Return a step as a file has it."""
    written = {
        "id": step_id,
        "target": "crm",
        "operation": "send_message",
        "entity": "customer",
        "parameters": {"order": {"type": "string", "value": "entity_id"}},
        "timeout": "5s",
        "retry": {"attempts": 3, "first": "1s", "most": "1m", "jitter": 0.2},
        "inverse": {"operation": "withdraw_message", "within": "24h"},
    } | more
    return {name: value for name, value in written.items() if value is not None}


def document(name: str = "tell", *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a playbook as a file has it."""
    verify = {
        "target": "crm",
        "entity": "customer",
        "reads": {"trouble": "number"},
        "after": "30m",
        "patience": "1h",
        "holds": "after.trouble < before.trouble",
        "unchanged": ["credits"],
        "otherwise": "compensate",
    }
    return {
        "playbook": name,
        "owner": "customer-operations",
        "escalation": "duty-manager",
        "version": "1",
        "description": "Tell the customer.",
        "steps": list(steps) or [step()],
        "verify": verify | more.pop("verify", {}),
    } | more


def written(folder: Path, content: dict[str, Any]) -> Path:
    """Write a playbook into `folder`; return its file."""
    file = folder / f"{content['playbook']}.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def playbook(folder: Path, *steps: dict[str, Any], name: str = "tell", **more: Any) -> Playbook:
    """Return a loaded playbook."""
    return load_playbook(written(folder, document(name, *steps, **more)))


def action(action_id: str = "a1", **more: Any) -> Action:
    """Return an action."""
    values: dict[str, Any] = {
        "action_id": action_id,
        "case_id": "c1",
        "decision_id": "d1",
        "remedy": "tell",
        "target": "crm:order:o1",
        "at": AT,
        "valid_until": AT + 4 * HOUR,
        "entity": "order:o1",
        "customer": "customer:alice",
        "agent": "fulfilment",
        "kind": "order.promise_at_risk",
        "bundle": "b1",
    }
    return Action(**values | more)
