from __future__ import annotations

import io
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import orjson
import pytest

from config.contracts import BUILT_IN, load_contracts
from operators.decode import Decoded, Decoder
from operators.limits import RECORD_BYTES_MAX
from operators.wire import SCHEMA_HEADER, Frame, Schema, Schemas, any_framed, frame_of
from tests.support.cloudevents import AT, ORDER, REQUEST, TIME, cloud_event, raw_batch, request

GUID = UUID("5b2f5a2e-9f3b-4d8e-8a56-0c7f3a1d2e4b")
ITEM = {
    "type": "record",
    "name": "Item",
    "fields": [
        *({"name": name, "type": "string"} for name in ("product_id", "seller_id", "seller_state")),
        *({"name": name, "type": "double"} for name in ("price", "freight")),
    ],
}
ORDER_SCHEMA = {
    "type": "record",
    "name": "Placed",
    "namespace": "shop.orders",
    "fields": [
        *({"name": name, "type": "string"} for name in ("order_id", "customer_id", "customer_state")),
        {"name": "promised_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "items", "type": {"type": "array", "items": ITEM}},
    ],
}
EVENT_SCHEMA = {
    "type": "record",
    "name": "Event",
    "fields": [
        *({"name": name, "type": "string"} for name in ("specversion", "id", "source", "type", "time")),
        {"name": "data", "type": ORDER_SCHEMA},
    ],
}
AVRO_ORDER = {**ORDER, "promised_at": datetime(2024, 5, 9, tzinfo=UTC)}
ENVELOPE = {"specversion": "1.0", "id": "1", "source": "/test", "type": "order.placed", "time": TIME}


def text(schema: Any) -> str:
    return orjson.dumps(schema).decode()


def avro(schema: Any, record: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), record)
    return stream.getvalue()


def framed(body: bytes, number: int = 7) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + body


def read(schema: Any, body: bytes) -> bytes | tuple[str, str]:
    return Schemas([Schema("7", "AVRO", text(schema))]).unframed(framed(body))


def decode(schema: Schema, value: bytes, headers: list[tuple[str, bytes | None]] | None = None) -> Decoded:
    decoder = Decoder(load_contracts(BUILT_IN), schemas=Schemas([schema]))
    return decoder.decode(raw_batch([value], topic="orders", headers=[headers] if headers else []))


def placed(decoded: Decoded) -> list[tuple[int, str, float]]:
    assert decoded.rejects == []
    return [(e.at, e.data["order_id"], e.data["items"][0]["price"]) for e in decoded.events()]


STRUCTURED = [(AT, "o1", 10.0)]


def test_avro_of_a_whole_cloudevent_is_a_record_as_its_json_is() -> None:
    value = framed(avro(EVENT_SCHEMA, {**ENVELOPE, "data": AVRO_ORDER}))
    decoded = decode(Schema("7", "AVRO", text(EVENT_SCHEMA)), value)
    same = Decoder(load_contracts(BUILT_IN)).decode(raw_batch([cloud_event("order.placed", ORDER)], topic="orders"))
    assert placed(decoded) == STRUCTURED
    assert decoded.events() == same.events()


def test_avro_data_in_binary_mode_is_a_record() -> None:
    headers: list[tuple[str, bytes | None]] = [(f"ce_{name}", value.encode()) for name, value in ENVELOPE.items()]
    value = framed(avro(ORDER_SCHEMA, AVRO_ORDER))
    assert placed(decode(Schema("7", "AVRO", text(ORDER_SCHEMA)), value, headers)) == STRUCTURED


def test_json_in_a_frame_is_what_it_is_without() -> None:
    value = framed(cloud_event("order.placed", ORDER))
    assert placed(decode(Schema("7", "JSON", "{}"), value)) == STRUCTURED


@pytest.mark.parametrize(
    ("head", "schema"),
    [(b"\0\0\0\1\0", "256"), (b"\1" + GUID.bytes, str(GUID))],
    ids=["number", "guid"],
)
def test_schema_is_named_before_the_value_or_in_a_header(head: bytes, schema: str) -> None:
    assert frame_of(head + b"body") == Frame(schema, b"body")
    assert frame_of(b"body", [("other", b"x"), (SCHEMA_HEADER, head)]) == Frame(schema, b"body")
    value = cloud_event("order.placed", ORDER)
    assert placed(decode(Schema(schema, "JSON", "{}"), value, [(SCHEMA_HEADER, head)])) == STRUCTURED


@pytest.mark.parametrize("value", [b"\0", b"\0\0\0\0", b"\1" + GUID.bytes[:15]])
def test_frame_cut_off_is_a_fault(value: bytes) -> None:
    assert Schemas().unframed(value) == (
        "undecodable",
        "the head of the frame is cut off, or begins with an unknown magic byte",
    )


