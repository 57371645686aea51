"""What becomes of a partition's records does not depend on how they are cut into batches."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from config.clock import DAY, SECOND, to_text
from config.contracts import BUILT_IN, load_contracts
from operators.batch import RawBatch
from operators.channel import Channel
from operators.decode import Decoder
from tests.support.cloudevents import cloud_event
from tests.support.examples import examples

DECODER = Decoder(load_contracts(BUILT_IN))
START = 1_700_000_000 * SECOND
LATENESS = 3 * SECOND
JUMP = 30 * DAY

DELIVERED = {"order_id": "o1", "customer_id": "c1"}
KINDS = ("delivered", "request", "broken", "tombstone", "wild", "wilder", "past")
STAMPS = (-1, START // 1000, START // 1000 + 5_000, (START + 40 * DAY) // 1000, (START - 40 * DAY) // 1000)

records = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 8), st.integers(0, 4), st.sampled_from(STAMPS)), max_size=30
)


def value(kind: str, step: int, identity: int) -> bytes | None:
    jump = {"wild": 45 * DAY, "wilder": 400 * DAY, "past": -50 * DAY}.get(kind, 0)
    attributes = {"time": to_text(START + step * SECOND + jump), "id": str(identity)}
    if kind == "tombstone":
        return None
    if kind == "broken":
        return b'{"specversion":'
    if kind == "request":
        return cloud_event(
            "request.completed", {"service": "s", "route": "/", "status": 200, "duration_ms": 1.5}, **attributes
        )
    return cloud_event("shipment.delivered", DELIVERED, **attributes)


def outcome(rows: list[tuple[str, int, int, int]], sizes: random.Random | None) -> tuple[list[Any], ...]:
    """Return events, measures, what is released and the counts, in batches and restarts that `sizes` draws."""
    channel = Channel("t", 0, DECODER, LATENESS, JUMP)
    events: list[Any] = []
    measures: list[Any] = []
    released: list[Any] = []
    position = 0
    while position < len(rows):
        size = len(rows) if sizes is None else sizes.randrange(1, 6)
        part = rows[position : position + size]
        offsets = list(range(position, position + len(part)))
        values = [value(kind, step, identity) for kind, step, identity, _ in part]
        batch = RawBatch("t", 0, offsets, [stamp for *_, stamp in part], [b"k"] * len(part), values)
        taken = channel.take(batch)
        events += taken.events
        measures += taken.measures.rows()
        released += taken.released
        position += size
        if sizes is not None and sizes.random() < 0.4:
            channel = Channel("t", 0, DECODER, LATENESS, JUMP, channel.snapshot())
    released.sort(key=lambda event: event.seq)
    return events, sorted(measures, key=repr), released, [channel.counts, channel.watermark, channel.next_offset]


@examples(150)
@given(records, st.integers(0, 2**32))
def test_batches_and_restarts_change_nothing(rows: list[tuple[str, int, int, int]], seed: int) -> None:
    assert outcome(rows, random.Random(seed)) == outcome(rows, None)


@examples(60)
@given(records)
def test_every_record_ends_in_one_place(rows: list[tuple[str, int, int, int]]) -> None:
    events, measures, released, (counts, _, next_offset) = outcome(rows, None)
    assert counts.records == len(rows) == next_offset
    assert counts.accepted == len(events) + len(measures)
    assert counts.late + counts.rejected == len(released)
    assert counts.records == counts.accepted + counts.late + counts.duplicates + counts.rejected + counts.held
