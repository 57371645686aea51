"""Cards tried out across accounts, and devices that many honest customers share."""

from __future__ import annotations

import pytest

from config.clock import DAY, HOUR, MINUTE, SECOND
from config.events import Event
from config.findings import Finding
from operators.agents.card_testing import CARD_TESTING
from operators.agents.devices import TRIED, SharedCardsParameters, SharedCardsWatch
from tests.support.causes import START, watched

DEVICE = "device:d1"


def tried(at: int, customer: str, *, failed: bool = True) -> Event:
    data = {"customer": customer, "failed": failed, "amount": 5_000_000, "record": ("orders", 0, at % 1_000)}
    return Event(at, f"try-{customer}-{at}", DEVICE, TRIED, data)


def tries(
    count: int, *, customers: int = 99, each: int = 4 * MINUTE, since: int = START, failed: bool = True
) -> list[Event]:
    return [tried(since + n * each, f"c{n % customers}", failed=failed) for n in range(count)]


def found_in(*events: Event, until: int = START + 9 * DAY) -> list[Finding]:
    return watched(SharedCardsWatch(SharedCardsParameters()), events, until)


def test_cards_of_four_customers_that_fail_by_one_device_are_found() -> None:
    (finding,) = found_in(*tries(4), until=START + DAY)

    assert (finding.kind, finding.entity, finding.at) == (CARD_TESTING, DEVICE, START + 12 * MINUTE + SECOND)
    assert (finding.money_at_risk, len(finding.evidence.records)) == (20.0, 4)
    assert finding.reason == (
        "Payments of 4 customers by device d1 failed within 1 h, 4 of 4 in all; this is how stolen cards are tried out."
    )


SHARED: dict[str, list[Event]] = {
    "three of a family": tries(12, customers=3),
    "spread over a day": tries(12, each=HOUR),
    "a shop's terminal": tries(12, since=START - 2 * HOUR, failed=False) + tries(5, since=START + 1),
    "a terminal on a bad day": tries(30, since=START - 9 * DAY, each=HOUR, failed=False) + tries(8),
}


@pytest.mark.parametrize("events", SHARED.values(), ids=SHARED)
def test_devices_that_honest_customers_share_are_let_be(events: list[Event]) -> None:
    assert found_in(*events) == []


def test_trying_out_ends_after_a_quiet_day() -> None:
    assert [finding.resolves for finding in found_in(*tries(6))] == [False, True]
