from __future__ import annotations

from typing import Any

import polars as pl
import pytest
import yaml

from config.contracts import BUILT_IN, ContractSet, load_contracts, parse_contract
from operators.decode import Decoder
from operators.measure import SCHEMA, scaled
from tests.support.cloudevents import AT, ORDER, cloud_event, raw_batch, request


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder(load_contracts(BUILT_IN))


def lane(value: float, metric: str = "transit_hours") -> bytes:
    return cloud_event("fulfilment.measured", {"lane": "SP-RJ", "metric": metric, "value": value})


def service(metrics: dict[str, Any]) -> bytes:
    return cloud_event("service.measured", {"service": "cart", "instance": "cart-1", "metrics": metrics})


def test_field_measure_counts_failures_and_customers(decoder: Decoder) -> None:
    values = [request(), request(status=500, customer_id=None), request(status=499, service="cart")]
    measures = decoder.decode(raw_batch(values)).measures()
    assert measures.schema == SCHEMA
    assert measures.rows() == [
        ("checkout", "duration_ms", AT, 12_500, False, "c1", 100, "request.completed@1.0.0"),
        ("checkout", "duration_ms", AT, 12_500, True, None, 101, "request.completed@1.0.0"),
        ("cart", "duration_ms", AT, 12_500, False, "c1", 102, "request.completed@1.0.0"),
    ]


def test_record_whose_condition_cannot_be_told_has_not_failed() -> None:
    content = yaml.safe_load((BUILT_IN / "request.completed.yaml").read_text())
    next(p for p in content["schema"][0]["properties"] if p["name"] == "status")["required"] = False
    contract = parse_contract(yaml.safe_dump(content).encode(), "request.yaml")
    decoder = Decoder(ContractSet({contract.type: contract}))
    measures = decoder.decode(raw_batch([request(status=None), request(status=500)])).measures()
    assert measures["failed"].to_list() == [False, True]


def test_map_measure_has_a_row_for_each_entry_that_is_not_null(decoder: Decoder) -> None:
    values = [service({"cpu": 1.5, "gone": None, "mem": 2}), service({}), service({"cpu": -0.000001})]
    measures = decoder.decode(raw_batch(values)).measures()
    assert measures.select("key", "metric", "value", "offset", "failed", "customer").rows() == [
        ("cart", "cpu", 1_500_000, 100, False, None),
        ("cart", "mem", 2_000_000, 100, False, None),
        ("cart", "cpu", -1, 102, False, None),
    ]
    assert measures.schema == SCHEMA


def test_map_measures_of_empty_maps_keep_the_schema(decoder: Decoder) -> None:
    measures = decoder.decode(raw_batch([service({})])).measures()
    assert (len(measures), measures.schema) == (0, SCHEMA)


def test_named_measure_takes_its_metric_from_a_field(decoder: Decoder) -> None:
    measures = decoder.decode(raw_batch([lane(96.0), lane(1.0000004, "handover_hours")])).measures()
    assert measures.select("key", "metric", "value").rows() == [
        ("SP-RJ", "transit_hours", 96_000_000),
        ("SP-RJ", "handover_hours", 1_000_000),
    ]


def test_mixed_batch_gives_the_measures_of_all_telemetry_types_and_rows(decoder: Decoder) -> None:
    values = [lane(1), cloud_event("order.placed", ORDER), request(), lane(2), service({"cpu": 1})]
    decoded = decoder.decode(raw_batch(values))
    assert decoded.measures().select("offset", "metric").rows() == [
        (100, "transit_hours"), (103, "transit_hours"), (102, "duration_ms"), (104, "cpu")
    ]  # fmt: skip
    chosen = decoded.measures(pl.Series([3, 1, 2], dtype=pl.Int64()))
    assert chosen.select("offset", "value").rows() == [(103, 2_000_000), (102, 12_500)]
    assert decoded.measures(pl.Series([], dtype=pl.Int64())).schema == SCHEMA


def test_business_records_measure_nothing(decoder: Decoder) -> None:
    measures = decoder.decode(raw_batch([cloud_event("order.placed", ORDER)])).measures()
    assert (len(measures), measures.schema) == (0, SCHEMA)


@pytest.mark.parametrize(
    ("value", "digits", "units"),
    [
        (12.5, 3, 12_500),
        (0.0005, 3, 0),
        (0.0015, 3, 2),
        (-0.0005, 3, 0),
        (-0.0015, 3, -2),
        (0.1, 6, 100_000),
        (7, 0, 7),
    ],
)
def test_scaling_rounds_half_to_even(value: float, digits: int, units: int) -> None:
    assert scaled(pl.Series([value], dtype=pl.Float64()), digits).to_list() == [units]


def test_integers_scale_without_rounding() -> None:
    large = 9_007_199_254_740_993  # no float
    assert scaled(pl.Series([large, None]), 2).to_list() == [large * 100, None]


@pytest.mark.parametrize(("value", "accepted"), [(9e12, 1), (-9e12, 1), (9.1e12, 0), (-9.1e12, 0)])
def test_values_that_would_not_fit_in_units_of_the_scale_are_rejected(
    decoder: Decoder, value: float, accepted: int
) -> None:
    decoded = decoder.decode(raw_batch([lane(value)]))
    assert (len(decoded), [r.reason for r in decoded.rejects]) == (accepted, ["contract"] * (1 - accepted))
    assert decoded.measures()["value"].to_list() == [int(value) * 10**6] * accepted
