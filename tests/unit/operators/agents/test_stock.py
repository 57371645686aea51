"""Products of which more was sold than there is, and warehouses that only look empty."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from config.clock import DAY, HOUR, MINUTE, SECOND
from config.events import Event
from config.findings import Finding
from operators.agents.stock import DEMAND, GONE, LEFT, OVERSOLD, STOCK, OversoldParameters, OversoldWatch
from tests.support.causes import START, watched

PRODUCT = "product:p1"


def level(at: int, on_hand: float, warehouse: str = "w1") -> Event:
    """A level measured at `at`, told when its hour is over."""
    end = (at // HOUR + 1) * HOUR
    data = {"warehouse": warehouse, "on_hand": on_hand, "at": at, "since": end - HOUR, "until": end}
    data |= {"spans": {"telemetry/0": (3, 4)}, "contract": "inventory.level@1.1.0"}
    return Event(end, f"stock-{warehouse}-{at}", PRODUCT, STOCK, data)


def of_order(at: int, order: str, name: str = DEMAND, units: int = 1) -> Event:
    data = {"order": order, "record": ("orders", 0, at % 1_000)}
    return Event(at, f"{name}-{order}", PRODUCT, name, data | {"units": units, "amount": 10_000_000 * units})


def all_of(name: str, at: int, numbers: Iterable[int] = range(5)) -> list[Event]:
    return [of_order(at + number, f"o{number}", name) for number in numbers]


def sold(count: int, since: int = START + HOUR, each: int = MINUTE) -> list[Event]:
    return [of_order(since + number * each, f"o{number}") for number in range(count)]


def found_in(*events: Event, until: int = START + 9 * DAY) -> list[Finding]:
    return watched(OversoldWatch(OversoldParameters(), HOUR), events, until)


def test_more_orders_than_stock_are_found_when_the_hour_is_over() -> None:
    (finding,) = found_in(level(START, 3), *sold(5), until=START + DAY)

    assert (finding.kind, finding.entity, finding.customer) == (OVERSOLD, PRODUCT, "")
    assert finding.at == (START // HOUR + 2) * HOUR + SECOND
    assert finding.money_at_risk == 20.0
    assert finding.evidence.features["customers"] == 2
    assert (len(finding.evidence.records), finding.evidence.queries[0].metric) == (5, "w1")
    assert finding.reason == (
        "Of product p1 5 units are sold and not handed over, 3 are there: the last 2 orders cannot be served."
    )


PLENTY: dict[str, list[Event]] = {
    "exactly as many": [level(START, 5), *sold(5)],
    "an empty warehouse beside a full one": [level(START, 0), level(START, 9, "w2"), *sold(5)],
    "stock never measured": sold(9),
    "cancelled within the hour": [level(START, 3), *sold(5), *all_of(GONE, START + 80 * MINUTE, (3, 4))],
    "restocked within the hour": [level(START, 3), level(START + HOUR + 4 * MINUTE, 9), *sold(5)],
    "handed over, then measured": [level(START, 5), *sold(5), *all_of(LEFT, START + 3 * HOUR),
                                   level(START + 5 * HOUR, 0)],
    "handed over, not yet measured": [level(START, 5), *sold(5),
                                      *all_of(LEFT, START + 3 * HOUR)],
    "levels out of date": [level(START, 3), *sold(5, since=START + 8 * DAY)],
}  # fmt: skip


@pytest.mark.parametrize("events", PLENTY.values(), ids=PLENTY)
def test_products_of_which_there_is_enough_are_let_be(events: list[Event]) -> None:
    assert found_in(*events) == []


def test_units_that_left_after_the_measurement_are_still_in_it() -> None:
    left = [of_order(START + 2 * HOUR + number, f"o{number}", LEFT) for number in range(2)]

    found = found_in(level(START, 3), *sold(3), *left, of_order(START + 3 * HOUR, "late"), until=START + DAY)

    assert len(found) == 1


def test_several_units_of_one_order_count() -> None:
    assert len(found_in(level(START, 3), of_order(START + HOUR, "big", units=4), until=START + DAY)) == 1


def test_oversold_ends_when_goods_arrive() -> None:
    found = found_in(level(START, 3), *sold(5), level(START + 9 * HOUR, 30))

    assert [finding.resolves for finding in found] == [False, True]
    assert found[-1].reason == "5 units are wanted, 30 are there again."
