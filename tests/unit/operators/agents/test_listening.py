"""Who leaves in silence and who is not heard; and who only seems to."""

from __future__ import annotations

import pytest

from config.agents.load import load_manifests
from config.clock import DAY, HOUR, MINUTE, SECOND
from config.events import Event
from config.findings import Finding
from operators.agents.churn import SILENT_CHURN, ChurnParameters
from operators.agents.listening import ListeningAgent
from operators.agents.repeated import CONTACT_REPEATED, RepeatedParameters
from tests.support.journeys import (
    CUSTOMER,
    ORDER,
    START,
    Stage,
    contacted,
    delivered,
    kinds,
    placed,
    refund_posted,
    refund_requested,
    subscribed,
    ticket,
    used,
)

MANIFEST = load_manifests()["experience"]
STOPS = 40
"""Day on which customers stop."""
MIDNIGHT = START - START % DAY


def found_in(*events: Event, days: int = 80) -> list[Finding]:
    return Stage([ListeningAgent()]).run(sorted(events, key=lambda each: each.at), START + days * DAY)


def test_manifest_gives_the_defaults() -> None:
    assert MANIFEST.parameters("silent_churn", ChurnParameters) == ChurnParameters()
    assert MANIFEST.parameters("repeated_contact", RepeatedParameters) == RepeatedParameters()
    assert ListeningAgent.of(MANIFEST).name == MANIFEST.agent


# -- silent churn --------------------------------------------------------------------------------------------------

ACTIVE = subscribed(START, renews_at=START + 70 * DAY)


def uses(by_day: dict[range, float], usual: float = 10.0, days: int = 70) -> list[Event]:
    """A measure each day, `usual` but on the days that are named; None at all where a day is named with -1."""
    values = [next((value for span, value in by_day.items() if day in span), usual) for day in range(days)]
    return [used(START + day * DAY, value) for day, value in enumerate(values) if value >= 0]


def test_subscriber_who_uses_nothing_any_more_is_found_two_weeks_later() -> None:
    (finding,) = found_in(ACTIVE, *uses({range(STOPS, 99): 0.0}), days=60)

    assert (finding.kind, finding.entity) == (SILENT_CHURN, f"customer:{CUSTOMER}")
    # Of the fourteen full days before, two are as usual: 20 of 140 are no more than a fifth.
    assert finding.at == START + (STOPS + 12) * DAY + SECOND
    assert (finding.harm_at, finding.money_at_risk) == (START + 70 * DAY, 10.0)
    assert finding.reason == (
        "This customer pays for app and used it 20 times in 2 weeks, 140 are usual, and has said nothing; the "
        "subscription renews on 2025-05-12."
    )


def test_subscriber_of_whom_no_measure_comes_is_found_too() -> None:
    (finding,) = found_in(ACTIVE, *uses({range(STOPS, 99): -1}), days=60)

    assert finding.at == MIDNIGHT + (STOPS - 1 + 15) * DAY + SECOND


STEADY: dict[str, list[Event]] = {
    "as usual": [ACTIVE, *uses({})],
    "a week away": [ACTIVE, *uses({range(STOPS, STOPS + 7): 0.0})],
    "ten days away": [ACTIVE, *uses({range(STOPS, STOPS + 10): 0.0})],
    "workdays only": [ACTIVE, *(used(START + d * DAY, 0.0 if d % 7 in (5, 6) else 9.0) for d in range(70))],
    "a week away of workdays": [ACTIVE, *(used(START + d * DAY, 0.0 if d % 7 in (5, 6) or 35 <= d < 42 else 9.0)
                                          for d in range(70))],
    "uses half": [ACTIVE, *uses({range(STOPS, 99): 5.0})],
    "pays for nothing": uses({range(STOPS, 99): 0.0}),
    "paused": [ACTIVE, subscribed(START + STOPS * DAY, status="paused"), *uses({range(STOPS, 99): 0.0})],
    "never took it up": [ACTIVE, *uses({range(14, 99): 0.0})],
    "comes and goes": [ACTIVE, *uses({range(10, 24): 0.0, range(STOPS, 99): 0.0})],
    "is in touch": [ACTIVE, *uses({range(STOPS, 99): 0.0}), *(contacted(START + d * DAY) for d in range(45, 90, 10))],
    "uses another product": [ACTIVE, *(used(START + d * DAY, 9.0 * (d < STOPS), "other") for d in range(70))],
}  # fmt: skip


