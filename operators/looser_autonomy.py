"""Whether a policy lets remedies go further by themselves than another: a level begins higher, is earned with less, or
is lost less soon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Literal

from config.policies.autonomy import LEVELS, Limit
from config.policies.bundle import Bundle

Sign = Literal[1, -1, 0]
"""Looser, tighter, or not to be told."""

_SIGNS: dict[str, Sign] = {
    "start": 1,
    "ceiling": 1,
    "verified_min": -1,
    "success_min": -1,
    "false_max": 1,
    "failures": 1,
    "failures_within": -1,
    "judged_from": 1,
    "quality_min": -1,
    "probation": -1,
    "anew_from": 0,
    "last": 0,
    "within": 0,
    "confidence": 0,
}
"""What more of each makes of a policy. More evidence that is looked at, or that has to be surer, makes it slower to
trust, and to distrust; to begin anew forgets what was lost, and what was earned."""


def differences(old: Bundle, new: Bundle, agents: Iterable[str]) -> Iterator[tuple[Sign, str]]:
    """Yield in what the sections `autonomy` differ, each with whether it makes `new` looser.

    Args:
        old: The policy of today.
        new: The one to come.
        agents: That there are.
    """
    before, after = old.autonomy, new.autonomy
    segments = [[(name, when.source) for name, when in each.segments] for each in (before, after)]
    if before.limits and after.limits and segments[0] != segments[1]:
        yield 0, "autonomy is earned for other segments of cases"
        return
    told: set[tuple[Sign, str]] = set()
    remedies = sorted({*old.remedies, *new.remedies})
    for agent, remedy, segment in product(agents, remedies, sorted(before.names | after.names)):
        for each in _of(before.limit(agent, remedy, segment), after.limit(agent, remedy, segment)):
            if each not in told:
                told.add(each)
                yield each[0], f"autonomy of {remedy} of {agent} (segment {segment}): {each[1]}"


def _of(old: Limit | None, new: Limit | None) -> Iterator[tuple[Sign, str]]:
    if old == new:
        return
    if old is None or new is None:
        yield (1, "nothing bounds it any more") if new is None else (-1, "it is bounded now")
        return
    for name, more in _SIGNS.items():
        was, will = getattr(old, name), getattr(new, name)
        if was != will:
            rises = LEVELS.index(will) > LEVELS.index(was) if name in ("start", "ceiling") else will > was
            sign: Sign = 0 if more == 0 else 1 if rises == (more == 1) else -1
            yield sign, f"{name} was {was}, and is {will}"
