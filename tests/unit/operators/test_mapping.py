"""Foreign records: the documented examples of docs/contracts.md are the contracts tested here."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from config.contracts import BUILT_IN, ContractSet, load_contract, parse_contract
from operators.batch import RawBatch
from operators.decode import Decoded, Decoder
from tests.support.cloudevents import AT, REQUEST, cloud_event, raw_batch

DOCS = Path(__file__).parents[3] / "docs" / "contracts.md"
MS = AT // 1000


def documented(marker: str) -> Any:
    """The YAML block of the documentation that follows the HTML comment `marker`."""
    found = re.search(rf"<!-- {marker} -->\n```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    return yaml.safe_load(found.group(1))


def with_mapping(type_name: str, block: list[dict[str, Any]]) -> ContractSet:
    content = yaml.safe_load((BUILT_IN / f"{type_name}.yaml").read_text())
    content["customProperties"] += block
    contract = parse_contract(yaml.safe_dump(content).encode(), f"{type_name}.yaml")
    plain = load_contract(BUILT_IN / "request.completed.yaml")
    return ContractSet({contract.type: contract, plain.type: plain})


@pytest.fixture(scope="module")
def plain() -> Decoder:
    return Decoder(with_mapping("payment.captured", documented("example: plain JSON")))


@pytest.fixture(scope="module")
def debezium() -> Decoder:
    return Decoder(with_mapping("order.approved", documented("example: Debezium")))


def decode(decoder: Decoder, topic: str, *values: Any, **columns: Any) -> Decoded:
    bodies = [value if isinstance(value, bytes | None) else orjson.dumps(value) for value in values]
    return decoder.decode(raw_batch(bodies, topic=topic, **columns))


PAYMENT = {
    "kind": "payment.ok",
    "ref": "pay-9",
    "ts": AT // 1_000_000,
    "buyer": {"id": 77},
    "order": {"no": "o1"},
    "parts": [{"via": "card", "cents_free_amount": "19.90"}],
}


def test_plain_json_becomes_an_event(plain: Decoder) -> None:
    (event,) = decode(plain, "shop.payments", PAYMENT).events()
    assert (event.at, event.id, event.key, event.type) == (AT, "shop|pay-9", "77", "payment.captured")
    assert event.data == {
        "order_id": "o1", "customer_id": "77", "method": "card", "installments": 1, "amount": 19.9, "sequence": 1,
        "payment_id": None, "instrument_hash": None, "device_hash": None,
    }  # fmt: skip


def test_record_of_another_kind_is_unmapped_and_loses_only_itself(plain: Decoder) -> None:
    decoded = decode(plain, "shop.payments", PAYMENT, {**PAYMENT, "kind": "payment.seen"}, [1], b"nope", PAYMENT)
    assert decoded.index["offset"].to_list() == [100, 104]
    assert [(r.offset, r.reason) for r in decoded.rejects] == [(101, "unmapped"), (102, "unmapped"), (103, "not-json")]
    assert decoded.rejects[0].value == orjson.dumps({**PAYMENT, "kind": "payment.seen"})


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"parts": [{"via": "card", "cents_free_amount": "a lot"}]}, "contract", "$.data.amount"),
        ({"parts": [{"via": "card", "cents_free_amount": "NaN"}]}, "contract", "$.data.amount"),
        ({"parts": []}, "contract", "`method`"),
        ({"ts": "soon"}, "time", "RFC 3339"),
        ({"ts": 10**30}, "time", "no event time"),
        ({"ts": 10**18}, "time", "RFC 3339"),
        ({"ts": None}, "time", "no event time"),
        ({"ref": None}, "not-cloudevent", "`id`"),
    ],
)
def test_what_cannot_be_mapped_is_named_by_its_field(
    plain: Decoder, change: dict[str, Any], reason: str, detail: str
) -> None:
    (reject,) = decode(plain, "shop.payments", json.dumps({**PAYMENT, **change}).encode()).rejects
    assert (reject.reason, detail in reject.detail) == (reason, True), reject.detail


def test_topics_are_matched_by_pattern_and_other_topics_are_not_mapped(plain: Decoder) -> None:
    assert len(decode(plain, "eu.payments", PAYMENT)) == 1
    assert decode(plain, "payments", PAYMENT).rejects[0].reason == "not-cloudevent"


def test_cloudevents_on_a_mapped_topic_are_taken_as_they_are(plain: Decoder) -> None:
    decoded = decode(plain, "shop.payments", cloud_event("request.completed", REQUEST))
    assert list(decoded.parts) == ["request.completed"]


CHANGE = {
    "before": {"id": 5, "state": "new", "customer": "c1", "ship_by": None},
    "after": {"id": 5, "state": "approved", "customer": "c1", "ship_by": (MS + 86_400_000) * 1000},
    "source": {"table": "orders", "ts_ms": MS},
    "op": "u",
    "ts_ms": MS + 250,
}


@pytest.mark.parametrize("envelope", [False, True])
def test_debezium_change_becomes_an_event_with_and_without_its_schema(debezium: Decoder, envelope: bool) -> None:
    value = {"schema": {"type": "struct"}, "payload": CHANGE} if envelope else CHANGE
    (event,) = decode(debezium, "shop.public.orders", value).events()
    assert (event.at, event.id, event.key) == (AT, "shop-db|shop.public.orders/0/100", "c1")
    assert event.data == {"order_id": "5", "customer_id": "c1", "ship_by": AT + 86_400_000_000}


@pytest.mark.parametrize(
    "change",
    [
        {"before": {**CHANGE["before"], "state": "approved"}},  # type: ignore[dict-item]
        {"after": {**CHANGE["after"], "state": "packed"}},  # type: ignore[dict-item]
        {"op": "d", "after": None},
        {"op": True},
    ],
)
def test_debezium_change_that_is_no_approval_is_unmapped(debezium: Decoder, change: dict[str, Any]) -> None:
    (reject,) = decode(debezium, "shop.public.orders", {**CHANGE, **change}).rejects
    assert reject.reason == "unmapped"


def test_row_approved_from_the_start_counts(debezium: Decoder) -> None:
    assert len(decode(debezium, "shop.public.orders", {**CHANGE, "op": "c", "before": None})) == 1


def test_tombstone_after_a_delete_is_a_tombstone(debezium: Decoder) -> None:
    assert decode(debezium, "shop.public.orders", None).rejects[0].reason == "tombstone"


def kafka_mapped(**mapping: Any) -> Decoder:
    block = [{"property": "mapping", "value": [{"topics": ["raw"], **mapping}]}]
    return Decoder(with_mapping("shipment.delivered", block))


def test_kafka_gives_time_key_and_identity_by_default() -> None:
    decoder = kafka_mapped(data={"order_id": "o", "customer_id": "@key"})
    (event,) = decode(decoder, "raw", {"o": "o1"}, keys=[b"\xffc1"]).events()
    assert (event.at, event.id, event.key) == (AT, "raw|raw/0/100", "\\xffc1")


def test_place_in_the_topic_can_be_part_of_id_and_data() -> None:
    data = {"order_id": {"path": "@offset", "to": "string"}, "customer_id": "@topic"}
    decoder = kafka_mapped(data=data, id=["@topic", "@partition", "n"], source="s")
    (event,) = decode(decoder, "raw", {"n": 5}).events()
    assert (event.id, event.data) == ("s|raw/0/5", {"order_id": "100", "customer_id": "raw"})


def test_instant_no_calendar_holds_is_no_time() -> None:
    decoder = kafka_mapped(data={"order_id": "o", "customer_id": "c"}, time={"path": "t", "unit": "s"})
    assert decode(decoder, "raw", {"o": "o1", "c": "c1", "t": -(10**12)}).rejects[0].reason == "time"


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("-7", -7), ("7.0", None), ("1_0", None), (" 7", None), ("", None)]
)
def test_text_is_read_as_an_integer_only_if_it_is_one(text: str, number: int | None) -> None:
    block = documented("example: plain JSON")
    block[0]["value"][0]["data"]["installments"] = {"path": "count", "to": "integer"}
    decoded = decode(Decoder(with_mapping("payment.captured", block)), "shop.payments", {**PAYMENT, "count": text})
    accepted = number is not None and number >= 0
    assert [event.data["installments"] for event in decoded.events()] == ([number] if accepted else [])
    assert all("$.data.installments" in reject.detail for reject in decoded.rejects)


@pytest.mark.parametrize(
    ("unit", "value"), [("s", MS // 1000), ("ms", MS), ("us", AT), ("ns", AT * 1000), ("text", "2024-05-01T12:00:00Z")]
)
def test_instants_are_read_in_each_unit(unit: str, value: object) -> None:
    decoder = kafka_mapped(data={"order_id": "o", "customer_id": "c"}, time={"path": "t", "unit": unit})
    assert decode(decoder, "raw", {"o": "o1", "c": "c1", "t": value}).index["at"].to_list() == [AT]


def test_nul_characters_do_not_enter_by_keys_or_headers(plain: Decoder) -> None:
    decoder = kafka_mapped(data={"order_id": "o", "customer_id": "@key"})
    assert decode(decoder, "raw", {"o": "o1"}, keys=[b"c\0"]).rejects[0].detail == "holds a NUL character"
    assert plain.decode(binary(ce_id=b"7\0")).rejects[0].detail == "holds a NUL character"


@pytest.mark.parametrize(("value", "taken"), [(1, 1), (2, 1), (True, 0), (1.0, 0), ("1", 0), (None, 0)])
def test_conditions_compare_values_of_the_same_type(value: object, taken: int) -> None:
    decoder = kafka_mapped(data={"order_id": "o", "customer_id": "c"}, when={"flag": [1, 2]})
    assert len(decode(decoder, "raw", {"o": "o1", "c": "c1", "flag": value})) == taken


def test_null_in_a_condition_stands_for_a_missing_path() -> None:
    decoder = kafka_mapped(data={"order_id": "o", "customer_id": "c"}, when={"deleted.at": None})
    values = [
        {"o": "o", "c": "c"},
        {"o": "o", "c": "c", "deleted": {"at": None}},
        {"o": "o", "c": "c", "deleted": {"at": 1}},
    ]
    assert decode(decoder, "raw", *values).index["offset"].to_list() == [100, 101]


@pytest.mark.parametrize(
    ("columns", "data", "reason"),
    [
        ({"timestamps": [-1]}, {"order_id": "o", "customer_id": "c"}, "time"),
        ({}, {"order_id": "o", "customer_id": "@key"}, "contract"),
        ({}, {"order_id": "o", "customer_id": "@nothing"}, "contract"),
    ],
)
def test_what_kafka_does_not_know_is_missing(columns: dict[str, Any], data: dict[str, str], reason: str) -> None:
    assert decode(kafka_mapped(data=data), "raw", {"o": "o1", "c": "c1"}, **columns).rejects[0].reason == reason


def binary(**headers: bytes) -> RawBatch:
    given = {"ce_specversion": b"1.0", "ce_id": b"7", "ce_source": b"/gw", "ce_type": b"request.completed",
             "ce_time": b"2024-05-01T12:00:00Z", "content-type": b"application/json", **headers}  # fmt: skip
    plain = cloud_event("request.completed", REQUEST)
    return raw_batch([orjson.dumps(REQUEST), plain], headers=[list(given.items()), []])


def test_binary_mode_is_read_from_headers_beside_structured_records(plain: Decoder) -> None:
    assert plain.decode(binary()).index["id"].to_list() == ["/gw|7", "/test|1"]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [({"ce_id": b"\xff"}, "not-cloudevent"), ({"ce_type": b"nope"}, "unknown-type"), ({"ce_time": b""}, "time")],
)
def test_binary_mode_with_bad_headers_is_rejected(plain: Decoder, headers: dict[str, bytes], reason: str) -> None:
    decoded = plain.decode(binary(**headers))
    assert [r.reason for r in decoded.rejects] == [reason]
    assert decoded.rejects[0].value == orjson.dumps(REQUEST)


def test_data_of_binary_mode_cannot_set_attributes(plain: Decoder) -> None:
    batch = binary()
    batch = replace(batch, values=[orjson.dumps(REQUEST)[:-1] + b'},"id":"forged"}', *batch.values[1:]])
    assert [r.reason for r in plain.decode(batch).rejects] == ["not-json"]


def test_a_record_too_deep_to_be_written_again_is_rejected(plain: Decoder) -> None:
    """The reader of JSON goes deeper than its writer."""
    deep = b"[" * 255 + b"1" + b"]" * 255
    batch = binary()
    rejects = plain.decode(replace(batch, values=[deep, *batch.values[1:]])).rejects
    assert [(reject.offset, reject.reason) for reject in rejects] == [(batch.offsets[0], "limits")]
