"""Which events of a partition to believe: the guard against wild clocks.

One producer whose clock is a year ahead would move its partition's watermark a year, and every other record of it
would be late. So a jump ahead of more than `jump_max` is believed only when the records after it bear it out: it is
*held* until `CONFIRMATIONS` further records follow that would be plausible if it were true. If instead a record
returns to where the partition was, what was held is *wild*: quarantined, and the watermark never moved. A partition
that really was silent for long goes on after a few records, with nothing lost.

The verdicts depend on the partition's content alone, so a replay, cut anywhere, comes to the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

CONFIRMATIONS = 2
"""Further plausible records that make a jump believed: one could be a retry of the same wild clock."""


@dataclass
class Verdicts:
    """Positions in the judged sequence, each in exactly one list."""

    accepted: list[int] = field(default_factory=list)
    wild: list[int] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    """Not yet decided: to be judged again in front of the next records."""


def judge(times: Sequence[int], newest: int | None, lateness: int, jump_max: int, began: int | None = None) -> Verdicts:
    """Judge consecutive event times of one partition.

    Args:
        times: Event times in offset order, those still held from before in front.
        newest: The newest accepted event time so far; None when the partition has not spoken.
        lateness: The partition's lateness bound, microseconds.
        jump_max: How far ahead of the newest a single record is believed, microseconds.
        began: What stands for the newest until a record is accepted; None to believe the first one.
    """
    verdicts = Verdicts()
    held: list[int] = []
    for position, at in enumerate(times):
        known = began if newest is None else newest
        plausible = known is None or at <= known + jump_max
        if plausible:
            verdicts.wild += held
            held = []
            verdicts.accepted.append(position)
            newest = at if newest is None else max(newest, at)
        elif not held:
            held = [position]
        elif at > times[held[0]] + jump_max:
            # Ahead even of the jump in question: the less likely of the two.
            verdicts.wild.append(position)
        elif at < times[held[0]] - lateness:
            # A smaller jump: the larger one is not borne out, this one may be.
            verdicts.wild += held
            held = [position]
        else:
            held.append(position)
            if len(held) > CONFIRMATIONS:
                verdicts.accepted += held
                newest = max(times[p] for p in held)
                held = []
    verdicts.held = held
    return verdicts
