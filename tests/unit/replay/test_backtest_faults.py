"""Findings on services, held against injected faults."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from config.clock import HOUR, MINUTE, from_text
from config.errors import UsageError
from replay.backtest.faults import Fault, alerts_of, judged, read_faults, service_of

T0 = from_text("2026-01-05T10:00:00Z")
FAULT = Fault("2026-01-05T10:00:00Z", "cpu", pod="shop-cart-579f59597d-wc2lz")


def finding(minute: float, service: str, *, resolves: bool = False, since: float | None = None) -> dict[str, Any]:
    begun = minute if since is None else since
    occurrence = f"{begun}" + (f" until {minute}" if resolves else "")
    return {
        "finding_id": f"{service} {occurrence}",
        "entity": f"service:{service}",
        "kind": "service.degraded",
        "at": T0 + int(minute * MINUTE),
        "occurrence": occurrence,
        "resolves": resolves,
    }


def test_a_pod_belongs_to_its_deployment() -> None:
    assert service_of("shop-cart-579f59597d-wc2lz") == "shop-cart"
    assert service_of("frontend") == "frontend"


def test_several_services_of_one_incident_are_one_alert_whatever_the_order() -> None:
    rows = [
        finding(1, "a"),
        finding(3, "b"),
        finding(4, "a", resolves=True, since=1),
        finding(6, "b", resolves=True, since=3),
        finding(6, "c"),
    ]
    expected = [["service:a", "service:b"], ["service:c"]]
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        assert [[row["entity"] for row in alert.findings] for alert in alerts_of(rows)] == expected


def test_findings_on_orders_and_about_customers_are_no_alerts() -> None:
    of_customer = finding(1, "a") | {"customer": "c1"}
    of_order = finding(1, "a") | {"entity": "order:1"}
    assert alerts_of([of_customer, of_order]) == []


def test_a_fault_is_found_within_five_minutes_and_named_by_the_first_finding() -> None:
    document = judged([FAULT], [finding(2, "shop-cart"), finding(3, "other")], T0, T0 + 2 * HOUR)
    assert (document["found"], document["service_named"], document["false_alerts"]) == (1, 1, 0)
    assert document["delay_minutes"] == {"p50": 2.0, "p90": 2.0}
    other_first = judged([FAULT], [finding(1, "other"), finding(2, "shop-cart")], T0, T0 + 2 * HOUR)
    assert (other_first["found"], other_first["service_named"]) == (1, 0)
    assert other_first["by_kind"] == {"cpu": {"faults": 1, "found": 1, "service_named": 0}}


@pytest.mark.parametrize("minute", [-1, 0, 5.1])
def test_what_opens_outside_the_five_minutes_is_false(minute: float) -> None:
    document = judged([FAULT], [finding(minute, "shop-cart")], T0 - HOUR, T0 + HOUR)
    assert (document["found"], document["false_alerts"], document["false_alerts_per_hour"]) == (0, 1, 0.5)
    assert document["false"][0]["entities"] == ["service:shop-cart"]


def test_a_later_finding_of_an_open_incident_is_not_false() -> None:
    document = judged([FAULT], [finding(4, "shop-cart"), finding(7, "other")], T0 - HOUR, T0 + HOUR)
    assert (document["alerts"], document["false_alerts"]) == (1, 0)


def test_a_file_that_holds_no_faults_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text('[{"kind": "cpu"}]')
    with pytest.raises(UsageError, match="injected_at"):
        read_faults(path)
    with pytest.raises(UsageError):
        read_faults(tmp_path / "missing.json")
