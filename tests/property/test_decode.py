"""Whatever bytes a topic holds, decoding ends well: each record is accepted or rejected, alone as in any batch."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from config.contracts import BUILT_IN, load_contracts
from operators.decode import Decoder
from operators.reject import REASONS
from tests.support.cloudevents import ORDER, REQUEST, cloud_event, raw_batch
from tests.support.examples import examples


@cache
def decoder() -> Decoder:
    return Decoder(load_contracts(BUILT_IN), sample_every=2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A record that is nearly well: one field replaced, or a few of its bytes."""
    name, data = draw(st.sampled_from([("request.completed", REQUEST), ("order.placed", ORDER)]))
    attribute = draw(st.sampled_from(["id", "source", "time", "dataschema", "type", "data", *data]))
    value: Any = draw(JSON)
    try:
        if attribute in data:
            record = cloud_event(name, {**data, attribute: value})
        else:
            record = cloud_event(name, data) if attribute == "type" else cloud_event(name, data, **{attribute: value})
    except (TypeError, orjson.JSONEncodeError):
        record = cloud_event(name, data)
    if draw(st.booleans()):
        at = draw(st.integers(0, len(record)))
        record = record[:at] + draw(st.binary(max_size=3)) + record[at + draw(st.integers(0, 3)) :]
    return record


VALUES = st.none() | st.binary(max_size=40) | JSON.map(lambda v: repr(v).encode(errors="replace")) | changed()


@examples(200)
@given(st.lists(VALUES, max_size=12), st.integers(1, 5))
def test_every_record_is_accepted_or_rejected_whatever_its_batch(values: list[bytes | None], size: int) -> None:
    whole = decoder().decode(raw_batch(values))
    offsets = [*whole.index["offset"], *(r.offset for r in whole.rejects)]
    assert sorted(offsets) == list(range(100, 100 + len(values)))
    assert {r.reason for r in whole.rejects} <= set(REASONS)
    assert [len(r.value) for r in whole.rejects] == [len(values[r.offset - 100] or b"") for r in whole.rejects]
    parts = []
    for start in range(0, len(values), size):
        chunk = values[start : start + size]
        parts.append(decoder().decode(raw_batch(chunk, offsets=list(range(100 + start, 100 + start + len(chunk))))))
    assert [r for part in parts for r in part.rejects] == whole.rejects
    assert [e for part in parts for e in part.events()] == whole.events()
    assert sum((part.quality.unknown_fields for part in parts), start=type(whole.quality.unknown_fields)()) == (
        whole.quality.unknown_fields
    )
    measures = [part.measures() for part in parts if len(part)]
    if measures:
        assert pl.concat(measures).equals(whole.measures())
