"""Log buckets: quantiles of any distribution to 1 %, from counts that merge exactly.

The idea is DDSketch's (Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
guarantees", VLDB 2019): buckets whose bounds grow by a constant ratio. Here the bounds are integers made by integer
arithmetic, not powers from `log`, so a value falls into the same bucket on every machine and library version, and
whole numbers below 50 have a bucket each. Negative values mirror the positive ones; zero is bucket 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from math import ceil

import polars as pl

RELATIVE_ERROR = 0.01
"""Bound of |estimate - value| / |value| for every quantile."""
_LARGEST = 2**63 - 1


def _bucket_lows() -> list[int]:
    """Return the least value of each bucket: a bucket ends at 101/99 of where it begins."""
    lows, low = [], 1
    while low <= _LARGEST:
        lows.append(low)
        low = low * 101 // 99 + 1
    return lows


_LOWS = _bucket_lows()
_LOWS_COLUMN = pl.Series(_LOWS, dtype=pl.Int64)


def bucket(value: int) -> int:
    """Return the bucket of a 64-bit `value`: 0 for 0, positive for positive, negative for negative values."""
    index = bisect_right(_LOWS, min(abs(value), _LARGEST))
    return index if value >= 0 else -index


def bucket_column(values: pl.Series) -> pl.Series:
    """Return the bucket of each of `values` (Int64) as Int16, equal to `bucket` of each."""
    magnitude = values.clip(lower_bound=-_LARGEST).abs()
    return (_LOWS_COLUMN.search_sorted(magnitude, side="right").cast(pl.Int16) * values.sign().cast(pl.Int16)).rename(
        "bucket"
    )


def estimate(index: int) -> float:
    """Return the value that stands for bucket `index`, within `RELATIVE_ERROR` of each value in it."""
    if index == 0:
        return 0.0
    position = abs(index) - 1
    low = _LOWS[position]
    high = _LOWS[position + 1] - 1 if position + 1 < len(_LOWS) else _LARGEST
    middle = 2 * low * high / (low + high)
    return middle if index > 0 else -middle


def quantile(buckets: Mapping[int, int], q: float) -> float:
    """Return the `q`-quantile (nearest rank: the ceil(q·n)-th smallest value) to within `RELATIVE_ERROR`.

    Args:
        buckets: Counts by bucket.
        q: 0…1.

    Raises:
        ValueError: there is nothing in `buckets`, or `q` is out of range.
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"quantile {q} is not within 0…1")
    if not buckets:
        raise ValueError("a quantile of nothing")
    rank = max(1, ceil(q * sum(buckets.values())))
    for index in sorted(buckets):
        rank -= buckets[index]
        if rank <= 0:
            break
    return estimate(index)
