"""Whom to blame, by the signs of all services."""

from __future__ import annotations

import random

import pytest

from config.services.load import ServiceMap
from operators.blame import Signs, rank

CALLS = ServiceMap({"shop": ["cart", "bank", "advert"], "cart": ["store"], "bank": ["store"]})
WELL: Signs = {"latency": -1.0, "errors": -1.0, "calls": -1.0, "processor": -1.0, "writes": -1.0, "quiet": -1.0}
SERVICES = ("shop", "cart", "bank", "advert", "store")


def first(flagged: dict[str, float] | None = None, calls: ServiceMap = CALLS, **signs: Signs) -> str:
    panes = {service: [{**WELL, **signs.get(service, {})}] * 3 for service in SERVICES}
    suspects = rank(panes, calls, flagged or {})
    assert sum(suspect.share for suspect in suspects) == pytest.approx(1)
    assert [suspect.score for suspect in suspects] == sorted((s.score for s in suspects), reverse=True)
    return suspects[0].service


def test_a_busy_processor_is_at_fault() -> None:
    assert first(shop={"latency": 2.0, "calls": 2.0}, cart={"processor": 2.5, "latency": 2.5}) == "cart"


def test_a_slow_service_whose_callees_answer_late_is_not_at_fault_itself() -> None:
    slow = {"latency": 2.0, "calls": 2.0}
    assert first(shop=slow, cart=slow, bank=slow) == "store"


def test_a_service_that_alone_explains_its_only_slow_caller_is_at_fault() -> None:
    assert first(cart={"latency": 2.0, "calls": 2.0}) in {"store", "cart"}
    assert first(shop={"latency": 2.0, "calls": 2.0}, advert={"writes": 2.0}) == "advert"


def test_a_service_that_fails_before_it_calls_others_is_at_fault() -> None:
    assert first(store={"quiet": 2.5}, cart={"errors": 0.5}, bank={"quiet": 2.5}) == "cart"


def test_what_is_called_less_because_its_caller_is_called_less_speaks_against_nobody() -> None:
    less = {"quiet": 2.0}
    assert first(shop=less, cart=less, bank=less, advert=less, store={"errors": 2.0}) == "store"


def test_a_service_that_its_own_detectors_flagged_is_at_fault_where_no_sign_is_known() -> None:
    assert [s.service for s in rank({}, CALLS, {"cart": 1.0, "shop": 0.0})] == ["cart", "shop"]


def test_without_a_map_the_signs_of_each_service_decide() -> None:
    assert first(calls=ServiceMap({}), bank={"latency": 2.0}, shop={"latency": 1.0}) == "bank"


def test_nobody_is_blamed_where_nobody_was_measured() -> None:
    assert rank({}, CALLS, {}) == []


def test_the_order_of_services_and_signs_does_not_matter() -> None:
    rng = random.Random(5)
    panes = [(s, [{sign: rng.gauss(0, 2) for sign in WELL} for _ in range(3)]) for s in SERVICES]
    expected = rank(dict(panes), CALLS, {"cart": 1.0})
    for _ in range(5):
        rng.shuffle(panes)
        shuffled = {service: [dict(rng.sample(list(signs.items()), 6)) for signs in of] for service, of in panes}
        assert rank(shuffled, CALLS, {"cart": 1.0}) == expected
