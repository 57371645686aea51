"""Escalation: who else is told while a request waits for an answer, and how often at the most. Pure.

A ladder has rungs; each is climbed once per case, however often its request comes and goes (no flapping), and before
the request expires: where the time is short, the rungs that are left share it evenly. How often a role is told on a
day is bounded by a budget. Beyond it the role may answer all the same, but is not told of each.

The budget is kept by key group of the case stage, each of which has its share: groups are fixed for the life of a job,
so the shares add up to the budget whatever the number of workers. What does not divide evenly goes round by day.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from config.clock import DAY
from config.policies.approvals import Rung


class Told(msgspec.Struct, array_like=True):
    """How often a role was told on one day."""

    day: int
    times: int = 0


def climb(
    ladder: Sequence[Rung], climbed: int, since: int, now: int, expires_at: int
) -> tuple[list[str], list[tuple[int, str]]]:
    """Return the roles of the rungs that were climbed before, and (when, role) of those that are left.

    Args:
        ladder: All rungs, in order.
        climbed: How many of them were.
        since: When the question was first put, microseconds.
        now: When it is put now.
        expires_at: When it will be over.
    """
    left = ladder[climbed:]
    apart = (expires_at - now) // (len(left) + 1)
    due = [
        (max(min(since + rung.after, now + apart * position), now), rung.to)
        for position, rung in enumerate(left, start=1)
    ]
    return [rung.to for rung in ladder[:climbed]], due


def share_of(budget: int, groups: int, group: int, now: int) -> int:
    """Return what a key group may spend of a daily budget on the day of `now`."""
    each, rest = divmod(budget, groups)
    return each + ((group + now // DAY) % groups < rest)


def may_tell(told: dict[str, Told], role: str, now: int, most: int) -> bool:
    """Return whether a role may be told once more today, and note that it is in `told` (by role)."""
    day = now // DAY
    today = told.get(role)
    if today is None or today.day != day:
        today = told[role] = Told(day)
    if today.times >= most:
        return False
    today.times += 1
    return True
