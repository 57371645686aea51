"""Bursts of complaints, and busy weeks, bad sellers and loud customers that are none."""

from __future__ import annotations

import pytest

from config.clock import DAY, HOUR, SECOND
from config.events import Event
from config.findings import Finding
from operators.agents.complaints import COMPLAINT_BURST, HEARD, BurstParameters, BurstWatch
from tests.support.causes import START, watched

SELLER = "seller:s1"


def said(at: int, customer: str, *, bad: bool) -> Event:
    data = {"customer": customer, "bad": bad, "record": ("crm", 0, at % 1_000)}
    return Event(at, f"said-{customer}-{at}", SELLER, HEARD, data)


def heard(count: int, bad_every: int = 0, *, since: int = START, each: int = HOUR, name: str = "c") -> list[Event]:
    """So many customers, every so manieth of whom complains; none for 0."""
    return [
        said(since + n * each, f"{name}{n}", bad=bad_every > 0 and n % bad_every == bad_every - 1) for n in range(count)
    ]


def found_in(*events: Event, until: int = START + 60 * DAY) -> list[Finding]:
    return watched(BurstWatch(BurstParameters()), events, until)


def test_new_product_of_which_everybody_complains_is_found_at_the_fifth() -> None:
    (finding,) = found_in(*heard(8, 1), until=START + DAY)

    assert (finding.kind, finding.entity) == (COMPLAINT_BURST, SELLER)
    assert finding.at == START + 4 * HOUR + SECOND
    assert finding.severity == "high"
    assert len(finding.evidence.records) == 5
    assert finding.reason == "5 of 5 customers heard within 7 days complain of seller s1; 15% are usual."


def test_share_far_above_the_entitys_own_is_found() -> None:
    past = heard(200, 20, each=6 * HOUR)

    found = found_in(*past, *heard(30, 3, since=START + 58 * DAY, name="d"))

    assert [finding.kind for finding in found] == [COMPLAINT_BURST]


USUAL: dict[str, list[Event]] = {
    "three complain": heard(3, 1),
    "a busy week of the usual share": heard(100, 8, each=HOUR),
    "one customer five times": [said(START + n * HOUR, "loud", bad=True) for n in range(5)],
    "small seller, two of three": [*heard(1), *heard(2, 1, name="d")],
    "a seller always twice as bad": heard(300, 3, each=12 * HOUR),
    "spread over months": heard(12, 1, each=5 * DAY),
}


@pytest.mark.parametrize("events", USUAL.values(), ids=USUAL)
def test_what_is_usual_is_no_burst(events: list[Event]) -> None:
    assert found_in(*events, until=START + 200 * DAY) == []


def test_burst_ends_when_the_week_is_over_and_is_not_taken_for_usual() -> None:
    again = heard(9, 1, since=START + 30 * DAY, name="d")

    found = found_in(*heard(9, 1), *again)

    assert [finding.resolves for finding in found] == [False, True, False, True]
    assert found[2].reason == "5 of 5 customers heard within 7 days complain of seller s1; 15% are usual."
