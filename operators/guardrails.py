"""Guardrails: what was done in a span of time, and whether one more may be done. Pure, in event time.

What was done counts while less than `within` has passed since; at the very end of the span it counts no more. What is
judged here is what was *decided to be done*: an action counts from its decision on, whatever comes of it at its target,
unless its case is told that it was refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import chain
from typing import Any

import msgspec

from config.clock import TIME_MAX, to_text
from config.duration import format_duration
from config.money import MONEY_SCALE
from config.policies.guardrails import Freeze, Guardrail, Guardrails, Limit, Then

ACTS_MAX = 256
"""Actions for one customer that are remembered."""


class Act(msgspec.Struct, array_like=True):
    """What was decided to be done for a customer."""

    at: int
    action_id: str
    remedy: str
    money: int
    """That it moves at the most, in millionths."""
    until: int = 0
    """Until then it is under way; 0 once it was told that it is over."""


class Held(msgspec.Struct, frozen=True):
    """A guardrail that holds an action back."""

    guardrail: str
    owner: str
    """Who may change it, and consents where it may be overruled."""
    then: Then
    why: str
    """A sentence."""
    limit: float
    """Actions, or money in currency units."""
    spent: float
    asked: float
    free_at: int | None
    """When it would let just this pass if nothing else is done, microseconds; None for never."""


def said_of(held: Sequence[Held]) -> list[dict[str, Any]]:
    """Return the data that records tell of guardrails that hold back."""
    return [{name: value for name, value in msgspec.to_builtins(each).items() if name != "why"} for each in held]


def free_at(held: Sequence[Held]) -> int | None:
    """Return when all that holds back will be over; None where nothing does, or one of it never will."""
    times = [each.free_at for each in held]
    known = [at for at in times if at is not None]
    return max(known) if known and len(known) == len(times) else None


def judge(guardrails: Guardrails, remedy: str, money: int, acts: Sequence[Act] | None, now: int) -> list[Held]:
    """Return what holds back one more action, of the guardrails that are kept where it is decided.

    Args:
        guardrails: Of the policy in force.
        remedy: What is to be done.
        money: That it moves at the most, in millionths.
        acts: What was done for the customer, oldest first; None for what is done for no customer.
        now: Event time, microseconds.
    """
    found = [_frozen(freeze, until) for freeze in guardrails.freezes
             if remedy in freeze.remedies and (until := freeze.until(now)) is not None]  # fmt: skip
    if acts is not None:
        found += _judge_customer(guardrails, remedy, money, acts, now)
    return found


def _judge_customer(guardrails: Guardrails, remedy: str, money: int, acts: Sequence[Act], now: int) -> Iterator[Held]:
    if len(acts) >= ACTS_MAX:
        # What is not remembered cannot be looked at, and must not be taken for nothing.
        limits = (limit for limit in guardrails.limits if limit.per == "customer")
        kept = chain(limits, guardrails.sequences, guardrails.turns)
        yield from (_full(guardrail) for guardrail in kept if remedy in guardrail.remedies)
        return
    for limit in guardrails.limits:
        if limit.per == "customer" and remedy in limit.remedies:
            spent = [(act.at, limit.asks(act.money)) for act in acts if act.remedy in limit.remedies]
            held = judge_limit(limit, limit.most, spent, limit.asks(money), now)
            if held is not None:
                yield held
    for sequence in guardrails.sequences:
        done_at = max((act.at for act in acts if act.remedy in sequence.after), default=now - sequence.within)
        if remedy in sequence.remedies and done_at + sequence.within > now:
            yield held_by(
                sequence,
                done_at + sequence.within,
                f"something that it must not follow on was done at {to_text(done_at)}",
            )
    for turn in guardrails.turns:
        under_way = [act for act in acts if act.remedy in turn.remedies and act.until > now]
        if remedy in turn.remedies and under_way:
            last = max(under_way, key=lambda act: (act.until, act.action_id))
            yield held_by(turn, last.until, f"the remedy {last.remedy} for this customer is still being carried out")


def _frozen(freeze: Freeze, until: int) -> Held:
    free_at = None if until == TIME_MAX else until
    return held_by(freeze, free_at, "nothing of the kind is done now")


def held_by(guardrail: Guardrail, free_at: int | None, why: str) -> Held:
    """Return that a guardrail holds back, but for amounts.

    Args:
        guardrail: The guardrail.
        free_at: When it would let just this pass, None for never.
        why: The middle of a sentence.
    """
    until = "" if free_at is None else f", until {to_text(free_at)}"
    said = f"Guardrail {guardrail.name}: {why}{until}; {guardrail.may_change}."
    return Held(guardrail.name, guardrail.owner, guardrail.then, said, 0, 0, 1, free_at)


def _full(guardrail: Guardrail) -> Held:
    full = f"{ACTS_MAX} actions for this customer are remembered, and no more"
    return msgspec.structs.replace(held_by(guardrail, None, full), limit=ACTS_MAX, spent=ACTS_MAX)


def judge_limit(limit: Limit, most: int, spent: Sequence[tuple[int, int]], asked: int, now: int) -> Held | None:
    """Return what holds back one more action, None where the limit bears it.

    Args:
        limit: The limit.
        most: What it comes to now.
        spent: (when, how much), oldest first; what is past is passed over.
        asked: What the action takes.
        now: Event time, microseconds.
    """
    if asked == 0:
        return None
    within = [(at, amount) for at, amount in spent if at + limit.within > now]
    total = sum(amount for _, amount in within)
    if total + asked <= most:
        return None
    left, free_at = total, None
    for at, amount in within:
        left -= amount
        if left + asked <= most:
            free_at = at + limit.within
            break
    return beyond(limit, most, total, asked, free_at)


def beyond(limit: Limit, most: int, spent: int, asked: int, free_at: int | None) -> Held:
    """Return that a limit does not bear what is asked of it: actions, customers, or millionths of money."""
    scale = MONEY_SCALE if limit.counts == "money" else 1
    held = Held(limit.name, limit.owner, limit.then, "", most / scale, spent / scale, asked / scale, free_at)
    return msgspec.structs.replace(held, why=_said(limit, held))


def _said(limit: Limit, held: Held) -> str:
    digits = 2 if limit.counts == "money" else 0
    most, spent, asked = (f"{number:.{digits}f}" for number in (held.limit, held.spent, held.asked))
    whose = {"customer": "this customer", "cause": "this cause", "all": "all customers"}[limit.per]
    within = format_duration(timedelta(microseconds=limit.within))
    until = "" if held.free_at is None else f" until {to_text(held.free_at)}"
    return (
        f"Guardrail {limit.name}: {spent} of {most} {limit.counts} within {within} are spent for {whose}, and this "
        f"takes {asked}, too much{until}; {limit.may_change}."
    )


def prune(acts: Sequence[Act], memory: int, now: int) -> list[Act]:
    """Return the acts that are under way or still count, or may count by another version of the policy."""
    return [act for act in acts if act.at + memory > now or act.until > now]


def note_end(acts: list[Act], action_id: str, state: str, until: int) -> list[Act]:
    """Return the acts after one was told of: one that was refused was not done.

    Args:
        acts: Before.
        action_id: What was told of.
        state: Of it.
        until: Until when it is under way, microseconds; 0 where it is over.
    """
    return [
        msgspec.structs.replace(act, until=until) if act.action_id == action_id else act
        for act in acts
        if (act.action_id, "refused") != (action_id, state)
    ]
