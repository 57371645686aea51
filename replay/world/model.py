"""What the simulated world consists of: its size, its clock, its seasons, its people and things.

Everything is drawn from `draws(seed, what, …)`, so that each part has its own stream of chance: adding a draw to one
part leaves the others as they were, and any slice of time can be made without making the slices before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from zlib import crc32

import numpy as np
import numpy.typing as npt

from config.clock import DAY, HOUR, MINUTE, SECOND, to_micros
from config.errors import UsageError
from replay.world.scenario import PLAIN, Mix, Scenario, Season

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SINCE = to_micros(datetime(2026, 3, 2, tzinfo=UTC))
"""The world begins on a Monday at midnight, UTC."""

MILLISECOND = 1_000

EVENTS_MIN = 2_000
EVENTS_PER_DAY_MIN = 100
DAYS_MIN, DAYS_MAX = 7, 366
EVENTS_PER_ORDER = 6.9
"""Business events an order brings about, on average, over the horizon; measured, used only to size the world."""

PARTITIONS = {"orders": 3, "crm": 2, "telemetry": 4}

STATES = ("NW", "BY", "BE", "HH", "SN")
CUSTOMER_SHARE = (0.34, 0.26, 0.18, 0.13, 0.09)
SELLER_SHARE = (0.5, 0.3, 0.2)
TRANSIT_HOURS = ((22.0, 34.0, 32.0, 28.0, 38.0), (34.0, 20.0, 38.0, 42.0, 30.0), (32.0, 38.0, 18.0, 26.0, 24.0))
"""Median hours on the road, by seller state (of the first three) and customer state."""
CATEGORIES = ("books", "kitchen", "garden", "toys", "sports", "beauty", "office", "audio")


@dataclass(frozen=True)
class Service:
    """A service of the shop, as it is when it is well."""

    name: str
    routes: tuple[str, str, str]
    traffic: float
    """Its share of the requests, relative to the others."""
    latency_s: float
    """Median duration of a request."""


SERVICES = (
    Service("gateway", ("/", "/account", "/track"), 5.0, 0.045),
    Service("checkout", ("/basket", "/checkout", "/address"), 3.0, 0.12),
    Service("payment", ("/authorise", "/capture", "/methods"), 2.0, 0.21),
    Service("catalogue", ("/items", "/prices", "/pictures"), 4.0, 0.035),
    Service("search", ("/find", "/suggest", "/filters"), 4.0, 0.06),
    Service("stock", ("/levels", "/reserve", "/warehouses"), 2.0, 0.03),
    Service("shipping", ("/quote", "/label", "/pickup"), 1.5, 0.15),
    Service("profile", ("/sign-in", "/settings", "/orders"), 2.5, 0.05),
)


def draws(seed: int, what: str, index: int = 0) -> np.random.Generator:
    """Return the stream of chance of one part of the world, independent of all others."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, crc32(what.encode()), index])))


def pick(rng: np.random.Generator, shares: npt.ArrayLike, size: int) -> Ints:
    """Return `size` indices into `shares`, drawn in proportion to them."""
    edges = np.cumsum(np.asarray(shares, dtype=np.float64))
    found: Ints = np.searchsorted(edges, rng.random(size) * edges[-1], side="right").astype(np.int64)
    return found


def spread(rng: np.random.Generator, median: npt.ArrayLike, sigma: float, size: int) -> Floats:
    """Return `size` log-normal numbers round `median`; `sigma` is the standard deviation of their logarithm."""
    return np.asarray(median, dtype=np.float64) * np.exp(sigma * rng.standard_normal(size))


def season(at: Ints, season: Season = PLAIN.season) -> Floats:
    """Return how busy the shop is at each instant (µs): 1 on average, evenings high, nights and weekends low."""
    hour, day = (at - SINCE) / HOUR, (at - SINCE) // DAY
    daily, weekly = min(season.daily, 1.3), min(season.weekly, 4.0)
    of_day = 1 + daily * 0.55 * np.sin((hour - 10.5) * np.pi / 12) + daily * 0.2 * np.sin((hour - 7) * np.pi / 6)
    busy = np.where(day % 7 >= 5, 0.75, 1.1) if weekly == 1 else 1 + weekly * np.where(day % 7 >= 5, -0.25, 0.1)
    busy = np.where(np.isin(day, season.holidays), 0.5 * busy, busy) if season.holidays else busy
    result: Floats = busy * of_day
    return result


