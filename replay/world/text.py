"""Columns to records: CloudEvents 1.0 as structured JSON, built by templates over whole columns."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl

from replay.world.goods import item_of
from replay.world.model import PARTITIONS, STATES, Fleet, Ints, Spec, lane_name

Part = pl.Series | str
"""A piece of a template: a column, or a constant."""

COLUMNS = {
    "partition": pl.Int64,
    "arrival": pl.Int64,
    "at": pl.Int64,
    "key": pl.Binary,
    "value": pl.Binary,
}
"""A frame of records: partition, when the broker got it (µs), event time (µs), key, value."""


def joined(*parts: Part) -> pl.Series:
    """Return the parts put together, row by row."""
    return pl.select(pl.concat_str([pl.lit(p) for p in parts])).to_series()


def instants(at: Ints) -> pl.Series:
    """Return microseconds as RFC 3339 text with milliseconds."""
    return pl.Series(at).cast(pl.Datetime("us")).dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")


def decimals(values: npt.NDArray[np.float64], places: int) -> pl.Series:
    """Return numbers as text, rounded."""
    return pl.Series(np.round(values, places)).cast(pl.String)


def numbers(values: npt.NDArray[np.integer]) -> pl.Series:
    """Return integers as text."""
    return pl.Series(values).cast(pl.String)


def records(
    *, source: str, kind: str, ids: pl.Series, at: Ints, arrival: Ints, key: pl.Series, partition: Ints,
    data: Sequence[Part],
) -> pl.DataFrame:  # fmt: skip
    """Return one frame of records of one type; `data` are the pieces between the braces of the event's data."""
    if not len(at):
        return pl.DataFrame(schema=COLUMNS)
    value = joined(
        '{"specversion":"1.0","id":"', ids, f'","source":"{source}","type":"{kind}","subject":"', key, '","time":"',
        instants(at), '","datacontenttype":"application/json","data":{', *data, "}}",
    )  # fmt: skip
    columns = {"partition": partition, "arrival": arrival, "at": at, "key": key.cast(pl.Binary)}
    return pl.DataFrame(columns | {"value": value.cast(pl.Binary)}, schema=COLUMNS)


class Names:
    """The names and partitions of a world's people and things, as columns by index."""

    def __init__(self, spec: Spec, fleet: Fleet) -> None:
        customers = [f"c{i:07}" for i in range(spec.customers)]
        self.customers = pl.Series(customers)
        self.customer_partitions = {
            topic: _partitions(customers, PARTITIONS[topic]) for topic in ("orders", "crm")
        }  # fmt: skip
        lanes = [lane_name(i) for i in range(len(STATES) * fleet.transit_hours.shape[0])]
        self.lanes = pl.Series(lanes)
        self.lane_partitions = _partitions(lanes, PARTITIONS["telemetry"])
        self.states = pl.Series(STATES).gather(fleet.customer_state)
        self.items = pl.Series([_item(fleet, i) for i in range(fleet.products)])
        self.services = pl.Series([s.name for s in spec.services])


def _partitions(keys: list[str], count: int) -> Ints:
    """Return the partition of each key, as librdkafka's `consistent` partitioner chooses it."""
    return np.asarray([partition_of(key, count) for key in keys], dtype=np.int64)


def partition_of(key: str, count: int) -> int:
    """Return the partition of one key."""
    return crc32(key.encode()) % count


def _item(fleet: Fleet, product: int) -> str:
    item = item_of(fleet, product)
    return (
        f'{{"product_id":"{item.product}","category":"{item.category}","seller_id":"{item.seller}",'
        f'"seller_state":"{item.seller_state}","price":{item.cents / 100},"freight":{item.freight / 100}}}'
    )
