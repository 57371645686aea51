"""Whatever bytes a frame holds: a record or a fault, the same in any batch, and never the end of the process."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import orjson
from hypothesis import given
from hypothesis import strategies as st

from config.contracts import BUILT_IN, load_contracts
from operators.decode import Decoder
from operators.reject import REASONS
from operators.wire import Schema, Schemas
from tests.support.cloudevents import raw_batch, request

INNER = {"type": "record", "name": "I", "fields": [{"name": "n", "type": ["null", "long", "string"]}]}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "s", "type": "string"},
        {"name": "a", "type": {"type": "array", "items": INNER}},
        {"name": "m", "type": {"type": "map", "values": "double"}},
        {"name": "t", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 3}},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
    ],
}
SCHEMAS = [
    Schema("1", "AVRO", orjson.dumps(SCHEMA).decode()),
    Schema("2", "JSON"),
    Schema("3"),
    Schema("4", "PROTOBUF"),
]
DECODER = Decoder(load_contracts(BUILT_IN), schemas=Schemas(SCHEMAS))


def framed(number: int, body: bytes) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + body


frames = st.builds(framed, st.integers(0, 5), st.binary(max_size=80))
values = st.one_of(frames, st.binary(max_size=24), st.just(request()), st.just(framed(2, request())), st.none())
headers = st.lists(
    st.tuples(st.sampled_from(["__value_schema_id", "ce_type", "x"]), st.none() | st.binary(max_size=20))
)


@given(st.lists(st.tuples(values, headers), min_size=1, max_size=12), st.booleans())
def test_any_bytes_are_a_record_or_a_fault_whatever_the_batch(
    rows: list[tuple[bytes | None, list[tuple[str, bytes | None]]]], with_headers: bool
) -> None:
    def outcome(chosen: list[tuple[bytes | None, list[tuple[str, bytes | None]]]]) -> list[tuple[int, str]]:
        heads = [head for _, head in chosen] if with_headers else []
        decoded = DECODER.decode(raw_batch([value for value, _ in chosen], headers=heads))
        accepted = [(offset - 100, "accepted") for offset in decoded.index["offset"]]
        return sorted(accepted + [(reject.offset - 100, reject.reason) for reject in decoded.rejects])

    whole = outcome(rows)
    assert [number for number, _ in whole] == list(range(len(rows)))
    assert {reason for _, reason in whole} <= {*REASONS, "accepted"}
    assert [outcome([row])[0][1] for row in rows] == [reason for _, reason in whole]


record = st.fixed_dictionaries(
    {
        "s": st.text(max_size=8),
        "a": st.lists(
            st.fixed_dictionaries({"n": st.none() | st.integers(-(2**63), 2**63 - 1) | st.text()}), max_size=4
        ),
        "m": st.dictionaries(st.text(max_size=4), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
        "t": st.integers(0, 4_000_000_000_000_000),
        "d": st.decimals(-(10**15), 10**15, places=3),
        "e": st.sampled_from(["A", "B"]),
    }
)


@given(record)
def test_avro_that_was_written_is_read_as_json_without_loss(value: dict[str, Any]) -> None:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(SCHEMA), value)
    found = Schemas(SCHEMAS).unframed(framed(1, stream.getvalue()))
    assert isinstance(found, bytes)
    told = orjson.loads(found)
    assert {name: told[name] for name in ("s", "a", "m", "e")} == {name: value[name] for name in ("s", "a", "m", "e")}
    assert f'"d":{format(value["d"], "f")}'.encode() in found
    assert told["t"].endswith("Z")


@given(record, st.data())
def test_avro_cut_off_or_gone_on_with_is_a_fault(value: dict[str, Any], data: st.DataObject) -> None:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(SCHEMA), value)
    whole = stream.getvalue()
    cut = data.draw(st.integers(0, len(whole) - 1))
    for body in (whole[:cut], whole + b"\0"):
        assert Schemas(SCHEMAS).unframed(framed(1, body))[0] == "undecodable"
