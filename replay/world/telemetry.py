"""What the services and the warehouse report, slice by slice: requests, measurements, levels of stock."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl

from config.clock import DAY, HOUR, SECOND
from replay.world.issues import HURT_MAX, Outage, Plan, Span
from replay.world.model import (
    MILLISECOND,
    PARTITIONS,
    SINCE,
    Floats,
    Ints,
    Spec,
    draws,
    pick,
    season,
    spread,
)
from replay.world.orders import Orders
from replay.world.quirks import Quirks
from replay.world.text import Names, decimals, joined, numbers, records

DELAY_MAX = 5 * SECOND
"""Disorder: the broker gets a record at most so long after its event; the late ones apart."""
LATE_SHARE = 0.0002
STOCK_EVERY = 8 * HOUR
ECHO = 0.3
"""What of another service's outage is felt at the gateway."""


class Telemetry:
    """Makes the records of one slice of time after the other.

    Args:
        requests: How many `request.completed` the whole world has.
    """

    def __init__(self, spec: Spec, plan: Plan, names: Names, orders: Orders, requests: int) -> None:
        self._spec, self._plan, self._names, self._orders = spec, plan, names, orders
        self._noise, self._season = spec.scenario.noise, spec.scenario.season
        self._quirks = Quirks(spec, plan)
        self._latency = np.asarray([s.latency_s for s in spec.services])
        self._traffic = np.asarray([s.traffic for s in spec.services])
        self._routes = pl.Series([route for s in spec.services for route in s.routes])
        weight = np.cumsum([self._weights(*span)[1].sum() for span in spec.slices])
        self._quota = np.diff(np.floor(weight / weight[-1] * requests + 0.5).astype(np.int64), prepend=0)
        self.hurt: Counter[int] = Counter()
        """How many requests each outage has spoiled so far."""
        self.met: list[set[int]] = [set() for _ in plan.outages]
        """The customers that met each outage so far, at the service or at the gateway, whether they minded or not."""

    @staticmethod
    def grid(spec: Spec, plan: Plan) -> int:
        """Return how many measurements the whole world has, of services and of stock."""
        ticks = spec.measured_days * DAY // spec.measure_every
        stock = spec.stocked * (spec.days * DAY // STOCK_EVERY) if spec.mix == "full" else 0
        return ticks * (len(spec.services) + 1) + stock - Quirks(spec, plan).unmeasured

    def slice(self, number: int) -> list[pl.DataFrame]:
        """Return the records of the slice."""
        since, until = self._spec.slices[number]
        made = [self._requests(number, since, until), *self._measurements(number, since, until)]
        if self._spec.mix == "full":
            made.append(self._stock(number, since, until))
        return made

    def _weights(self, since: int, until: int) -> tuple[Ints, Floats]:
        """Return the edges of the hours in [since, until), and how many requests fall into each, relatively."""
        edges = np.append(np.arange(since, until, min(HOUR, until - since)), until)
        middle = (edges[1:] + edges[:-1]) // 2
        busy = season(middle, self._season) * (edges[1:] - edges[:-1]) * (middle >= self._spec.measured_since)
        for promotion in self._plan.promotions:
            busy = np.where((middle >= promotion.since) & (middle < promotion.until), busy * 2, busy)
        return edges, busy

    def _troubles(self, since: int, until: int) -> list[tuple[int, Outage]]:
        return [(i, o) for i, o in enumerate(self._plan.outages) if o.since < until and o.until > since]

    def _levels(self, service: Ints, at: Ints, since: int, until: int) -> tuple[Floats, Floats]:
        """Return how many times slower than usual each service is, and the share of its requests that fail."""
        slower, fails = np.ones(len(at)), np.full(len(at), 0.002)
        for _, outage in self._troubles(since, until):
            level = outage.level(at) * np.where(service == outage.service, 1.0, ECHO * (service == 0))
            slower += level * (2.0 if outage.failing else 3.5)
            fails += 0.6 * level**1.5 if outage.failing else 0.06 * level
        return slower, fails

    def _requests(self, number: int, since: int, until: int) -> pl.DataFrame:
        rng, n = draws(self._spec.seed, "requests", number), int(self._quota[number])
        edges, busy = self._weights(since, until)
        total = np.concatenate([[0.0], np.cumsum(busy)])
        at = np.sort(np.interp(rng.random(n) * total[-1], total, edges.astype(np.float64)).astype(np.int64))
        at -= at % MILLISECOND
        service = pick(rng, self._traffic, n)
        customer = (rng.random(n) * self._spec.customers).astype(np.int64)
        known = rng.random(n) < 0.6
        slower, fails = self._levels(service, at, since, until)
        failed = rng.random(n) < fails
        for i, outage in self._troubles(since, until):
            level = np.where(service == outage.service, outage.level(at), 0.0)
            spoiled = (failed & (level > 0)) | (rng.random(n) < 0.5 * level)
            turn = self.hurt[i] + np.arange(int(spoiled.sum()))
            customer[spoiled] = np.asarray(outage.hurt)[turn % len(outage.hurt)]
            known |= spoiled
            met = known & (outage.level(at) > 0) & ((service == outage.service) | (service == 0))
            self.met[i].update(customer[met][: HURT_MAX - len(self.met[i])].tolist())
            self.hurt[i] += len(turn)
        millis = spread(rng, self._latency[service] * 1000, 0.45, n) * slower * self._quirks.drift(at)
        status = np.where(failed, np.where(rng.random(n) < 0.7, 503, 500), np.where(rng.random(n) < 0.02, 404, 200))
        names = self._names.services.gather(service)
        who = pl.select(
            pl.when(pl.Series(known))
            .then(pl.concat_str(pl.lit(',"customer_id":"'), self._names.customers.gather(customer), pl.lit('"')))
            .otherwise(pl.lit(""))
        ).to_series()
        routes = self._routes.gather(service * 3 + rng.integers(0, 3, n))
        new = ',"region":"eu-1"' if self._quirks.new_field(since) else ""
        return records(
            source="/gateway", kind="request.completed", ids=joined(f"r{number}-", numbers(np.arange(n))),
            at=self._quirks.told_at(at, service), arrival=at + self._delays(rng, n), key=names,
            partition=service % PARTITIONS["telemetry"],
            data=('"service":"', names, '","route":"', routes, '","status":', numbers(status), ',"duration_ms":',
                  decimals(millis, 2), who, new),
        )  # fmt: skip

    def _delays(self, rng: np.random.Generator, n: int) -> Ints:
        """Return how long after its event the broker gets each record: seconds, for a few more than an hour."""
        delay = np.minimum(rng.exponential(0.6, n) * SECOND, DELAY_MAX)
        late = rng.random(n) < LATE_SHARE
        return np.where(late, rng.uniform(4200, 12000, n) * SECOND, delay).astype(np.int64)

    def _measurements(self, number: int, since: int, until: int) -> list[pl.DataFrame]:
        spec, rng = self._spec, draws(self._spec.seed, "measurements", number)
        step, count = spec.measure_every, len(spec.services)
        first = since + (SINCE - since) % step
        at = np.repeat(np.arange(first, until, step), count)
        service = np.tile(np.arange(count), len(at) // count)
        kept = self._quirks.measured(at, service)
        at, service = at[kept], service[kept]
        at, tick, n = at + service * 130 * MILLISECOND, at, len(at)
        slower, fails = self._levels(service, tick, since, until)
        for blip in self._plan.blips:
            slower[_within(blip, service, tick)] *= 2.5
        load = season(tick, self._season) * np.where(self._promoted(tick), 2.0, 1.0)
        latency = spread(rng, self._latency[service] * (0.85 + 0.15 * load), 0.07 * self._noise, n) * slower
        latency *= self._quirks.drift(tick)
        night = (tick - SINCE) % DAY // HOUR == 2
        cpu = 18 + 16 * load + 22 * night * (service == 0) + 12 * (slower - 1) + rng.normal(0, 2 * self._noise, n)
        memory = 42 + ((tick - SINCE) / DAY * 3 + service * 7) % 21 + rng.normal(0, 0.5 * self._noise, n)
        failing = 100 * np.clip(fails + rng.normal(0, 0.0006 * self._noise, n), 0, 1)
        ops = spread(rng, self._traffic[service] * 4 * load, 0.06 * self._noise, n)
        names = self._names.services.gather(service)
        median_s, slow_s = decimals(latency, 5), decimals(latency * 2.1, 5)
        measured = records(
            source="/services", kind="service.measured", ids=joined(f"m{number}-", numbers(np.arange(n))),
            at=self._quirks.told_at(at, service), arrival=at + self._delays(rng, n), key=names,
            partition=service % PARTITIONS["telemetry"],
            data=('"service":"', names, '","instance":"', names, '-1","metrics":{"cpu_percent":',
                  decimals(np.clip(cpu, 0, 100), 2), ',"memory_percent":', decimals(memory, 2), ',"success_percent":',
                  decimals(100 - failing, 3), ',"workload_ops":', decimals(ops, 3), ',"server_latency_p50_s":',
                  median_s, ',"server_latency_p95_s":', slow_s, "}"),
        )  # fmt: skip
        front = pl.Series(service == 0)
        at, success = at[service == 0] + 400 * MILLISECOND, decimals(100 - failing, 3).filter(front)
        sli = records(
            source="/gateway", kind="sli.measured", ids=joined(f"s{number}-", numbers(np.arange(len(at)))), at=at,
            arrival=at + self._delays(rng, len(at)), key=names.filter(front), partition=np.zeros(len(at), np.int64),
            data=('"service":"', names.filter(front), '","metrics":{"success_percent":', success, ',"latency_p50_s":',
                  median_s.filter(front), ',"latency_p95_s":', slow_s.filter(front), ',"latency_p99_s":',
                  decimals(latency * 3.4, 5).filter(front), "}"),
        )  # fmt: skip
        return [measured, sli]

    def _promoted(self, at: Ints) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        promoted = np.zeros(len(at), dtype=np.bool_)
        for span in self._plan.promotions:
            promoted |= (at >= span.since) & (at < span.until)
        return promoted

    def _stock(self, number: int, since: int, until: int) -> pl.DataFrame:
        first = since + (SINCE - since) % STOCK_EVERY
        at = np.repeat(np.arange(first, until, STOCK_EVERY), self._spec.stocked)
        product, n = np.arange(len(at)) % self._spec.stocked, len(at)
        at = at + product * 250 * MILLISECOND
        on_hand = 40 + product * 9 - ((at - SINCE) // STOCK_EVERY * (2 + product % 5)) % (35 + product * 8)
        for p in range(self._spec.stocked):
            on_hand[product == p] += self._orders.awaited(p, at[product == p])
        key = joined("p", numbers(product).str.zfill(5))
        return records(
            source="/warehouse", kind="inventory.level", ids=joined(f"i{number}-", numbers(np.arange(n))), at=at,
            arrival=at + SECOND, key=key, partition=product % PARTITIONS["telemetry"],
            data=('"product_id":"', key, '","warehouse":"w1","on_hand":', numbers(on_hand), ',"reserved":0'),
        )  # fmt: skip


def _within(span: Span, service: Ints, at: Ints) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    found: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (
        (service == span.service) & (at >= span.since) & (at < span.until)
    )
    return found