@dataclass(frozen=True)
class Spec:
    """What world to make. The same spec makes the same bytes."""

    seed: int
    events: int
    """Records in the recording, duplicates and malformed ones included."""
    days: int
    mix: Mix = "full"
    """`full`: orders, CRM and telemetry; `telemetry`: only requests, measurements and lanes."""
    scenario: Scenario = PLAIN
    """What goes wrong in it, and how often."""

    def __post_init__(self) -> None:
        if not DAYS_MIN <= self.days <= DAYS_MAX:
            raise UsageError(
                f"A world of {self.days} days cannot be made.", remedy=f"Ask for {DAYS_MIN} to {DAYS_MAX} days."
            )
        least = max(EVENTS_MIN, EVENTS_PER_DAY_MIN * self.days)
        if self.events < least:
            raise UsageError(
                f"A world of {self.days} days and {self.events:,} events is too thin to hold an issue.",
                remedy=f"Ask for at least {least:,} events, or for fewer days.",
            )
        if self.seed < 0:
            raise UsageError(f"The seed {self.seed} is negative.", remedy="Take a seed of 0 or more.")

    @property
    def until(self) -> int:
        """The end of the world (exclusive), µs."""
        return SINCE + self.days * DAY

    @property
    def measured_since(self) -> int:
        """Since when services are measured, µs: of what came before, no telemetry was kept."""
        kept = self.scenario.telemetry_days
        return SINCE if kept is None else max(SINCE, self.until - kept * DAY)

    @property
    def measured_days(self) -> int:
        """How long services are measured."""
        return (self.until - self.measured_since) // DAY

    @cached_property
    def orders(self) -> int:
        """How many orders are placed. In a telemetry mix they are felt only in the lanes."""
        share = self.scenario.business_share if self.mix == "full" else 0.02
        return max(20, round(self.events * share / EVENTS_PER_ORDER))

    @property
    def customers(self) -> int:
        """How many customers the shop has."""
        return max(40, int(self.orders * 0.6))

    @property
    def sellers(self) -> int:
        """How many sellers offer on it."""
        return min(400, max(12, self.orders // 40))

    @property
    def services(self) -> tuple[Service, ...]:
        """The services it runs on."""
        return SERVICES if self.events >= 200_000 else SERVICES[:3]

    @property
    def stocked(self) -> int:
        """How many products have their stock measured."""
        return min(20, self.events // 2_500 + 1)

    @cached_property
    def slices(self) -> list[tuple[int, int]]:
        """The slices of time the world is made in, so that each holds some ten thousand events: [(since, until)] in µs.

        Each lies within one day. Memory is bounded by the busiest one.
        """
        per_day = self.events / self.measured_days
        count = next((n for n in (1, 2, 4, 8, 24, 96, 288) if per_day / n <= 40_000), 1440)
        length = DAY // count
        return [(at, at + length) for at in range(SINCE, self.until, length)]

    @cached_property
    def measure_every(self) -> int:
        """Interval of the services' measurements, µs: as short as leaves room for the requests."""
        room = 0.75 * self.events * (1 - self.scenario.business_share)
        each = len(self.services) + 1
        spans = (MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR)
        return next((s for s in spans if self.measured_days * DAY // s * each <= room), 2 * HOUR)


PRODUCTS_PER_SELLER = 4
LANES = len(SELLER_SHARE) * len(STATES)


def usual_days(events: int) -> int:
    """Return how long a world of so many events should be, so that its services are measured every minute or two."""
    return min(21, max(10, events // 9_000))


def spec_of(
    scenario: Scenario, seed: int, events: int | None = None, days: int | None = None, mix: Mix | None = None
) -> Spec:
    """Return the world of a scenario; what is not given is as the scenario has it.

    Raises:
        UsageError: Nobody says how many events it has, or such a world cannot be.
    """
    events = events or scenario.events
    if events is None:
        raise UsageError(
            "Nobody says how many records the world shall have.",
            remedy="Give --events, or a scenario that says `events`.",
        )
    return Spec(seed, events, days or scenario.days or usual_days(events), mix or scenario.mix, scenario)


class Fleet:
    """The customers, sellers, products and lanes of a world, as columns by index."""

    def __init__(self, spec: Spec) -> None:
        rng = draws(spec.seed, "fleet")
        self.customer_state = pick(rng, CUSTOMER_SHARE, spec.customers)
        self.seller_state = pick(rng, SELLER_SHARE, spec.sellers)
        self.seller_share = 1 / (np.arange(spec.sellers) + 3.0)
        """Few sellers sell much, many sell little."""
        self.products = spec.sellers * PRODUCTS_PER_SELLER
        self.product_seller = np.arange(self.products) // PRODUCTS_PER_SELLER
        self.product_cents = np.maximum(299, spread(rng, 3_900, 0.8, self.products)).astype(np.int64)
        self.product_freight = 490 + self.product_cents // 40
        self.product_category = rng.integers(0, len(CATEGORIES), self.products)
        self.transit_hours = np.asarray(TRANSIT_HOURS)


def lane_name(lane: int) -> str:
    """Return the name of a lane: seller state, then customer state."""
    return f"{STATES[lane // len(STATES)]}-{STATES[lane % len(STATES)]}"


def cut(at: int, step: int = SECOND) -> int:
    """Return `at` cut to whole steps."""
    return at - at % step
