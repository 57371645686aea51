"""Partials and panes: the mergeable aggregate of one series over one span of event time.

A *series* is (key, event type, metric). A source makes a `Partial` per series and pane from each batch; the stage adds
them to the `Pane`. Everything in them is exact and commutative — integers in the contract's scale, counts, extremes —
so a pane does not depend on how the input was cut into batches or in which order they came.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache

import msgspec

from config.clock import TIME_MIN
from config.identity import short_hash
from operators.sketch import quantile

TOUCHED_MAX = 200
"""Customers with a failed record that a pane remembers: those with the smallest hashes, which merging keeps exact."""

hash_customer = lru_cache(maxsize=65_536)(short_hash)


def pack(number: int) -> bytes:
    """Return an integer of any size as bytes: MessagePack's integers end at 64 bits, sums of squares do not."""
    return number.to_bytes((number.bit_length() + 8) // 8, "little", signed=True)


def unpack(packed: bytes) -> int:
    """Return the integer that `pack` packed."""
    return int.from_bytes(packed, "little", signed=True)


def smallest(touched: dict[str, int]) -> dict[str, int]:
    """Return the `TOUCHED_MAX` customers with the smallest (hash, id); hashes by customer."""
    if len(touched) <= TOUCHED_MAX:
        return touched
    return dict(sorted(touched.items(), key=lambda item: (item[1], item[0]))[:TOUCHED_MAX])


class Partial(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one batch of one channel holds of one series in one pane.

    Of a sampled batch each record counts as often as it stands for others: counts, sums and buckets are of all records
    as far as the sample tells. Extremes and the latest value are of those that were looked at.
    """

    key: str
    metric: str
    contract: str
    """`type@version`."""
    start: int
    """Start of the pane, µs since the epoch."""
    channel: str
    first: int
    """Least offset."""
    last: int
    """Greatest offset."""
    count: int
    failures: int
    total: int
    """Sum of the values, in the contract's scale."""
    squares: int
    """Sum of their squares; exceeds 64 bits."""
    low: int
    high: int
    latest_at: int
    """Event time of the latest value; at equal times the greatest offset is the latest."""
    latest_offset: int
    latest_value: int
    buckets: dict[int, int]
    """Counts by log bucket (`operators/sketch.py`)."""
    touched: dict[str, int] = {}
    """Hashes by customer of failed records."""
    shed: int = 0
    """How many of `count` were not looked at: those that sampled records stand for beside themselves."""


class Pane(msgspec.Struct, array_like=True):
    """The merged partials of one series and pane. Of built-in values, MessagePack-able."""

    count: int = 0
    failures: int = 0
    low: int = 0
    high: int = 0
    total_packed: bytes = b""
    squares_packed: bytes = b""
    latest: tuple[int, str, int, int] = (TIME_MIN, "", 0, 0)
    """(event time, channel, offset, value) of the latest value, the order that decides which is."""
    buckets: dict[int, int] = {}
    spans: dict[str, tuple[int, int]] = {}
    """First and last offset by channel."""
    touched: dict[str, int] = {}
    contract: str = ""
    """Where a version changed within the pane, the greatest by text."""
    shed: int = 0
    """How many of `count` were not looked at, as far as a sample tells."""

    @classmethod
    def of(cls, partial: Partial) -> Pane:
        """Return the pane that holds `partial` alone: what adding it to an empty one gives, in a third of the time."""
        channel = partial.channel
        return cls(
            partial.count,
            partial.failures,
            partial.low,
            partial.high,
            pack(partial.total),
            pack(partial.squares),
            (partial.latest_at, channel, partial.latest_offset, partial.latest_value),
            dict(partial.buckets),
            {channel: (partial.first, partial.last)},
            dict(partial.touched),
            partial.contract,
            partial.shed,
        )

    def add(self, partial: Partial) -> None:
        """Merge `partial` in."""
        self._merge(partial.count, partial.failures, partial.low, partial.high, partial.total, partial.squares)
        latest = (partial.latest_at, partial.channel, partial.latest_offset, partial.latest_value)
        self._merge_rest(latest, partial.buckets, partial.touched, partial.contract)
        self._merge_span(partial.channel, partial.first, partial.last)
        self.shed += partial.shed

    def merge(self, other: Pane) -> None:
        """Merge `other` in; it stays as it is."""
        if other.count:
            self._merge(other.count, other.failures, other.low, other.high, other.total, other.squares)
            self._merge_rest(other.latest, other.buckets, other.touched, other.contract)
            for channel, (first, last) in other.spans.items():
                self._merge_span(channel, first, last)
            self.shed += other.shed

    def _merge(self, count: int, failures: int, low: int, high: int, total: int, squares: int) -> None:
        self.low = min(self.low, low) if self.count else low
        self.high = max(self.high, high) if self.count else high
        self.count += count
        self.failures += failures
        self.total_packed = pack(self.total + total)
        self.squares_packed = pack(self.squares + squares)

    def _merge_rest(
        self, latest: tuple[int, str, int, int], buckets: dict[int, int], touched: dict[str, int], contract: str
    ) -> None:
        self.latest = max(self.latest, latest)
        for index, count in buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + count
        if touched:
            self.touched = smallest(self.touched | touched)
        self.contract = max(self.contract, contract)

    def _merge_span(self, channel: str, first: int, last: int) -> None:
        known = self.spans.get(channel)
        self.spans[channel] = (min(known[0], first), max(known[1], last)) if known else (first, last)

    @property
    def seen(self) -> int:
        """How many records were looked at; `count` is how many there were."""
        return self.count - self.shed

    @property
    def quality(self) -> float:
        """Share of the records that were looked at, 0…1; 1 when there are none."""
        return self.seen / self.count if self.count else 1.0

    @property
    def total(self) -> int:
        """Exact sum of the values."""
        return unpack(self.total_packed)

    @property
    def squares(self) -> int:
        """Exact sum of the squares of the values."""
        return unpack(self.squares_packed)

    @property
    def mean(self) -> float:
        """Mean of the values. Raises ZeroDivisionError when there are none, as do the next two."""
        return self.total / self.count

    @property
    def variance(self) -> float:
        """Population variance, computed in integers and rounded once: no cancellation."""
        return (self.squares * self.count - self.total**2) / self.count**2

    @property
    def failure_rate(self) -> float:
        """Share of failed records, 0…1."""
        return self.failures / self.count

    def quantile(self, q: float) -> float:
        """Return the `q`-quantile, q in 0…1, to within `sketch.RELATIVE_ERROR`; the least and greatest are exact.

        Raises:
            ValueError: the pane is empty.
        """
        if self.count and q * self.count <= 1:
            return float(self.low)
        if self.count and q * self.count > self.count - 1:
            return float(self.high)
        return min(max(quantile(self.buckets, q), self.low), self.high)


Feature = Callable[[Pane, int], float]
"""Reads a pane or window that is not empty, given the integer that stands for 1 of its metric."""

_FEATURES: dict[str, Feature] = {
    "mean": lambda pane, unit: pane.total / (pane.count * unit),
    "failure_rate": lambda pane, unit: pane.failures / pane.count,
    "count": lambda pane, unit: float(pane.count),
    "deviation": lambda pane, unit: float(pane.variance**0.5) / unit,
    "low": lambda pane, unit: pane.low / unit,
    "high": lambda pane, unit: pane.high / unit,
    "latest": lambda pane, unit: pane.latest[3] / unit,
}


def is_feature(name: str) -> bool:
    """Tell whether `feature_of` knows `name`."""
    return name in _FEATURES or _is_percentile(name)


def _is_percentile(name: str) -> bool:
    return name.startswith("p") and name[1:].isdecimal() and int(name[1:]) <= 100


@cache
def feature_of(name: str) -> Feature:
    """Return what reads a named feature, in the metric's own unit.

    Args:
        name: `count`, `failure_rate`, `mean`, `deviation`, `low`, `high`, `latest`, or `p` and a percentage (`p95`).

    Raises:
        ValueError: no such feature.
    """
    if name in _FEATURES:
        return _FEATURES[name]
    if not _is_percentile(name):
        raise ValueError(f"{name!r} is not a feature of a pane")
    share = int(name[1:]) / 100
    return lambda pane, unit: pane.quantile(share) / unit


def feature(pane: Pane, name: str, unit: int) -> float:
    """Return the feature `name` of a pane or window: see `feature_of`."""
    return feature_of(name)(pane, unit)
