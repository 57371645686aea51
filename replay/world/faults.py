"""A handful of records that no contract can accept, for the dead letters: what a stranger's topics hold too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from config.clock import HOUR, SECOND, to_text
from replay.world.model import MILLISECOND, PARTITIONS, SINCE, Spec, draws
from replay.world.text import COLUMNS

_ENVELOPE = '{"specversion":"1.0","id":"x%d","source":"/broken","type":"%s","subject":"%s","time":"%s","data":%s}'


@dataclass(frozen=True)
class Fault:
    """One malformed record, before it has an offset."""

    at: int
    topic: str
    partition: int
    fault: str
    """What is wrong with it: a short word."""
    value: bytes


def faults(spec: Spec) -> list[Fault]:
    """Return the malformed records, by time; at most 24 in a world of any size."""
    rng = draws(spec.seed, "faults")
    shapes = ("not-json", "not-utf8", "not-cloudevent", "unknown-type", "wrong-type", "null-required", "wild-clock")
    count = min(24, 7 + spec.events // 25_000)
    latest = spec.until - HOUR
    times = np.sort(rng.integers(SINCE + HOUR, latest, count)) // MILLISECOND * MILLISECOND
    topics = tuple(PARTITIONS) if spec.mix == "full" else ("telemetry",)
    made = []
    for i, at in enumerate(times.tolist()):
        topic, shape = topics[i % len(topics)], shapes[i % len(shapes)]
        made.append(Fault(at, topic, i % PARTITIONS[topic], shape, _value(i, shape, at)))
    return made


def _value(number: int, shape: str, at: int) -> bytes:
    def event(kind: str, time: str, data: str) -> bytes:
        return (_ENVELOPE % (number, kind, "gateway", time, data)).encode()

    time, kind = to_text(at), "request.completed"
    well = '{"service":"gateway","route":"/","status":200,"duration_ms":40.1}'
    match shape:
        case "not-json":
            return event(kind, time, well)[:-31]
        case "not-utf8":
            return event(kind, time, well).replace(b"gateway", b"gate\xff\xfeway")
        case "not-cloudevent":
            return well.encode()
        case "unknown-type":
            return event("request.imagined", time, well)
        case "wrong-type":
            return event(kind, time, well.replace("40.1", '"slow"'))
        case "null-required":
            return event(kind, time, well.replace('"gateway"', "null"))
        case _:
            return event(kind, "9999-12-31T23:59:59Z", well)


def frame(fault: Fault) -> pl.DataFrame:
    """Return the record as a frame of one row."""
    row = {"partition": [fault.partition], "arrival": [fault.at + SECOND], "at": [fault.at], "key": [b"broken"]}
    return pl.DataFrame(row | {"value": [fault.value]}, schema=COLUMNS)
