"""Bursts of complaints, and busy weeks, bad sellers and loud customers that are none."""

from __future__ import annotations

import pytest

from config.clock import DAY, HOUR, SECOND
from config.events import Event
from config.findings import Finding
from operators.agents.complaints import COMPLAINT_BURST, HEARD, BurstParameters, BurstWatch
from tests.support.causes import START, watched

SELLER = "seller:s1"


def said(at: int, customer: str, *, bad: bool, parts: tuple[str, ...] = ()) -> Event:
    data = {"customer": customer, "bad": bad, "record": ("crm", 0, at % 1_000), "parts": list(parts)}
    return Event(at, f"said-{customer}-{at}", SELLER, HEARD, data)


def heard(
    count: int, bad_every: int = 0, *, since: int = START, each: int = HOUR, name: str = "c", part: str = ""
) -> list[Event]:
    """So many customers, every so manieth of whom complains; none for 0."""
    return [
        said(
            since + n * each,
            f"{name}{n}",
            bad=bad_every > 0 and n % bad_every == bad_every - 1,
            parts=(part,) if part else (),
        )
        for n in range(count)
    ]


def found_in(*events: Event, until: int = START + 60 * DAY) -> list[Finding]:
    return watched(BurstWatch(BurstParameters()), events, until)


def test_new_product_of_which_everybody_complains_is_found_at_the_sixth() -> None:
    (finding,) = found_in(*heard(8, 1), until=START + DAY)

    assert (finding.kind, finding.entity) == (COMPLAINT_BURST, SELLER)
    assert finding.at == START + 5 * HOUR + SECOND
    assert finding.severity == "high"
    assert len(finding.evidence.records) == 6
    assert finding.reason == "6 of 6 customers heard within 7 days complain of seller s1; 15% are usual."


def test_share_far_above_the_entitys_own_is_found() -> None:
    past = heard(200, 20, each=6 * HOUR)

    found = found_in(*past, *heard(30, 2, since=START + 58 * DAY, name="d"))

    assert [finding.kind for finding in found] == [COMPLAINT_BURST]


USUAL: dict[str, list[Event]] = {
    "three complain": heard(3, 1),
    "a busy week of the usual share": heard(100, 8, each=HOUR),
    "one customer five times": [said(START + n * HOUR, "loud", bad=True) for n in range(5)],
    "small seller, two of three": [*heard(1), *heard(2, 1, name="d")],
    "a seller always twice as bad": heard(300, 3, each=12 * HOUR),
    "a week of twice the share after a year of little": [
        *heard(400, 10, each=12 * HOUR),
        *heard(40, 4, since=START + 201 * DAY, name="d"),
    ],
    "one bad product of a good seller": [*heard(4, name="d"), *heard(14, 1, part="product:bad")],
    "two bad products of a good seller": [
        *heard(12, name="d", each=1),
        *heard(30, 1, part="product:1"),
        *heard(30, 1, name="e", part="product:2"),
    ],
}


@pytest.mark.parametrize("events", USUAL.values(), ids=USUAL)
def test_what_is_usual_is_no_burst(events: list[Event]) -> None:
    assert found_in(*events, until=START + 200 * DAY) == []


def test_burst_ends_when_the_week_is_over_and_is_not_taken_for_usual() -> None:
    again = heard(9, 1, since=START + 30 * DAY, name="d")

    found = found_in(*heard(9, 1), *again)

    assert [finding.resolves for finding in found] == [False, True, False, True]
    assert found[2].reason == "6 of 6 customers heard within 7 days complain of seller s1; 15% are usual."


@pytest.mark.parametrize("products", [3, 6])
def test_where_all_products_do_badly_it_is_the_sellers_trouble(products: int) -> None:
    voices = [
        said(START + n * HOUR, f"c{n}", bad=n // products % 6 != 0, parts=(f"product:{n % products}",))
        for n in range(6 * products)
    ]

    (finding,) = found_in(*voices, until=START + 2 * DAY)

    assert finding.kind == COMPLAINT_BURST


def test_confidence_is_higher_where_more_complain() -> None:
    (six,) = found_in(*heard(6, 1), until=START + DAY)
    (twenty,) = found_in(*heard(20, 1, each=1), until=START + DAY)

    assert (six.evidence.features["customers"], twenty.evidence.features["customers"]) == (6, 20)
    assert 0.9 < six.confidence < twenty.confidence <= 0.97
