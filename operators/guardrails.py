"""Guardrails: what was done in a span of time, and whether one more may be done. Pure, in event time.

What was done counts while less than `within` has passed since; at the very end of the span it counts no more. What is
judged here is what was *decided to be done*: an action counts from its decision on, whatever comes of it at its target,
unless its case is told that it was refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from config.clock import to_text
from config.duration import format_duration
from config.money import MONEY_SCALE
from config.policies.guardrails import Guardrails, Limit, Then

ACTS_MAX = 256
"""Actions for one customer that are remembered."""


class Act(msgspec.Struct, array_like=True):
    """What was decided to be done for a customer."""

    at: int
    action_id: str
    remedy: str
    money: int
    """That it moves at the most, in millionths."""


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


def judge_customer(guardrails: Guardrails, remedy: str, money: int, acts: Sequence[Act], now: int) -> list[Held]:
    """Return what holds back one more action for a customer.

    Args:
        guardrails: Of the policy in force.
        remedy: What is to be done.
        money: That it moves at the most, in millionths.
        acts: What was done for the customer, oldest first.
        now: Event time, microseconds.
    """
    found = []
    for limit in guardrails.of_customer(remedy):
        if len(acts) >= ACTS_MAX:
            # What is not remembered cannot be counted, and must not be taken for nothing.
            found.append(_full(limit))
            continue
        spent = [(act.at, limit.asks(act.money)) for act in acts if act.remedy in limit.remedies]
        held = judge_limit(limit, limit.most, spent, limit.asks(money), now)
        if held is not None:
            found.append(held)
    return found


def _full(limit: Limit) -> Held:
    why = (
        f"Guardrail {limit.name}: {ACTS_MAX} actions for this customer are remembered, and no more; {limit.may_change}."
    )
    return Held(limit.name, limit.owner, limit.then, why, ACTS_MAX, ACTS_MAX, 1, None)


def judge_limit(limit: Limit, most: int, spent: Sequence[tuple[int, int]], asked: int, now: int) -> Held | None:
    """Return what holds back one more action, None where the limit bears it.

    Args:
        limit: The limit.
        most: What it comes to now.
        spent: (when, how much), oldest first; what is past is passed over.
        asked: What the action takes.
        now: Event time, microseconds.
    """
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
    scale = MONEY_SCALE if limit.counts == "money" else 1
    held = Held(limit.name, limit.owner, limit.then, "", most / scale, total / scale, asked / scale, free_at)
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


def prune(acts: list[Act], memory: int, now: int) -> list[Act]:
    """Return the acts that still count, or may count by another version of the policy."""
    return [act for act in acts if act.at + memory > now]
