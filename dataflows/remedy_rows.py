"""Sagas as rows of the ledger, and back."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from config.actions import Action, decode_action, encode_action
from config.identity import key_group
from operators.breaker import Breaker
from operators.saga_state import Effect, Outcome, Saga, decode, encode
from sinks.chain import canonical
from sinks.ledger_rows import BreakerRow, EffectRow, NewAction, Open, OutcomeRow, Progress

DECODED_MAX = 4_096
REASON_MAX = 1_000
"""Characters of a reason that are told."""
_breaker_decoder = msgspec.msgpack.Decoder(Breaker)


def shard_names(count: int) -> list[str]:
    """Return the names of `count` shards, in order."""
    return [f"shard-{number:03}" for number in range(count)]


def shard_of(action: Action, shards: list[str]) -> str:
    """Return the shard of an action: all of one entity are in one, so that they come one after the other."""
    return shards[key_group(action.about, len(shards))]


def new_action(action: Action, case_key: str, shards: list[str]) -> NewAction:
    """Return an action as it is taken in.

    Args:
        action: What was decided.
        case_key: What it was released under.
        shards: The names of all shards.
    """
    return NewAction(
        action_id=action.action_id,
        shard=shard_of(action, shards),
        case_id=action.case_id,
        case_key=case_key,
        decision_id=action.decision_id,
        remedy=action.remedy,
        entity=action.about,
        customer=action.customer,
        bundle=action.bundle,
        at=action.at,
        valid_until=action.valid_until,
        body=encode_action(action),
    )


decoded = lru_cache(DECODED_MAX)(decode_action)
"""As `decode_action`: an action is looked at when it is taken in, and again when it is begun."""


def opened(row: Open) -> tuple[Action, Saga]:
    """Return an action and its saga as they were written."""
    action = decoded(row.body)
    return action, decode(row.saga) if row.saga else Saga(action.action_id)


def progress_of(saga: Saga) -> Progress:
    """Return how far a saga is."""
    times = saga.times
    judged = [times[state] for state in ("verified", "ineffective", "inconclusive") if state in times]
    ended = [times[state] for state in ("settled", "compensated", "refused", "escalated") if state in times]
    return Progress(
        action_id=saga.action_id,
        state=saga.state,
        open=saga.is_open,
        verdict=saga.verdict,
        collateral=saga.collateral,
        reason=saga.reason,
        attempts=sum(effect.do.attempts + effect.undo.attempts for effect in saga.effects),
        intended_at=times.get("intended"),
        approved_at=times.get("approved"),
        dispatched_at=times.get("dispatched"),
        acknowledged_at=times.get("acknowledged"),
        judged_at=max(judged, default=None),
        ended_at=max(ended, default=None),
        saga=encode(saga),
    )


def effect_rows(saga: Saga) -> list[EffectRow]:
    """Return the effects of a saga."""
    return [_effect_row(saga.action_id, effect) for effect in saga.effects]


def _effect_row(action_id: str, effect: Effect) -> EffectRow:
    do, undo = effect.do, effect.undo
    return EffectRow(
        action_id=action_id,
        step=effect.step,
        target=effect.target,
        operation=effect.operation,
        entity=effect.entity,
        key=effect.key,
        status=effect.status,
        attempts=do.attempts,
        undo_status=undo.status,
        undo_attempts=undo.attempts,
        sent_at=do.sent_at or None,
        done_at=do.done_at or None,
        undone_at=undo.done_at or None,
        detail=undo.detail or do.detail,
        digest=do.digest,
    )


def outcome_row(outcome: Outcome, case_key: str) -> OutcomeRow:
    """Return what is told of an action, by its contract (`config/contracts/action.outcome.yaml`).

    Args:
        outcome: What came of it.
        case_key: What the action was released under.
    """
    told = msgspec.to_builtins(outcome) | {"case_key": case_key, "reason": outcome.reason[:REASON_MAX]}
    body = canonical({name: value for name, value in told.items() if value is not None})
    return OutcomeRow(outcome.action_id, outcome.seq, outcome.at, case_key, body)


def breaker_row(breaker: Breaker) -> BreakerRow:
    """Return what is known of `target/operation`."""
    return BreakerRow(breaker.name, breaker.state, breaker.until, msgspec.msgpack.encode(breaker))


def breaker_of(row: BreakerRow) -> Breaker:
    """Return a breaker as it was written; the probes that were under way are given up."""
    breaker = _breaker_decoder.decode(row.body)
    breaker.recover()
    return breaker
