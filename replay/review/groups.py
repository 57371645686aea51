"""Puts like wrongs together, so that one story stands for many, and ranks them by how much there is to learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log, sqrt

from replay.review.wrong import Wrong

COMMON_MAX = 3
COUNT_MIN = 3
"""What fewer of a group share is not told as common to it."""
LIFT_MIN = 1.5
"""So many times as often as elsewhere …"""
DEVIATIONS_MIN = 3.0
"""… and so many standard deviations beyond what chance would bring."""


@dataclass(frozen=True)
class Common:
    """What stands out in a group."""

    name: str
    value: str
    count: int
    """Of the group."""
    elsewhere: float
    """Share of all that was judged, 0 to 1."""


@dataclass(frozen=True)
class Group:
    """Wrongs that are alike."""

    wrongs: list[Wrong]
    """The heaviest first."""
    common: list[Common]

    @property
    def first(self) -> Wrong:
        """The one that stands for all."""
        return self.wrongs[0]

    @property
    def weight(self) -> float:
        """How much there is to learn from all of them."""
        return sum(wrong.weight for wrong in self.wrongs)


def grouped(wrongs: Iterable[Wrong], everything: Iterable[Mapping[str, str]]) -> list[Group]:
    """Return the groups, the most instructive first.

    Args:
        wrongs: What was wrong.
        everything: Traits of all that was judged, right or wrong: what a group is compared with.
    """
    by_group: dict[tuple[str, str, str], list[Wrong]] = {}
    for wrong in wrongs:
        by_group.setdefault(wrong.group, []).append(wrong)
    usual: Counter[tuple[str, str]] = Counter()
    totals: Counter[str] = Counter()
    for traits in everything:
        usual.update(traits.items())
        totals.update(list(traits))
    groups = [Group(sorted(members, key=_heaviest), _common(members, usual, totals)) for members in by_group.values()]
    return sorted(groups, key=lambda group: (-round(group.weight, 9), group.first.group))


def _heaviest(wrong: Wrong) -> tuple[float, int, str]:
    return (-wrong.weight, wrong.at, wrong.entity)


def _common(members: list[Wrong], usual: Counter[tuple[str, str]], totals: Counter[str]) -> list[Common]:
    counts = Counter(trait for wrong in members for trait in wrong.traits.items())
    told = {members[0].kind, *members[0].like.split(", ")}  # What makes the group is no news about it.
    found: list[tuple[float, Common]] = []
    for (name, value), count in counts.items():
        elsewhere = usual[name, value] / totals[name] if totals[name] else 0.0
        if count < COUNT_MIN or not 0.0 < elsewhere < 1.0 or value in told:
            continue
        expected = len(members) * elsewhere
        lift, deviations = count / expected, (count - expected) / sqrt(expected * (1.0 - elsewhere))
        if lift >= LIFT_MIN and deviations >= DEVIATIONS_MIN:
            found.append((count * log(lift), Common(name, value, count, round(elsewhere, 4))))
    found.sort(key=lambda each: (-each[0], each[1].name, each[1].value))
    return [common for _, common in found[:COMMON_MAX]]
