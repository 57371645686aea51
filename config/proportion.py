"""How far a share that was counted may lie from the true one: the score interval.

Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927). Of the simple intervals
it keeps its promise best where counts are small or shares near 0 or 1 (Brown, Cai and DasGupta, Statistical Science
16 (2001)), and it needs neither a prior nor special functions.
"""

from __future__ import annotations

from functools import lru_cache
from math import sqrt
from statistics import NormalDist

DIGITS = 9
"""Bounds are rounded, so that the last digit of a logarithm or root does not decide."""


def wilson(hits: int, trials: int, confidence: float) -> tuple[float, float]:
    """Return the lower and the upper bound of the share of hits; (0, 1) where nothing was tried.

    Args:
        hits: Up to `trials`.
        trials: 0 or more.
        confidence: With which each of the bounds holds, by itself: above 0.5 and below 1.

    Raises:
        ValueError: there are more hits than trials, or fewer than none.
    """
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} hits of {trials} trials")
    if not trials:
        return 0.0, 1.0
    z = _z(confidence)
    share, spread = hits / trials, z * z / trials
    middle = share + spread / 2
    reach = z * sqrt((share * (1 - share) + spread / 4) / trials)
    low, high = (middle - reach) / (1 + spread), (middle + reach) / (1 + spread)
    return round(max(low, 0.0), DIGITS), round(min(high, 1.0), DIGITS)


@lru_cache(maxsize=64)
def _z(confidence: float) -> float:
    return NormalDist().inv_cdf(confidence)
