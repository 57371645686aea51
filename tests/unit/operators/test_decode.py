from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import polars as pl
import pytest

from config.contracts import BUILT_IN, ContractSet, load_contracts, parse_contract
from config.contracts.compile import Envelope, compile_contracts
from operators.decode import CHUNK, Decoded, Decoder, decode_all
from operators.limits import NESTING_MAX, RECORD_BYTES_MAX
from operators.reject import REASONS, VALUE_BYTES_MAX
from tests.support.cloudevents import AT, ORDER, REQUEST, cloud_event, raw_batch, request


@pytest.fixture(scope="module")
def contracts() -> ContractSet:
    return load_contracts(BUILT_IN)


@pytest.fixture(scope="module")
def decoder(contracts: ContractSet) -> Decoder:
    return Decoder(contracts)


def rejected(decoded: Decoded) -> tuple[str, str]:
    """The reason and detail of the one reject."""
    assert len(decoded) == 0
    (reject,) = decoded.rejects
    assert reject.reason in REASONS
    return reject.reason, reject.detail


def statuses(decoded: Decoded) -> list[int]:
    """The statuses of the decoded requests."""
    return decoded.parts["request.completed"].fields.column("status", pl.Int64()).to_list()


def test_accepted_records_are_indexed_by_offset_time_id_and_type(decoder: Decoder) -> None:
    order = cloud_event("order.placed", ORDER, id="7", source="/shop", time="2024-05-01T14:00:00.000001+02:00")
    decoded = decoder.decode(raw_batch([request(), order]))
    assert decoded.index.rows() == [
        (0, 100, AT, "/test|1", "request.completed"),
        (1, 101, AT + 1, "/shop|7", "order.placed"),
    ]
    assert decoded.index.schema == {
        "row": pl.Int64(), "offset": pl.Int64(), "at": pl.Int64(), "id": pl.String(), "type": pl.String()
    }  # fmt: skip
    assert list(decoded.parts) == ["order.placed", "request.completed"]
    assert decoded.rejects == []


def test_empty_batch_decodes_to_nothing(decoder: Decoder) -> None:
    decoded = decoder.decode(raw_batch([]))
    assert (len(decoded.index), decoded.events(), len(decoded.measures()), decoded.rejects) == (0, [], 0, [])


