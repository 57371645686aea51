"""Quantiles of values that are at hand, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def nearest_rank(ordered: Sequence[T], percent: int) -> T:
    """Return the quantile by nearest rank: the smallest value that at least `percent` % of all do not exceed.

    Args:
        ordered: At least one value, in ascending order.
        percent: 1 to 100.
    """
    return ordered[-(-len(ordered) * percent // 100) - 1]
