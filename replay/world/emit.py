"""The world as it is recorded: slices of time merged into partitions, in the order in which the broker got them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import polars as pl

from config.clock import SECOND
from operators.batch import RawBatch
from replay.world.business import business
from replay.world.commerce import Commerce
from replay.world.faults import Fault, faults, frame
from replay.world.issues import plan
from replay.world.labels import Labels, Malformed
from replay.world.model import PARTITIONS, Fleet, Spec, draws
from replay.world.orders import orders
from replay.world.stories import stories
from replay.world.telemetry import Telemetry
from replay.world.text import COLUMNS, Names
from replay.world.truth import by_onset, by_time, decoys, of_columns

DUPLICATE_SHARE = {
    "full": {"orders": 0.0001, "crm": 0.00004, "telemetry": 0.0004},
    "telemetry": {"telemetry": 0.0005},
}
"""Of all records, those a producer sent twice: the same event at another offset, up to three seconds later."""


class World:
    """One simulated world. Iterate over `batches` once, to the end; then ask for its `labels`.

    Memory is bounded by one slice of time (some ten thousand events, see `Spec.slices`), the records still on their
    way at its end, and the table of orders: some 100 bytes for each business event of the whole world.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        fleet = Fleet(spec)
        self._plan = plan(spec)
        self._orders = orders(spec, fleet, self._plan)
        self._business = business(spec, self._plan, self._orders)
        self._faults = faults(spec)
        names = Names(spec, fleet)
        self._commerce = Commerce(spec, names, self._orders, self._business)
        self._stories = stories(spec, fleet, self._plan)
        often = spec.scenario.sources.duplicates
        shares = DUPLICATE_SHARE[spec.mix]
        self._duplicates = {topic: round(spec.events * share * often) for topic, share in shares.items()}
        given = (
            len(self._business) + len(self._faults) + sum(self._duplicates.values()) + Telemetry.grid(spec, self._plan)
        )
        requests = spec.events - given - len(self._stories.events)
        self._telemetry = Telemetry(spec, self._plan, names, self._orders, max(0, requests))
        self._offsets: Counter[tuple[str, int]] = Counter()
        self._malformed: list[Malformed] = []
        self._done = False

    @property
    def partitions(self) -> list[tuple[str, int]]:
        """All topic partitions, those without records too."""
        topics = PARTITIONS if self.spec.mix == "full" else ("telemetry",)
        return [(topic, partition) for topic in topics for partition in range(PARTITIONS[topic])]

    def batches(self) -> Iterator[RawBatch]:
        """Yield all records, slice by slice; within a partition in the order of arrival."""
        topics = sorted({topic for topic, _ in self.partitions})
        underway = {topic: pl.DataFrame(schema=COLUMNS) for topic in topics}
        last = len(self.spec.slices) - 1
        for number, (since, until) in enumerate(self.spec.slices):
            frames = self._commerce.slice(since, until)
            frames["telemetry"] += self._telemetry.slice(number)
            for topic, told in self._stories.slice(since, until).items():
                frames[topic] += told
            broken = [fault for fault in self._faults if since <= fault.at < until]
            for topic in topics:
                fresh = pl.concat([pl.DataFrame(schema=COLUMNS), *frames[topic]])
                again = self._repeated(topic, number, fresh)
                pool = pl.concat([underway[topic], fresh, again, *(frame(f) for f in broken if f.topic == topic)])
                arrived = pl.col("arrival") < until if number < last else pl.lit(True)
                underway[topic] = pool.filter(~arrived)
                yield from self._partitioned(topic, pool.filter(arrived), broken)
        self._done = True

    def _repeated(self, topic: str, number: int, fresh: pl.DataFrame) -> pl.DataFrame:
        """Return the slice's duplicates: records drawn from `fresh` that come a second time, a little later."""
        total, slices = self._duplicates[topic], len(self.spec.slices)
        count = total * (number + 1) // slices - total * number // slices
        rng = draws(self.spec.seed, f"repeat {topic}", number)
        rows = rng.integers(0, max(1, len(fresh)), count if len(fresh) else 0)
        delay = (rng.uniform(0.05, 3, len(rows)) * SECOND).astype(np.int64)
        return fresh[rows].with_columns(arrival=pl.col("arrival") + pl.Series(delay))

    def _partitioned(self, topic: str, arrived: pl.DataFrame, broken: list[Fault]) -> Iterator[RawBatch]:
        ordered = arrived.sort("partition", "arrival", maintain_order=True)
        for part in ordered.partition_by("partition", maintain_order=True):
            partition = int(part["partition"][0])
            first = self._offsets[topic, partition]
            self._offsets[topic, partition] += len(part)
            values = part["value"].to_list()
            for fault in broken:
                if (fault.topic, fault.partition) == (topic, partition) and fault.value in values:
                    offset = first + values.index(fault.value)
                    label = Malformed(topic=topic, partition=partition, offset=offset, fault=fault.fault)
                    self._malformed.append(label)
            yield RawBatch(
                topic, partition, list(range(first, first + len(part))), (part["at"] // 1000).to_list(),
                part["key"].to_list(), values,
            )  # fmt: skip

    def labels(self) -> Labels:
        """Return what is true of this world. Call it when all batches have been taken."""
        assert self._done, "the labels are complete when all batches have been taken"
        truth = of_columns(self.spec, self._plan, self._orders, self._business, self._telemetry)
        return Labels(
            seed=self.spec.seed, events=self.spec.events, days=self.spec.days, mix=self.spec.mix,
            issues=by_onset(truth.issues + self._stories.issues),
            malformed=sorted(self._malformed, key=lambda m: (m.topic, m.partition, m.offset)),
            decoys=by_time(decoys(self.spec, self._plan) + self._stories.decoys),
            echoes=truth.echoes + self._stories.echoes, scenario=self.spec.scenario.name,
        )  # fmt: skip
