"""Rows of a ledger for tests."""

from __future__ import annotations

from typing import Any

from config.actions import encode_action
from sinks.ledger_rows import EffectRow, NewAction, OutcomeRow, Progress
from tests.support.playbooks import AT, action


def new(action_id: str, shard: str = "s0", **more: Any) -> NewAction:
    one = action(action_id, **more)
    fields = (
        one.case_id,
        one.customer,
        one.decision_id,
        one.remedy,
        one.about,
        one.customer,
        one.bundle,
        one.at,
        one.valid_until,
    )
    return NewAction(action_id, shard, *fields, encode_action(one))


def progress(action_id: str, state: str = "dispatched", **more: Any) -> Progress:
    values: dict[str, Any] = dict.fromkeys(Progress._fields)
    values |= {"action_id": action_id, "state": state, "open": True, "reason": "", "attempts": 1, "saga": b"saga"}
    return Progress(**values | more)


def effect(action_id: str, step: str = "message", status: str = "sent", **more: Any) -> EffectRow:
    values: dict[str, Any] = dict.fromkeys(EffectRow._fields, "")
    values |= {"action_id": action_id, "step": step, "target": "crm", "operation": "send_message", "status": status}
    values |= {"key": f"{action_id}-{step}", "attempts": 1, "undo_attempts": 0}
    values |= {"sent_at": AT, "done_at": None, "undone_at": None}
    return EffectRow(**values | more)


def outcome(action_id: str, seq: int = 1) -> OutcomeRow:
    return OutcomeRow(action_id, seq, AT, "customer:alice", b'{"seq":%d}' % seq)
