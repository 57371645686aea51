"""Several p-values of one question to a single one."""

from __future__ import annotations

from collections.abc import Sequence
from math import atan, log10, pi, tan
from typing import Literal

Rule = Literal["bonferroni", "cauchy"]
LEAST = 1e-300
GREATEST = 0.9
"""P-values near 1 count as this: each would outweigh a small one of another detector, and say no more than that this
one sees nothing."""


def combined(p_values: Sequence[float], rule: Rule) -> float:
    """Return one p-value for all.

    `bonferroni`, the least times their number, holds whatever the dependence. `cauchy` (Liu and Xie 2020,
    doi:10.1080/01621459.2018.1554485) holds closely for small p-values under most dependence, and finds more where
    several are small.
    """
    if rule == "bonferroni":
        return min(1.0, min(p_values) * len(p_values))
    total = sum(_cotangent(p_value) for p_value in p_values) / len(p_values)
    # Far out, 1/2 - atan(t) / π loses all digits; it is 1 / (π t) there.
    return 1 / (pi * total) if total > 1e8 else 0.5 - atan(total) / pi


def surprise(p_value: float) -> float:
    """Return orders of magnitude of a p-value below 1 in 2; below 0 for what is not even that rare."""
    return -log10(2 * max(p_value, LEAST))


def _cotangent(p_value: float) -> float:
    p = min(GREATEST, max(LEAST, p_value))
    return 1 / (pi * p) if p < 1e-8 else tan((0.5 - p) * pi)