@pytest.mark.parametrize("head", [b"", b"\2\0\0\0\7", b"\0\0\0\0\7\0"])
def test_bad_header_is_a_fault(head: bytes) -> None:
    fault = Schemas([Schema("7", "JSON")]).unframed(b"{}", [(SCHEMA_HEADER, head)])
    assert fault[0] == "undecodable"


def test_values_without_a_frame_are_left_alone() -> None:
    values = [b"", b"{}", b" {}", b"\n{}", b"\x02", b"\xff"]
    assert not any_framed(b"".join(values))
    assert [Schemas().unframed(value) for value in values] == values


def test_missing_schemas_are_those_named_and_not_at_hand() -> None:
    schemas = Schemas([Schema("7", "JSON"), Schema("8")])
    values = [None, b"", b"{}", framed(b"", 7), framed(b"", 8), framed(b"", 9), b"\0\0", b"\1" + GUID.bytes]
    assert schemas.missing(values, []) == {"9", str(GUID)}
    assert schemas.missing([b"{}", None], []) == set()
    assert schemas.missing([b"{}", b"{}"], [[(SCHEMA_HEADER, framed(b"", 3))], [("a", None)]]) == {"3"}


def test_schema_that_no_registry_knows_and_one_never_asked_for_are_told_apart() -> None:
    schemas = Schemas([Schema("8")])
    assert schemas.unframed(framed(b"{}", 8)) == ("unknown-schema", "the registry knows no schema 8")
    assert schemas.unframed(framed(b"{}", 9)) == ("unknown-schema", "schema 9 was not fetched: no registry is set")
    schemas.add(Schema("9", "JSON"))
    assert schemas.unframed(framed(b"{}", 9)) == b"{}"


def test_the_first_answer_about_a_schema_counts() -> None:
    schemas = Schemas([Schema("8")])
    schemas.add(Schema("8", "JSON"))
    assert schemas.unframed(framed(b"{}", 8))[0] == "unknown-schema"


def test_other_types_of_schema_are_refused() -> None:
    assert Schemas([Schema("7", "PROTOBUF")]).unframed(framed(b"\0")) == (
        "undecodable",
        "schema 7 is of type PROTOBUF: only AVRO and JSON are read",
    )


LOGICAL: list[tuple[str, dict[str, Any], Any, bytes]] = [
    (
        "millis",
        {"type": "long", "logicalType": "timestamp-millis"},
        datetime(2024, 5, 1, 12, tzinfo=UTC),
        b'"2024-05-01T12:00:00Z"',
    ),
    (
        "micros",
        {"type": "long", "logicalType": "timestamp-micros"},
        datetime(2024, 5, 1, 12, 0, 0, 7, tzinfo=UTC),
        b'"2024-05-01T12:00:00.000007Z"',
    ),
    ("date", {"type": "int", "logicalType": "date"}, date(2024, 5, 1), b'"2024-05-01"'),
    ("time", {"type": "int", "logicalType": "time-millis"}, time(12, 30), b'"12:30:00"'),
    (
        "decimal",
        {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 4},
        Decimal("12345678901234567890.1200"),
        b"12345678901234567890.1200",
    ),
    ("uuid", {"type": "string", "logicalType": "uuid"}, GUID, b'"%b"' % str(GUID).encode()),
]


@pytest.mark.parametrize(("schema", "value", "expected"), [row[1:] for row in LOGICAL], ids=[row[0] for row in LOGICAL])
def test_logical_types_are_written_as_contracts_read_them(schema: Any, value: Any, expected: bytes) -> None:
    assert read(schema, avro(schema, value)) == expected


