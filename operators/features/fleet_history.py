"""The view `fleet_history`: what happened lately to orders like this one (`config/features/fleet_history.yaml`).

Each entity — a seller, a lane, a category, all orders — has one record of counts that fade by half every so often. A
rate of few is drawn towards the rate of all: `(hits + strength * rate of all) / (count + strength)`, the mean of a Beta
posterior. What customers say of a seller is looked at more closely (`seller_voices`). The number of entities is
bounded: the longest silent go first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from config.clock import DAY
from operators.features.order_progress import Row
from operators.features.seller_voices import Told, Voices, rate_of_seller

VIEW = "fleet_history"
ALL = "all"

HALF_LIVES = {ALL: 30 * DAY, "seller": 120 * DAY, "lane": 45 * DAY, "category": 180 * DAY}
"""µs in which a count fades by half, by what an entity is: lanes change with the season, sellers' habits less."""

COMPLAINED, COMPLAINED_ON_TIME, LATE, SHIPPED_LATE = range(4)
"""The shares that are counted."""
START = (0.14, 0.09, 0.08, 0.12)
"""Their values before anything was counted: of a marketplace; a few hundred orders outweigh them."""
START_STRENGTH = 50.0
"""By so many orders."""
STRENGTH = {"seller": (8.0, 8.0, 6.0, 5.0), "lane": (30.0, 30.0, 15.0, 15.0), "category": (20.0, 20.0, 20.0, 20.0)}
"""Orders that the rate of all counts for, in an entity's rate."""
TRANSIT_START, TRANSIT_STRENGTH = 10.0, 5.0
"""Days on a lane of which nothing is known, and how many shipments that guess counts for."""


class Counts(msgspec.Struct, array_like=True, gc=False):
    """What was counted of one entity; as of `at`."""

    at: int
    counts: list[float]
    """Hits and trials in turn, of each share; then days in transit and shipments."""
    voices: Voices | None = None
    """Of a seller: who complained, and of what."""


class Answered(Protocol):
    """An order that its customer answered for."""

    customer: str
    sellers: list[str]
    category: str
    products: list[str]


class History(msgspec.Struct, array_like=True):
    """The records of all entities."""

    entities: dict[str, Counts] = {}
    """By `seller:…`, `lane:…`, `category:…`, or `ALL`."""

    def count(self, names: Iterable[str], share: int, hit: bool, at: int) -> None:
        """Count one trial of `share` for all orders and each entity of `names`."""
        for name in (ALL, *names):
            counts = self._faded(name, at).counts
            counts[2 * share] += hit
            counts[2 * share + 1] += 1.0

    def answer(self, order: Answered, complaint: bool, in_time: bool, at: int) -> None:
        """Count what the customer of an order said of it.

        One customer is one voice: of a seller, who complains again is not counted again.
        """
        shares = (COMPLAINED, COMPLAINED_ON_TIME) if in_time else (COMPLAINED,)
        for share in shares:
            self.count([order.category] if order.category else [], share, complaint, at)
        for name in order.sellers:
            record = self._faded(name, at)
            if record.voices is None:
                record.voices = Voices()
            if not record.voices.hear(order.customer, order.products, shares, complaint):
                continue
            for share in shares:
                record.counts[2 * share] += complaint
                record.counts[2 * share + 1] += 1.0

    def transit(self, lanes: Iterable[str], days: float, at: int) -> None:
        """Take note of a shipment's days in transit."""
        for name in lanes:
            counts = self._faded(name, at).counts
            counts[-2] += days
            counts[-1] += 1.0

    def bound(self, most: int) -> None:
        """Forget the longest silent entities when there are more than `most`, a tenth at once."""
        if len(self.entities) > most:
            ranked = sorted(self.entities.items(), key=lambda item: (item[1].at, item[0]))
            for name, _ in ranked[: len(ranked) - most + most // 10]:
                del self.entities[name]

    def _faded(self, name: str, at: int) -> Counts:
        record = self.entities.get(name)
        if record is None:
            record = self.entities[name] = Counts(at, [0.0] * (2 * len(START) + 2))
        elif at > record.at:
            factor = _left(name, at - record.at)
            record.counts = [count * factor for count in record.counts]
            if record.voices is not None:
                record.voices.fade(factor)
            record.at = at
        return record

    def read(self, name: str, at: int) -> Sequence[float]:
        """Return the counts of an entity as they have faded by `at`; of one never heard of, zeros."""
        record = self.entities.get(name)
        if record is None:
            return [0.0] * (2 * len(START) + 2)
        factor = _left(name, at - record.at)
        return [count * factor for count in record.counts]


def fleet_history(
    history: History,
    sellers: Sequence[str],
    lanes: Sequence[str],
    category: str,
    now: int,
    products: Sequence[str] = (),
) -> Row:
    """Return the view at `now` of an order of these entities; see `order_progress` for the rounding."""
    everything = history.read(ALL, now)
    usual = [
        (everything[2 * share] + START[share] * START_STRENGTH) / (everything[2 * share + 1] + START_STRENGTH)
        for share in range(len(START))
    ]

    def worst(names: Sequence[str], share: int) -> float:
        found = []
        for name in names:
            counts, strength = history.read(name, now), STRENGTH[_kind(name)][share]
            found.append((counts[2 * share] + usual[share] * strength) / (counts[2 * share + 1] + strength))
        return max(found, default=usual[share])

    def worst_of_sellers(share: int) -> tuple[float, float]:
        found, strength = [], STRENGTH["seller"][share]
        for name in sellers:
            counts, record = history.read(name, now), history.entities.get(name)
            voices, left = (None, 1.0) if record is None else (record.voices, _left(name, now - record.at))
            told = Told(counts[2 * share], counts[2 * share + 1], voices, left)
            found.append(rate_of_seller(told, share, products, usual[share], strength))
        return max(found, default=(usual[share], 0.0))

    transits = []
    for name in lanes:
        counts = history.read(name, now)
        transits.append((counts[-2] + TRANSIT_START * TRANSIT_STRENGTH) / (counts[-1] + TRANSIT_STRENGTH))
    named = [category] if category else []
    complaints, bad = worst_of_sellers(COMPLAINED)
    on_time, bad_on_time = worst_of_sellers(COMPLAINED_ON_TIME)
    row = {
        "complaints": usual[COMPLAINED],
        "complaints_on_time": usual[COMPLAINED_ON_TIME],
        "late": usual[LATE],
        "seller_complaints": complaints,
        "seller_complaints_on_time": on_time,
        "seller_bad": bad,
        "seller_bad_on_time": bad_on_time,
        "seller_late": worst(sellers, LATE),
        "seller_ship_late": worst(sellers, SHIPPED_LATE),
        "lane_late": worst(lanes, LATE),
        "lane_transit_days": max(transits, default=TRANSIT_START),
        "category_complaints": worst(named, COMPLAINED),
        "category_complaints_on_time": worst(named, COMPLAINED_ON_TIME),
    }
    return {name: round(value, 4) for name, value in row.items()}


def _kind(name: str) -> str:
    return name.partition(":")[0]


def _left(name: str, span: int) -> float:
    half_life = HALF_LIVES[_kind(name)]
    return float(0.5 ** (max(span, 0) / half_life))
