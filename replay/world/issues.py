"""What goes wrong in the world, and what only looks like it: outages, slow lanes, seller backlogs; decoys.

The plan is made before anything else, so that orders, telemetry and complaints all tell of the same trouble.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from config.clock import DAY, HOUR, MINUTE
from replay.world.model import (
    CUSTOMER_SHARE,
    LANES,
    SELLER_SHARE,
    SINCE,
    STATES,
    Floats,
    Ints,
    Spec,
    cut,
    draws,
)

HURT_MAX = 1_000
"""At most so many customers are hurt by one outage, so that labels stay small in a large world."""


@dataclass(frozen=True)
class Outage:
    """A service gets slow and fails; first a little, then so that customers notice."""

    service: int
    failing: bool
    """It fails outright, within half an hour; else it degrades over an hour or two."""
    since: int
    peak_at: int
    until: int
    hurt: list[int]
    """The customers whose requests suffer, in turn. The first of them complain."""
    complaints: list[tuple[int, int]]
    """(customer, when), after the peak was reached."""

    def level(self, at: Ints) -> Floats:
        """Return how bad it is at each instant: 0 well, rising to 1 at the peak, 0 again from `until`."""
        rise = np.clip((at - self.since) / (self.peak_at - self.since), 0.0, 1.0)
        return np.where(at < self.until, rise, 0.0)


@dataclass(frozen=True)
class SlowLane:
    """Whatever is on the road of a lane takes `factor` times as long."""

    lane: int
    since: int
    until: int
    factor: float = 5.0


@dataclass(frozen=True)
class Backlog:
    """A seller hands nothing over until it is worked off."""

    seller: int
    since: int
    until: int


@dataclass(frozen=True)
class Span:
    """A decoy: a span of time in which something harmless is out of the ordinary."""

    service: int
    since: int
    until: int


@dataclass(frozen=True)
class Plan:
    """All that will go wrong, and the decoys."""

    outages: list[Outage]
    lanes: list[SlowLane]
    backlogs: list[Backlog]
    promotions: list[Span]
    """Twice the traffic for some hours, and all is well."""
    blips: list[Span] = field(default_factory=list)
    """One slow measurement, gone with the next."""
    maintenance: list[Span] = field(default_factory=list)
    """A service measures nothing for half an hour at night, while another machine serves for it."""
    honest: list[SlowLane] = field(default_factory=list)
    """Lanes that take longer for orders placed in the span, to which more was promised."""


def plan(spec: Spec) -> Plan:
    """Return what goes wrong. The first quarter, at most four days, stays quiet: there the normal can be learned."""
    quiet = SINCE + min(4 * DAY, spec.days * DAY // 4)
    measured = spec.measured_since
    rng = draws(spec.seed, "plan")
    busy = np.argsort([-_lane_share(lane) for lane in range(LANES)])
    lanes = [
        SlowLane(int(busy[i % 3]), since, since + cut(int(rng.uniform(2.5, 4) * DAY), MINUTE), _factor(spec, i))
        for i, since in enumerate(
            starts(rng, quiet, spec.until - 7 * DAY, _count(spec, "order.promise_at_risk", max(1, spec.days // 10)))
        )
    ]
    backlogs = [
        Backlog(int(i % 5), since, since + cut(int(rng.uniform(4.5, 6) * DAY), MINUTE))
        for i, since in enumerate(
            starts(rng, quiet - DAY, spec.until - 6 * DAY, _count(spec, "seller.backlog", max(1, spec.days // 10)))
        )
    ]
    promotions = [
        Span(0, since, since + 4 * HOUR)
        for since in starts(
            rng, measured + DAY, spec.until - DAY, _count(spec, "promotion", max(1, spec.measured_days // 7))
        )
    ]
    blips = [
        Span(int(rng.integers(len(spec.services))), since, since + spec.measure_every)
        for since in starts(
            rng, measured + DAY, spec.until - HOUR, _count(spec, "blip", max(2, spec.measured_days // 2))
        )
    ]
    maintenance = [
        Span(i % len(spec.services), since - since % DAY + 3 * HOUR, since - since % DAY + 3 * HOUR + 30 * MINUTE)
        for i, since in enumerate(starts(rng, measured + DAY, spec.until - DAY, _count(spec, "maintenance", 0)))
    ]
    honest = [
        SlowLane(int(busy[3 + i % 2]), since, since + 10 * DAY, 2.0)
        for i, since in enumerate(starts(rng, quiet, spec.until - 10 * DAY, _count(spec, "honest_lane", 0)))
    ]
    first_outage = quiet if measured == SINCE else max(quiet, measured + 2 * DAY)
    return Plan(_outages(spec, first_outage), lanes, backlogs, promotions, blips, maintenance, honest)


def _factor(spec: Spec, number: int) -> float:
    """Return how many times as long a slow lane takes."""
    return float(draws(spec.seed, "slow lane", number).uniform(5, 10)) if spec.scenario.told else 5.0


def _count(spec: Spec, what: str, plain: int) -> int:
    """Return how often something of the fleet occurs; `plain` times in a plain world."""
    scenario = spec.scenario
    if not scenario.told:
        return plain
    rate = scenario.rate(what) or scenario.decoy(what)
    measured = what in ("promotion", "blip", "maintenance") or what.startswith("service.")
    return max(1, round(rate * (spec.measured_days if measured else spec.days) / 7)) if rate else 0


def _outage_kinds(spec: Spec) -> list[bool]:
    """Return for each outage whether it fails outright, in turn as long as there are both."""
    usual = max(2, spec.measured_days // 4)
    slow = _count(spec, "service.degraded", usual - usual // 2)
    failing = _count(spec, "service.failing", usual // 2)
    both = [i % 2 == 1 for i in range(2 * min(slow, failing))]
    return both + [failing > slow] * abs(slow - failing)


def _outages(spec: Spec, quiet: int) -> list[Outage]:
    rng = draws(spec.seed, "outages")
    traffic = np.asarray([s.traffic for s in spec.services])
    per_hour = 0.4 * spec.events / (spec.measured_days * 24)
    made: list[Outage] = []
    kinds = _outage_kinds(spec)
    for i, start in enumerate(starts(rng, quiet, spec.until - 2 * DAY, len(kinds))):
        since = start - start % DAY + cut(int(rng.uniform(8, 19) * HOUR), MINUTE)
        failing = kinds[i]
        service = 1 + i % (len(spec.services) - 1)
        rise = rng.uniform(20, 30) * MINUTE if failing else rng.uniform(60, 120) * MINUTE
        peak_at = since + cut(int(rise), MINUTE)
        until = peak_at + cut(int(rng.uniform(1.5, 3) * HOUR), MINUTE)
        seen = per_hour * traffic[service] / traffic.sum() * (until - since) / HOUR
        hurt = rng.permutation(spec.customers)[: int(np.clip(seen * 0.2, 3, HURT_MAX))].tolist()
        angry = hurt[: max(1, len(hurt) * 3 // 10)]
        delays = np.sort(rng.uniform(0.75, 30, len(angry)) * HOUR).astype(np.int64)
        complaints = [(c, peak_at + int(d)) for c, d in zip(angry, delays, strict=True)]
        made.append(Outage(service, failing, since, peak_at, until, hurt, complaints))
    return made


def starts(rng: np.random.Generator, since: int, until: int, count: int) -> list[int]:
    """Return `count` instants, one in each of as many equal parts of [since, until), at whole minutes."""
    until = max(until, since + DAY)
    length = (until - since) / max(1, count)
    return [cut(int(since + (i + u) * length), MINUTE) for i, u in enumerate(rng.random(count) * 0.8)]


def _lane_share(lane: int) -> float:
    return SELLER_SHARE[lane // len(STATES)] * CUSTOMER_SHARE[lane % len(STATES)]