BAD: list[tuple[str, bytes | None, str, str]] = [
    ("tombstone", None, "tombstone", "no value"),
    ("empty", b"", "not-json", "not JSON"),
    ("half", b'{"specversion":"1.0"', "not-json", "not JSON"),
    ("two", request() + b" {}", "not-json", "not JSON"),
    ("nan", request().replace(b"12.5", b"NaN"), "not-json", "not JSON"),
    ("infinite", request().replace(b"12.5", b"1e400"), "not-json", "infinity"),
    ("latin-1", request(route="ok").replace(b'"ok"', b'"\xe9"'), "not-json", "not JSON"),
    ("raw control character", request(route="ok").replace(b'"ok"', b'"\x01"'), "not-json", "not JSON"),
    ("lone surrogate", request(route="ok").replace(b'"ok"', b'"\\ud800"'), "not-json", "not JSON"),
    ("nul", request(route="a\0b"), "contract", "NUL"),
    ("cut frame", b"\0\0\0", "undecodable", "cut off"),
    ("unknown schema", b"\0\0\0\0\7" + request(), "unknown-schema", "schema 7"),
    ("null", b"null", "not-cloudevent", "not an object but null"),
    ("array", b"[1]", "not-cloudevent", "not an object but an array"),
    ("number", b"1", "not-cloudevent", "not an object but a number"),
    ("plain object", b'{"service":"checkout"}', "not-cloudevent", "specversion"),
    ("old CloudEvents", cloud_event("request.completed", REQUEST, specversion="0.3"), "not-cloudevent", "specversion"),
    ("no id", cloud_event("request.completed", REQUEST, id=...), "not-cloudevent", "`id`"),
    ("empty id", cloud_event("request.completed", REQUEST, id=""), "not-cloudevent", "`id`"),
    ("type no string", cloud_event("x", REQUEST, type=3), "not-cloudevent", "`type`"),
    ("unknown type", cloud_event("order.teleported", {}), "unknown-type", "order.teleported"),
    ("unknown version", cloud_event("order.placed", {}, dataschema="/s/order.placed/2.0.0"), "unknown-version", "1"),
    ("known shape of unknown version", cloud_event("request.completed", REQUEST, dataschema="urn:x:2"),
     "unknown-version", "major version 1"),
    ("no time", cloud_event("request.completed", REQUEST, time=...), "time", "no event time"),
    ("time a number", cloud_event("request.completed", REQUEST, time=1714564800), "time", "no event time"),
    ("time local", cloud_event("request.completed", REQUEST, time="2024-05-01T12:00:00"), "time", "RFC 3339"),
    ("time in words", cloud_event("request.completed", REQUEST, time="yesterday"), "time", "RFC 3339"),
    ("time 1970", cloud_event("request.completed", REQUEST, time="1970-01-01T00:00:00Z"), "time", "outside"),
    ("time 9999", cloud_event("request.completed", REQUEST, time="9999-12-31T23:59:59Z"), "time", "outside"),
    ("time 2100", cloud_event("request.completed", REQUEST, time="2100-01-01T00:00:00Z"), "time", "outside"),
    ("no data", cloud_event("request.completed", ...), "contract", "missing required field `data`"),
    ("wrong shape", cloud_event("request.completed", [1]), "contract", "$.data"),
    ("null where required", request(status=None), "contract", "$.data.status"),
    ("string for number", request(duration_ms="12.5"), "contract", "$.data.duration_ms"),
    ("fraction for integer", request(status=200.5), "contract", "$.data.status"),
    ("boolean for integer", request(status=True), "contract", "$.data.status"),
    ("out of range", request(duration_ms=-1), "contract", "$.data.duration_ms"),
    ("empty key", request(service=""), "contract", "$.data.service"),
    ("missing", cloud_event("shipment.delivered", {"customer_id": "c"}), "contract", "`order_id`"),
    ("inside a list", cloud_event("order.placed", {**ORDER, "items": [{"product_id": 1}]}), "contract", "items[0]"),
    ("instant without offset", cloud_event("order.placed", {**ORDER, "promised_at": "2024-05-09T00:00:00"}),
     "contract", "$.data.promised_at"),
    ("instant no string", cloud_event("order.placed", {**ORDER, "promised_at": 5}), "contract", "$.data.promised_at"),
    ("beyond 64 bits", cloud_event("fulfilment.measured", {"lane": "a", "metric": "m", "value": 1e300}),
     "contract", "$.data.value"),
    ("integer of 30 digits", cloud_event("payment.captured", {**ORDER, "method": "x", "amount": 1, "sequence": 1,
     "installments": int("9" * 18)}), "contract", "$.data.installments"),
    ("huge", b'"' + b"x" * 10_000_000 + b'"', "limits", "10000002 bytes"),
    ("deep", b"[" * 100_000 + b"]" * 100_000, "limits", "nested more than 256 levels"),
    ("deep and open", b'{"a":' * 100_000, "limits", "nested more than"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "reason", "detail"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_record_is_rejected_with_its_reason_and_costs_its_neighbours_nothing(
    decoder: Decoder, value: bytes | None, reason: str, detail: str
) -> None:
    found, text = rejected(decoder.decode(raw_batch([value])))
    assert (found, detail in text) == (reason, True), text
    amid = decoder.decode(raw_batch([request(status=201), value, request(status=202)]))
    assert amid.index["offset"].to_list() == [100, 102]
    assert statuses(amid) == [201, 202]
    assert [(r.offset, r.reason) for r in amid.rejects] == [(101, reason)]


def test_all_reasons_are_reached() -> None:
    assert {row[2] for row in BAD} | {"unmapped", "misplaced"} == set(REASONS)


def test_reject_carries_the_original_record(decoder: Decoder) -> None:
    (reject,) = decoder.decode(raw_batch([b"\xff\x00not json"], keys=[b"\xfe\xff"])).rejects
    assert (reject.topic, reject.partition, reject.offset) == ("telemetry", 0, 100)
    assert (reject.value, reject.value_bytes, reject.key) == (b"\xff\x00not json", 10, b"\xfe\xff")
    assert reject.timestamp == 1_714_564_800_000
    assert reject.contract == ""


@pytest.mark.parametrize(("size", "kept"), [(VALUE_BYTES_MAX, True), (VALUE_BYTES_MAX + 1, False)])
def test_reject_keeps_values_up_to_64_kilobytes_and_a_hash_of_larger_ones(
    decoder: Decoder, size: int, kept: bool
) -> None:
    (reject,) = decoder.decode(raw_batch([b"x" * size])).rejects
    assert (len(reject.value), reject.value_bytes) == (size if kept else 0, size)
    assert len(reject.value_hash) == 32


def test_reject_names_the_contract_that_judged_it(decoder: Decoder) -> None:
    assert decoder.decode(raw_batch([request(status="no")])).rejects[0].contract == "request.completed@1.0.0"


@pytest.mark.parametrize("key", [b"\xff\xfe", b"", None])
def test_keys_need_not_be_text(decoder: Decoder, key: bytes | None) -> None:
    assert len(decoder.decode(raw_batch([request()], keys=[key]))) == 1


def test_last_of_duplicate_names_counts(decoder: Decoder) -> None:
    value = request().replace(b'"status":200', b'"status":200,"status":500')
    assert statuses(decoder.decode(raw_batch([value]))) == [500]


def test_time_reads_utc_offsets_and_drops_what_is_below_a_microsecond(decoder: Decoder) -> None:
    value = cloud_event("request.completed", REQUEST, time="2024-05-01t09:00:00.1234569-03:00")
    assert decoder.decode(raw_batch([value])).index["at"].to_list() == [AT + 123_456]


def test_columns_stay_aligned_around_a_record_rejected_by_its_time(contracts: ContractSet) -> None:
    times = ["2024-05-01T12:00:00Z", "1970-01-01T00:00:00Z", "2024-05-01T12:00:01Z"]
    values = [cloud_event("request.completed", {**REQUEST, f"x{i}": 1}, id=str(i), time=t) for i, t in enumerate(times)]
    decoded = Decoder(contracts, sample_every=1).decode(raw_batch(values))
    assert decoded.index.rows() == [
        (0, 100, AT, "/test|0", "request.completed"),
        (1, 102, AT + 1_000_000, "/test|2", "request.completed"),
    ]
    assert {path for _, path in decoded.quality.unknown_fields} == {"x0", "x2"}
    assert [r.offset for r in decoded.rejects] == [101]


@pytest.mark.parametrize("schema", ["/s/request.completed/1.4.2", "urn:x:v1", "https://x/schemas/request", "1", None])
def test_dataschema_of_the_same_major_version_or_of_none_is_accepted(decoder: Decoder, schema: str | None) -> None:
    assert len(decoder.decode(raw_batch([cloud_event("request.completed", REQUEST, dataschema=schema)]))) == 1


def test_nesting_up_to_the_limit_is_accepted_however_deep_the_caller_stands(decoder: Decoder) -> None:
    def nested(levels: int) -> bytes:
        return cloud_event("request.completed", {**REQUEST, "x": orjson.Fragment(b"[" * levels + b"]" * levels)})

    values = [nested(NESTING_MAX - 2), nested(NESTING_MAX - 1)]  # within data, within the record

    def at_depth(depth: int) -> list[int]:
        if depth:
            return at_depth(depth - 1)
        return [len(decoder.decode(raw_batch([value]))) for value in values]

    free = sys.getrecursionlimit() - NESTING_MAX - 150
    assert at_depth(0) == at_depth(free // 2) == [1, 0]


def test_brackets_in_text_are_no_nesting(decoder: Decoder) -> None:
    assert len(decoder.decode(raw_batch([cloud_event("request.completed", {**REQUEST, "x": '[{"\\' * 1000})]))) == 1


def test_escaped_backslash_before_u0000_is_no_nul(decoder: Decoder) -> None:
    assert len(decoder.decode(raw_batch([request(route="\\u0000")]))) == 1


def test_record_of_exactly_the_size_limit_is_accepted(decoder: Decoder) -> None:
    value = request()
    padded = value + b" " * (RECORD_BYTES_MAX - len(value))
    decoded = decoder.decode(raw_batch([padded, padded + b" "]))
    assert (len(decoded), [r.reason for r in decoded.rejects]) == (1, ["limits"])


def test_each_record_is_decoded_once_whatever_is_bad(contracts: ContractSet) -> None:
    calls = 0
    decode = compile_contracts(contracts).decoder.decode

    def counted(value: bytes) -> Envelope:
        nonlocal calls
        calls += 1
        return decode(value)

    values = [request()] * 5000 + [b"bad"] + [request()] * 4997 + [b"bad", b"{}"]
    records, failed = decode_all(counted, values)
    assert calls == len(values) == 10_000
    assert (len(records), [position for position, _ in failed]) == (9997, [5000, 9998, 9999])


def test_other_errors_are_not_taken_for_bad_records() -> None:
    def broken(value: bytes) -> Envelope:
        raise MemoryError

    with pytest.raises(MemoryError):
        decode_all(broken, [b"{}"])


def test_result_does_not_depend_on_how_records_are_batched(decoder: Decoder) -> None:
    values = [request(), b"bad", cloud_event("order.placed", ORDER), None, request(duration_ms=7_200_000)] * 3
    whole = decoder.decode(raw_batch(values))
    parts = [
        decoder.decode(raw_batch(values[i : i + 2], offsets=list(range(100 + i, 100 + len(values[i : i + 2]) + i))))
        for i in range(0, len(values), 2)
    ]
    columns = ["offset", "at", "id", "type"]
    assert pl.concat([p.index for p in parts]).select(columns).equals(whole.index.select(columns))
    assert [r for p in parts for r in p.rejects] == whole.rejects
    assert [e for p in parts for e in p.events()] == whole.events()
    assert sum(p.quality.should.total() for p in parts) == whole.quality.should.total() == 3


PII = {"order_id": "o", "customer_id": "secret-customer", "review_id": "r", "score": 5, "comment": "secret-text"}


@pytest.mark.parametrize(
    "data",
    [
        {**PII, "score": "secret-score"},
        {**PII, "score": 99},
        {**PII, "customer_id": "secret" * 100},
        {**PII, "order_id": ""},
        {k: v for k, v in PII.items() if k != "order_id"},
    ],
)
def test_detail_of_a_reject_holds_no_value(decoder: Decoder, data: dict[str, Any]) -> None:
    reason, detail = rejected(decoder.decode(raw_batch([cloud_event("review.answered", data)])))
    assert reason == "contract"
    assert "secret" not in detail


def test_type_that_looks_like_no_name_is_not_quoted(decoder: Decoder) -> None:
    assert rejected(decoder.decode(raw_batch([cloud_event("maria@example.com", {})]))) == (
        "unknown-type",
        "no contract for type of 17 characters",
    )


ENUM = """
apiVersion: v3.1.0
kind: DataContract
id: t
version: 2.1.0
status: active
team: {name: t}
support: [{channel: t}]
schema:
  - name: thing.changed
    properties:
      - {name: thing_id, logicalType: string, required: true}
      - name: state
        logicalType: string
        required: true
        quality: [{metric: invalidValues, arguments: {validValues: [on, off]}, mustBe: 0, severity: error}]
      - {name: low, logicalType: integer, customProperties: [{property: default, value: 3}]}
      - {name: high, logicalType: number}
    quality:
      - {name: ordered, type: custom, engine: polars-sql, implementation: low <= high, severity: error}
      - {name: not_far, type: custom, engine: polars-sql, implementation: high < 100, severity: warning}
    customProperties: [{property: additionalProperties, value: false}]
customProperties:
  - {property: entityKey, value: thing_id}
  - {property: flow, value: business}
""".replace("[on, off]", "['on', 'off']")


@pytest.fixture(scope="module")
def things() -> Decoder:
    contract = parse_contract(ENUM.encode(), "thing.yaml")
    return Decoder(ContractSet({contract.type: contract}), sample_every=1)


def thing(**data: Any) -> bytes:
    return cloud_event("thing.changed", {"thing_id": "t1", "state": "on", **data})


def test_value_outside_an_enumeration_is_rejected_without_being_quoted(things: Decoder) -> None:
    assert rejected(things.decode(raw_batch([thing(state="secret")]))) == (
        "contract",
        "Not one of the allowed values - at `$.data.state`",
    )


def test_closed_contract_refuses_unknown_fields_without_quoting_them(things: Decoder) -> None:
    reason, detail = rejected(things.decode(raw_batch([thing(secret=1)])))
    assert (reason, "secret" in detail, "does not name" in detail) == ("contract", False, True)


def test_absent_field_takes_its_default(things: Decoder) -> None:
    assert things.decode(raw_batch([thing()])).events()[0].data == {
        "thing_id": "t1", "state": "on", "low": 3, "high": None
    }  # fmt: skip


def test_record_that_breaks_a_must_rule_is_rejected_and_one_without_the_field_is_not(things: Decoder) -> None:
    decoded = things.decode(raw_batch([thing(high=5), thing(low=9, high=5), thing(low=9)]))
    assert decoded.index["offset"].to_list() == [100, 102]
    assert [(r.offset, r.reason, r.detail) for r in decoded.rejects] == [(101, "contract", "breaks rule ordered")]


def test_record_that_breaks_a_should_rule_is_accepted_and_counted(things: Decoder) -> None:
    decoded = things.decode(raw_batch([thing(high=500), thing(high=5), thing(high=100)]))
    assert (len(decoded), dict(decoded.quality.should)) == (3, {("thing.changed", "not_far"): 2})


def test_rules_of_a_type_count_only_its_records_in_a_mixed_batch(decoder: Decoder) -> None:
    values = [cloud_event("order.placed", ORDER), request(duration_ms=3_700_000), cloud_event("order.placed", ORDER)]
    assert dict(decoder.decode(raw_batch(values)).quality.should) == {("request.completed", "duration_plausible"): 1}


def test_unknown_fields_are_found_in_the_sample(contracts: ContractSet) -> None:
    item = {**ORDER["items"][0], "colour": "red", "not a name": 1}
    value = cloud_event("order.placed", {**ORDER, "channel": "app", "items": [item]})
    quality = Decoder(contracts, sample_every=1).decode(raw_batch([value, value])).quality
    assert dict(quality.sampled) == {"order.placed": 2}
    assert dict(quality.unknown_fields) == {
        ("order.placed", "channel"): 2,
        ("order.placed", "items[].colour"): 2,
        ("order.placed", "items[].(no name)"): 2,
    }


def test_sample_depends_on_seed_and_offset_only(contracts: ContractSet) -> None:
    values = [cloud_event("shipment.delivered", {"order_id": "o", "customer_id": "c", f"x{i}": 1}) for i in range(200)]

    def sampled(seed: int, size: int) -> set[str]:
        decoder = Decoder(contracts, seed=seed, sample_every=16)
        paths: set[str] = set()
        for i in range(0, 200, size):
            part = values[i : i + size]
            batch = raw_batch(part, offsets=list(range(i, i + len(part))))
            paths |= {path for _, path in decoder.decode(batch).quality.unknown_fields}
        return paths

    assert sampled(0, 200) == sampled(0, 7)
    assert len(sampled(0, 200)) in (12, 13)
    assert len({frozenset(sampled(seed, 200)) for seed in range(8)}) > 1


def test_names_of_unknown_fields_are_bounded(contracts: ContractSet) -> None:
    data = {"order_id": "o", "customer_id": "c", **{f"x{i}": 1 for i in range(500)}}
    quality = Decoder(contracts, sample_every=1).decode(raw_batch([cloud_event("shipment.delivered", data)])).quality
    assert len(quality.unknown_fields) <= 101
    assert quality.unknown_fields.total() == 500


@pytest.mark.parametrize("odd", [b"1e400", b'"\xff"'])
def test_odd_value_of_an_unknown_field_is_not_read_even_in_the_sample(contracts: ContractSet, odd: bytes) -> None:
    value = request(extra="odd").replace(b'"odd"', odd)
    decoded = Decoder(contracts, sample_every=1).decode(raw_batch([value]))
    assert (len(decoded), decoded.quality.sampled.total()) == (1, 0)


def test_business_records_become_events_keyed_by_customer(decoder: Decoder) -> None:
    decoded = decoder.decode(raw_batch([request(), cloud_event("order.placed", ORDER)], topic="mixed"))
    (event,) = decoded.events()
    assert (event.at, event.id, event.key, event.type) == (AT, "/test|1", "c1", "order.placed")
    assert (event.channel, event.seq) == ("mixed/0", 101)
    item = {**ORDER["items"][0], "category": None}
    assert event.data == {**ORDER, "promised_at": 1_715_212_800_000_000, "items": [item]}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event.data)) == event.data


def test_personal_field_without_purpose_is_never_decoded(decoder: Decoder) -> None:
    decoded = decoder.decode(raw_batch([cloud_event("review.answered", {**PII, "comment": 5})]))
    assert decoded.events()[0].data == {k: v for k, v in PII.items() if k != "comment"}
    assert not hasattr(decoded.parts["review.answered"].data[0], "comment")


def test_absent_instant_stays_null(decoder: Decoder) -> None:
    data = {"order_id": "o", "customer_id": "c"}
    values = [cloud_event("order.approved", data), cloud_event("order.approved", {**data, "ship_by": None})]
    assert [e.data["ship_by"] for e in decoder.decode(raw_batch(values)).events()] == [None, None]


def test_events_follow_the_rows_asked_for(decoder: Decoder) -> None:
    values = [cloud_event("shipment.delivered", {"order_id": str(i), "customer_id": "c"}) for i in range(4)]
    decoded = decoder.decode(raw_batch([request(), *values]))
    chosen: Callable[[list[int]], list[str]] = lambda rows: [  # noqa: E731
        e.data["order_id"] for e in decoded.events(pl.Series(rows, dtype=pl.Int64()))
    ]
    assert chosen([0, 2, 4]) == ["1", "3"]
    assert chosen([]) == []


def test_rules_on_single_fields_are_counted_and_kept() -> None:
    text = ENUM.replace(
        "- {name: high, logicalType: number}",
        """- {name: high, logicalType: number}
      - name: unit
        logicalType: string
        quality:
          - {name: unit_known, metric: invalidValues, arguments: {validValues: [cm, "it's"]}, severity: warning}
          - {name: unit_given, metric: nullValues, severity: warning}
          - {name: unit_short, metric: invalidValues, arguments: {pattern: "^.{1,4}$"}, severity: error}""",
    )
    contract = parse_contract(text.encode(), "thing.yaml")
    decoder = Decoder(ContractSet({contract.type: contract}))
    decoded = decoder.decode(
        raw_batch([thing(unit="cm"), thing(unit="it's"), thing(), thing(unit="km"), thing(unit="metre")])
    )
    assert dict(decoded.quality.should) == {
        ("thing.changed", "unit_known"): 1,  # the rejected one does not count
        ("thing.changed", "unit_given"): 1,
    }
    assert [(r.offset, r.detail) for r in decoded.rejects] == [(104, "breaks rule unit_short")]


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "records"), [("orders", 43_931), ("crm", 8_246), ("telemetry", 16_685)])
def test_every_record_of_the_marketplace_is_well(shared_data: Path, decoder: Decoder, name: str, records: int) -> None:
    with gzip.open(shared_data / "olist" / f"{name}.kcat.jsonl.gz") as dump:
        values = [orjson.loads(line)["payload"].encode() for line in dump]
    decoded = decoder.decode(raw_batch(values))
    assert (len(decoded), decoded.rejects, decoded.quality.unknown_fields.total()) == (records, [], 0)
    assert len(decoded.events()) + len(decoded.measures()) == records


