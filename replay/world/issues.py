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


def plan(spec: Spec) -> Plan:
    """Return what goes wrong. The first quarter, at most four days, stays quiet: there the normal can be learned."""
    quiet = SINCE + min(4 * DAY, spec.days * DAY // 4)
    rng = draws(spec.seed, "plan")
    busy = np.argsort([-_lane_share(lane) for lane in range(LANES)])
    lanes = [
        SlowLane(int(busy[i % 3]), since, since + cut(int(rng.uniform(2.5, 4) * DAY), MINUTE))
        for i, since in enumerate(_starts(rng, quiet, spec.until - 7 * DAY, max(1, spec.days // 10)))
    ]
    backlogs = [
        Backlog(int(i % 5), since, since + cut(int(rng.uniform(4.5, 6) * DAY), MINUTE))
        for i, since in enumerate(_starts(rng, quiet - DAY, spec.until - 6 * DAY, max(1, spec.days // 10)))
    ]
    promotions = [
        Span(0, since, since + 4 * HOUR)
        for since in _starts(rng, SINCE + DAY, spec.until - DAY, max(1, spec.days // 7))
    ]
    blips = [
        Span(int(rng.integers(len(spec.services))), since, since + spec.measure_every)
        for since in _starts(rng, SINCE + DAY, spec.until - HOUR, max(2, spec.days // 2))
    ]
    return Plan(_outages(spec, quiet), lanes, backlogs, promotions, blips)


def _outages(spec: Spec, quiet: int) -> list[Outage]:
    rng = draws(spec.seed, "outages")
    traffic = np.asarray([s.traffic for s in spec.services])
    per_hour = 0.4 * spec.events / (spec.days * 24)
    made: list[Outage] = []
    for i, start in enumerate(_starts(rng, quiet, spec.until - 2 * DAY, max(2, spec.days // 4))):
        since = start - start % DAY + cut(int(rng.uniform(8, 19) * HOUR), MINUTE)
        failing = i % 2 == 1
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


def _starts(rng: np.random.Generator, since: int, until: int, count: int) -> list[int]:
    """Return `count` instants, one in each of as many equal parts of [since, until), at whole minutes."""
    until = max(until, since + DAY)
    length = (until - since) / count
    return [cut(int(since + (i + u) * length), MINUTE) for i, u in enumerate(rng.random(count) * 0.8)]


def _lane_share(lane: int) -> float:
    return SELLER_SHARE[lane // len(STATES)] * CUSTOMER_SHARE[lane % len(STATES)]
