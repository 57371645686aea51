"""Counts how many customers one cause hurts within a sliding span of event time, and how many are usual.

The count is of distinct customers and bounded: when more than `customers_max` would be remembered, only every second
one by hash is, then every fourth (adaptive sampling; Flajolet 1990), and the count is scaled up by as much.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from math import fsum

import msgspec

from config.clock import micros
from config.findings import Evidence, Finding
from config.identity import short_hash
from detectors.rates import poisson_tail
from operators.evidence import STANDS_ON

RECORDS_MAX = 20
"""Source records that a fan-in finding names as evidence."""
LOOKS = 5
"""A count is looked at with each customer; so many of these looks are as if independent."""
HISTORY = 10
"""Spans over which the usual count is averaged, the recent ones weighing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FanInSettings:
    """When many customers are too many."""

    window: timedelta
    """The sliding span."""
    customers_min: int
    """Fewer customers within the span are never a fleet trouble."""
    ratio: float = 3.0
    """So many times the usual count is unusual."""
    quiet_ratio: float = 1.5
    """It is quiet again below so many times the usual count, or half of `customers_min`."""
    history_min: int = 3
    """Spans to learn from before the usual count is known; until then `ratio * customers_min` is unusual."""
    customers_max: int = 512
    """Customers remembered; beyond, the count is an estimate (standard error about 5 %)."""


class Hurt(msgspec.Struct, array_like=True):
    """A customer hurt within the span."""

    at: int
    money: float
    record: tuple[str, int, int] | None
    """A source record of the latest finding."""
    kind: str = ""
    """Its kind."""


class FanIn(msgspec.Struct, array_like=True):
    """The count of one cause."""

    customers: dict[str, Hurt] = {}
    """Oldest first."""
    level: int = 0
    """One customer in 2^level is remembered."""
    usual: float = 0.0
    learned: int = 0
    """Spans the usual count was learned from."""
    span: int | None = None
    """Number of the span (event time divided by the window) that is under way."""

    def count(self, finding: Finding, settings: FanInSettings, now: int, *, learn: bool) -> None:
        """Count the customer of `finding`; learn from the spans that ended since, unless told not to."""
        window = micros(settings.window)
        span = now // window
        if self.span is not None and span > self.span:
            if learn:
                for ended in range(self.span + 1, min(span, self.span + HISTORY) + 1):
                    self._expire((ended - 1) * window - 1)  # Spans hold their first instant, not their end.
                    self.learned += 1
                    self.usual += (self.customers_count - self.usual) / min(self.learned, HISTORY)
            self.span = span
        elif self.span is None:
            self.span = span
        self.expire(settings, now)
        known = self.customers.pop(finding.customer, None)
        if known is None and not self._is_sampled(finding.customer):
            return
        money = max(finding.money_at_risk, known.money if known else 0.0)
        record = finding.evidence.records[-1] if finding.evidence.records else None
        self.customers[finding.customer] = Hurt(now, money, record, finding.kind)
        while len(self.customers) > settings.customers_max:
            self.level += 1
            self.customers = {name: hurt for name, hurt in self.customers.items() if self._is_sampled(name)}

    def expire(self, settings: FanInSettings, now: int) -> None:
        """Forget the customers last hurt before the span that ends `now`."""
        self._expire(now - micros(settings.window))

    def _expire(self, until: int) -> None:
        customers = self.customers
        while customers and (oldest := next(iter(customers.items())))[1].at <= until:
            del customers[oldest[0]]
        if not customers:
            self.level = 0

    def _is_sampled(self, customer: str) -> bool:
        return short_hash(customer) & ((1 << self.level) - 1) == 0

    @property
    def customers_count(self) -> int:
        """Distinct customers within the span; an estimate beyond `customers_max`."""
        return len(self.customers) << self.level

    @property
    def oldest(self) -> int:
        """When the customer was hurt whom the span leaves next."""
        return next(iter(self.customers.values())).at

    def threshold(self, settings: FanInSettings) -> float:
        """Return the count from which it is unusual."""
        if self.learned < settings.history_min:
            return settings.ratio * max(settings.customers_min, self.usual)
        return max(settings.customers_min, settings.ratio * self.usual)

    def is_unusual(self, settings: FanInSettings) -> bool:
        """Return whether more customers are hurt than can be usual."""
        return self.customers_count >= self.threshold(settings)

    def is_quiet(self, settings: FanInSettings) -> bool:
        """Return whether the count is back where it usually is."""
        return self.customers_count <= max(settings.customers_min / 2, settings.quiet_ratio * self.usual)

    def adopt(self) -> None:
        """Take the present count for the usual one."""
        self.usual = float(self.customers_count)

    @property
    def money(self) -> float:
        """Money at risk of the customers within the span."""
        return round(fsum(hurt.money for hurt in self.customers.values()) * (1 << self.level), 2)

    def confidence(self, settings: FanInSettings) -> float:
        """Return how sure it is that the usual rate alone did not bring so many customers.

        The tail of their number at that rate, which is known as well as spans were learned from, once for each of the
        `LOOKS` that the count is looked at within a span.
        """
        known = self.learned >= settings.history_min
        spans = min(self.learned, HISTORY) if known else 1
        usual = self.usual if known else max(settings.customers_min, self.usual)
        tail = poisson_tail(self.customers_count, max(usual * spans, 0.5), spans)
        return round(min(max(1.0 - LOOKS * tail, 0.5), 0.99), 4)

    def evidence(self, settings: FanInSettings) -> Evidence:
        """Return what a fan-in finding stands on."""
        records = [hurt.record for hurt in self.customers.values() if hurt.record is not None]
        kinds = Counter(hurt.kind for hurt in self.customers.values())
        features: dict[str, float | int | str | None] = {
            "customers": self.customers_count,
            "customers_usual": round(self.usual, 2),
            "window_hours": round(settings.window / timedelta(hours=1), 2),
            "sampling": 1 << self.level,
        }
        if kinds:
            features[STANDS_ON] = min(kinds, key=lambda kind: (-kinds[kind], kind))
        return Evidence(records=records[-RECORDS_MAX:], features=features)