@pytest.mark.shared_data
@pytest.mark.parametrize("day", ["2022-08-22", "2023-01-30"])
def test_every_record_of_the_microservice_shop_is_well(shared_data: Path, decoder: Decoder, day: str) -> None:
    with gzip.open(shared_data / "nezha" / day / "telemetry.kcat.jsonl.gz") as dump:
        values = [orjson.loads(line)["payload"].encode() for line in dump]
    decoded = decoder.decode(raw_batch(values))
    assert (len(decoded), decoded.rejects) == (len(values), [])
    maps = [metrics for part in decoded.parts.values() for metrics in part.fields.values("metrics")]
    expected = sum(value is not None for metrics in maps for value in metrics.values())
    assert len(decoded.measures()) == expected > len(values)


def test_what_stands_in_other_chunks_changes_nothing(decoder: Decoder) -> None:
    order = cloud_event("order.placed", ORDER, id="o")
    values = [cloud_event("request.completed", {**REQUEST, "status": 200 + i % 7}, id=str(i)) for i in range(2 * CHUNK)]
    soon = cloud_event("request.completed", REQUEST, time="soon")
    values[1], values[CHUNK], values[-1] = b"{", soon, order
    decoded = decoder.decode(raw_batch(values))
    assert [r.offset for r in decoded.rejects] == [101, 100 + CHUNK]
    assert decoded.index["offset"].to_list() == [100 + i for i in range(2 * CHUNK) if i not in (1, CHUNK)]
    assert decoded.index["id"].to_list()[1:3] == ["/test|2", "/test|3"]
    assert statuses(decoded) == [200 + i % 7 for i in range(2 * CHUNK - 1) if i not in (1, CHUNK)]
    (event,) = decoded.events()
    assert (event.id, event.seq) == ("/test|o", 100 + 2 * CHUNK - 1)
    assert len(decoded.measures()) == 2 * CHUNK - 3
