"""The rows of the effect ledger, as those who write and read it see them. Instants are microseconds."""

from __future__ import annotations

from typing import NamedTuple


class NewAction(NamedTuple):
    """An action as it is taken in: what of it never changes."""

    action_id: str
    shard: str
    case_id: str
    case_key: str
    """The key that the action was released under: its case's."""
    decision_id: str
    remedy: str
    entity: str
    customer: str
    bundle: str
    at: int
    valid_until: int
    body: bytes


class Progress(NamedTuple):
    """How far an action is: the columns of `actions` that change."""

    action_id: str
    state: str
    open: bool
    verdict: str | None
    collateral: bool | None
    reason: str
    attempts: int
    intended_at: int | None
    approved_at: int | None
    dispatched_at: int | None
    acknowledged_at: int | None
    judged_at: int | None
    ended_at: int | None
    saga: bytes


class EffectRow(NamedTuple):
    """What is known of an effect: the columns of `effects`."""

    action_id: str
    step: str
    target: str
    operation: str
    entity: str
    key: str
    status: str
    attempts: int
    undo_status: str
    undo_attempts: int
    sent_at: int | None
    done_at: int | None
    undone_at: int | None
    detail: str
    digest: str


class OutcomeRow(NamedTuple):
    """What is told of an action."""

    action_id: str
    seq: int
    at: int
    key: str
    body: bytes


class BreakerRow(NamedTuple):
    """What a shard knows of `target/operation`."""

    name: str
    state: str
    until: int
    body: bytes


class Reject(NamedTuple):
    """What came as an action and is none."""

    position: int
    reason: str
    body: bytes


class Open(NamedTuple):
    """An action of which something is left to do or to ask."""

    action_id: str
    case_key: str
    body: bytes
    saga: bytes
    """Empty for one that was only taken in."""