def test_other_types_are_written_as_json_has_them() -> None:
    schema = {
        "type": "record",
        "name": "All",
        "fields": [
            {"name": "n", "type": ["null", "string"]},
            {"name": "b", "type": "bytes"},
            {"name": "m", "type": {"type": "map", "values": ["int", "boolean"]}},
            {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
            {"name": "f", "type": {"type": "fixed", "name": "F", "size": 2}},
            {"name": "d", "type": "double"},
        ],
    }
    record = {"n": None, "b": b"\0\xff", "m": {"x": 1, "y": True}, "e": "B", "f": b"ab", "d": 0.1}
    assert (
        read(schema, avro(schema, record)) == b'{"n":null,"b":"AP8=","m":{"x":1,"y":true},"e":"B","f":"YWI=","d":0.1}'
    )


def test_schemas_may_refer_to_others() -> None:
    inner = {**ITEM, "namespace": "shop"}
    outer = {"type": "record", "name": "Outer", "namespace": "shop", "fields": [{"name": "item", "type": "Item"}]}
    whole = {**outer, "fields": [{"name": "item", "type": inner}]}
    item = ORDER["items"][0]
    schemas = Schemas([Schema("7", "AVRO", text(outer), (text(inner),))])
    found = schemas.unframed(framed(avro(whole, {"item": item})))
    assert isinstance(found, bytes)
    assert orjson.loads(found) == {"item": item}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "EOFError at byte 0"),
        (b"\x0aab", "EOFError"),
        (b"\x04\xff\xfe", "UnicodeDecodeError"),
        (b"\x04ab!", "1 bytes follow the record"),
        (b"\xff" * 20, "Error at byte"),
    ],
)
def test_broken_avro_is_a_fault_that_quotes_nothing(body: bytes, why: str) -> None:
    fault = read("string", body)
    assert isinstance(fault, tuple)
    assert fault[0] == "undecodable"
    assert why in fault[1]
    assert fault[1].startswith("not of schema 7: ")


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (["null", "int"], b"\x08"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\x08"),
        ({"type": "long", "logicalType": "timestamp-millis"}, b"\x80\x80\x80\x80\x80\x80\x80\x80\x10"),
        ({"type": "int", "logicalType": "time-millis"}, b"\xfe\xff\xff\xff\x0f"),
        ({"type": "string", "logicalType": "uuid"}, b"\x04ab"),
        ({"type": "array", "items": "int"}, b"\xff\xff\xff\xff\xff\xff\x0f\x02\x02"),
    ],
)
def test_value_that_its_type_does_not_have_is_a_fault(schema: Any, body: bytes) -> None:
    assert read(schema, body)[0] == "undecodable"


NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
DEEP: Any = "int"
for _ in range(70):
    DEEP = {"type": "array", "items": DEEP}


LAUGHS: Any = {"type": "record", "name": "R0", "fields": []}
for level in range(1, 30):
    fields = [{"name": "a", "type": LAUGHS}, {"name": "b", "type": f"R{level - 1}"}]
    LAUGHS = {"type": "record", "name": f"R{level}", "fields": fields}
SPARSE = {"type": "record", "name": "S", "fields": [{"name": f"n{i}", "type": "null"} for i in range(200)]}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (LAUGHS, "more than 100000 values in each"),
        ({"type": "map", "values": SPARSE}, "a list of items"),
        (NODE, "a record that holds itself"),
        ({"type": "array", "items": "null"}, "a list of items with next to no bytes"),
        ({"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}}, "a list of items"),
        ({"type": "array", "items": {"type": "fixed", "name": "Zero", "size": 0}}, "a list of items"),
        (DEEP, "nested more than 64 levels deep"),
        ({"type": "record", "name": "R"}, "no Avro schema"),
        ("Nobody", "no Avro schema"),
        (7, "no Avro schema"),
    ],
)
def test_schema_that_would_harm_the_reader_is_not_read_with(schema: Any, why: str) -> None:
    # The first would end this process, the second keep it busy for hours.
    fault = read(schema, b"\x02" * 100_000)
    assert (fault[0], why in str(fault[1])) == ("undecodable", True), fault


def test_text_that_is_no_schema_is_a_fault() -> None:
    assert Schemas([Schema("7", "AVRO", "{")]).unframed(framed(b""))[0] == "undecodable"


def test_framed_value_too_large_is_refused_before_it_is_read() -> None:
    assert Schemas([Schema("7", "JSON")]).unframed(framed(b"x" * RECORD_BYTES_MAX))[0] == "limits"


def test_brackets_in_avro_are_no_nesting() -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "raw", "type": "bytes"}]}
    found = read(schema, avro(schema, {"raw": b"[{" * 600 + b'\\u0000"'}))
    assert isinstance(found, bytes)
    decoded = decode(Schema("7", "AVRO", text(schema)), framed(avro(schema, {"raw": b"[{" * 600 + b"\\u0000"})))
    assert [r.reason for r in decoded.rejects] == ["not-cloudevent"]


def test_framed_and_plain_records_share_a_batch() -> None:
    values = [request(status=200), framed(request(status=201)), framed(b"{", 7), framed(b"{}", 9), request(status=202)]
    decoder = Decoder(load_contracts(BUILT_IN), schemas=Schemas([Schema("7", "JSON")]))
    decoded = decoder.decode(raw_batch(values))
    assert decoded.index["offset"].to_list() == [100, 101, 104]
    assert [(r.offset, r.reason, r.value) for r in decoded.rejects] == [
        (102, "not-json", values[2]),
        (103, "unknown-schema", values[3]),
    ]


def test_structured_mode_is_told_by_the_content_type_whatever_other_headers_say() -> None:
    headers: list[tuple[str, bytes | None]] = [
        ("content-type", b"Application/CloudEvents+json; charset=UTF-8"),
        ("ce_specversion", b"1.0"),
        ("ce_type", b"order.cancelled"),
    ]
    decoded = decode(Schema("7"), cloud_event("request.completed", REQUEST), headers)
    assert list(decoded.parts) == ["request.completed"]