@pytest.mark.parametrize("events", STEADY.values(), ids=STEADY)
def test_customers_who_do_not_leave_are_let_be(events: list[Event]) -> None:
    assert [finding for finding in found_in(*events, days=71) if finding.kind == SILENT_CHURN] == []


def test_churn_ends_when_the_customer_is_back_or_has_left() -> None:
    left = subscribed(START + 60 * DAY, status="cancelled")

    back = found_in(ACTIVE, *uses({range(STOPS, 56): 0.0}))
    gone = found_in(ACTIVE, *uses({range(STOPS, 99): 0.0}), left)

    assert kinds(back) == kinds(gone) == [(SILENT_CHURN, False), (SILENT_CHURN, True)]
    assert [found[-1].reason for found in (back, gone)] == [
        "The customer uses app again.", "The customer does not pay for app any more."
    ]  # fmt: skip


# -- repeated contacts ---------------------------------------------------------------------------------------------


def asks(*hours: int, order: str | None = ORDER, reason: str | None = "broken") -> list[Event]:
    return [contacted(START + hour * HOUR, order=order, reason=reason) for hour in hours]


def test_third_occasion_about_one_order_is_found_at_once() -> None:
    (finding,) = found_in(placed(), *asks(1, 20), ticket(START + 40 * HOUR, order=ORDER))

    assert (finding.kind, finding.entity, finding.at) == (
        CONTACT_REPEATED,
        f"order:{ORDER}",
        START + 40 * HOUR + SECOND,
    )
    assert len(finding.evidence.records) == 3
    assert finding.reason == "This customer got in touch about order order-1 on 3 occasions and was not helped."


def test_third_occasion_about_one_reason_is_found_on_the_customer() -> None:
    (finding,) = found_in(*asks(1, 20, 40, order=None))

    assert finding.entity == f"customer:{CUSTOMER}"
    assert "about “broken” on 3 occasions" in finding.reason


def test_closed_ticket_is_no_help_when_the_customer_asks_again() -> None:
    closed = [ticket(START + hour * HOUR, "t", closed=True) for hour in (2, 21)]

    assert len(found_in(placed(), *asks(1, 20, 40), *closed)) == 1


HEARD: dict[str, list[Event]] = {
    "a second question": asks(1, 20),
    "calls that are tickets too": [*asks(1, 30), *(ticket(START + h * HOUR + MINUTE, order=ORDER) for h in (1, 30))],
    "one long call": [contacted(START + n * 30 * MINUTE, order=ORDER, reason="broken") for n in range(5)],
    "three orders": [contacted(START + n * DAY, order=f"o{n}", reason="broken") for n in range(3)],
    "three questions": [contacted(START + n * DAY, order=ORDER, reason=f"question {n}") for n in range(3)],
    "over six weeks": [contacted(START + n * 8 * DAY, order=ORDER, reason="broken") for n in range(3)],
    "delivered meanwhile": [placed(), *asks(1, 20), delivered(START + 30 * HOUR), *asks(40)],
    "neither order nor reason": asks(1, 20, 40, order=None, reason=None),
}


@pytest.mark.parametrize("events", HEARD.values(), ids=HEARD)
def test_customers_who_ask_now_and_then_are_let_be(events: list[Event]) -> None:
    assert found_in(*events) == []


def test_repeated_contact_ends_when_it_is_put_right() -> None:
    money = [refund_requested(START + 2 * DAY, due_at=START + 9 * DAY), refund_posted(START + 3 * DAY)]

    for fix in ([delivered(START + 3 * DAY)], money):
        found = found_in(placed(), *asks(1, 20, 40), *fix)
        assert kinds(found) == [(CONTACT_REPEATED, False), (CONTACT_REPEATED, True)]
        assert found[-1].reason == "Order order-1 was put right."
