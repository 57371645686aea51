"""What fraud finds in how a customer pays and signs in, and which honest customers it lets be."""

from __future__ import annotations

import pytest

from config.agents.load import load_manifests
from config.clock import DAY, HOUR, MINUTE, SECOND
from config.events import Event
from config.findings import Finding
from operators.agents.card_testing import CARD_TESTING, CardTestingParameters
from operators.agents.fraud import FraudAgent
from operators.agents.takeover import TAKEOVER, TakeoverParameters
from operators.agents.velocity import VELOCITY, VelocityParameters
from tests.support.journeys import (
    CUSTOMER,
    START,
    Stage,
    changed,
    delivered,
    kinds,
    paid,
    payout,
    placed,
    refused,
    signed_in,
)

LATER = START + 20 * DAY
MANIFEST = load_manifests()["fraud"]


def found_in(*events: Event, until: int = LATER) -> list[Finding]:
    return Stage([FraudAgent()]).run(sorted(events, key=lambda each: each.at), until)


def test_manifest_gives_the_defaults_and_names_every_kind() -> None:
    assert MANIFEST.parameters("card_testing", CardTestingParameters) == CardTestingParameters()
    assert MANIFEST.parameters("takeover", TakeoverParameters) == TakeoverParameters()
    assert MANIFEST.parameters("velocity", VelocityParameters) == VelocityParameters()
    assert MANIFEST.findings == [CARD_TESTING, TAKEOVER, VELOCITY]
    assert FraudAgent.of(MANIFEST).name == MANIFEST.agent


# -- cards ---------------------------------------------------------------------------------------------------------


def tried(
    count: int, *, cards: int = 99, amounts: int = 99, orders: int = 99, each: int = MINUTE, told: bool = True
) -> list[Event]:
    """Payments that fail, one after the other: so many, of so many different cards, amounts and orders."""
    return [
        refused(
            START + number * each,
            order=f"o{number % orders}",
            amount=10.0 + number % amounts,
            instrument=f"i{number % cards}" if told else None,
        )
        for number in range(count)
    ]


def test_many_cards_that_fail_within_an_hour_are_found_at_once() -> None:
    (finding,) = found_in(*tried(5), until=START + DAY)

    assert (finding.kind, finding.entity) == (CARD_TESTING, f"customer:{CUSTOMER}")
    assert finding.at == START + 4 * MINUTE + SECOND
    assert finding.money_at_risk == 60.0
    assert finding.reason == (
        "5 of 5 payments of this customer failed within 1 h with 5 different cards; this is how stolen cards are tried "
        "out."
    )


def test_cards_of_which_no_token_is_told_are_found_by_their_amounts() -> None:
    assert len(found_in(*tried(5, told=False), until=START + DAY)) == 1


HONEST_CARDS: dict[str, list[Event]] = {
    "retry of one order": [*tried(9, cards=2, amounts=1, orders=1), paid(START + HOUR)],
    "retry with a new order each time": tried(9, cards=2, amounts=1),
    "four cards of a family": tried(9, cards=4, amounts=1, orders=1),
    "spread over a day": tried(9, each=HOUR),
    "no token, one amount": tried(9, amounts=1, told=False),
    "most are paid": tried(5) + [paid(START + 1 + n, order=f"p{n}") for n in range(6)],
}


@pytest.mark.parametrize("events", HONEST_CARDS.values(), ids=HONEST_CARDS)
def test_honest_customers_whose_cards_are_refused_are_let_be(events: list[Event]) -> None:
    assert [finding for finding in found_in(*events) if finding.kind == CARD_TESTING] == []


def test_card_testing_ends_after_a_quiet_day() -> None:
    found = found_in(*tried(6))

    assert kinds(found) == [(CARD_TESTING, False), (CARD_TESTING, True)]
    assert found[-1].at == START + 5 * MINUTE + DAY + SECOND


# -- accounts ------------------------------------------------------------------------------------------------------

KNOWN = [signed_in(START - day * DAY) for day in (9, 6, 3)]


def after(strange: list[Event], *, field: str = "password", use: Event | None = None) -> list[Event]:
    return [*KNOWN, *strange, changed(START + HOUR, field), use or placed(START + 5 * HOUR)]


def abroad(at: int = START) -> Event:
    return signed_in(at, "d9", "BR")


def failures(count: int) -> list[Event]:
    return [signed_in(START - (n + 1) * MINUTE, "d9", succeeded=False) for n in range(count)]


def test_strange_sign_in_then_change_then_purchase_is_found_at_the_purchase() -> None:
    (finding,) = found_in(*after([abroad()]))

    assert (finding.kind, finding.entity, finding.at) == (TAKEOVER, f"customer:{CUSTOMER}", START + 5 * HOUR + SECOND)
    assert (finding.severity, finding.money_at_risk) == ("critical", 110.0)
    assert finding.reason == (
        "Somebody signed in on 2025-03-03 from a device and country never seen, changed password, and then placed an "
        "order: 110.00 are at stake."
    )


def test_payout_to_a_changed_address_is_found_with_less_confidence() -> None:
    (finding,) = found_in(*after([abroad()], field="address", use=payout(START + 5 * HOUR)))

    assert (finding.severity, finding.confidence, finding.money_at_risk) == ("high", 0.85, 80.0)


def test_new_device_at_home_counts_after_three_failures() -> None:
    at_home = signed_in(START, "d9")

    assert found_in(*after([*failures(2), at_home])) == []
    assert len(found_in(*after([*failures(3), at_home]))) == 1


def test_a_second_strange_sign_in_is_found_again_but_no_purchase_twice() -> None:
    first = [*after([abroad()]), placed(START + 6 * HOUR, order="more")]
    second = [
        signed_in(START + 9 * DAY, "d8", "VN"),
        changed(START + 9 * DAY + 1),
        placed(START + 9 * DAY + 2, order="x"),
    ]

    assert kinds(found_in(*first, *second)) == [(TAKEOVER, False)] * 2


HONEST_OWNERS: dict[str, list[Event]] = {
    "traveller with the usual phone": after([signed_in(START, "d1", "BR")], field="address"),
    "new phone at home": after([signed_in(START, "d9")]),
    "forgotten password": after([*(signed_in(START - n * MINUTE, succeeded=False) for n in range(1, 9)),
                                 signed_in(START)]),
    "first sign-ins": [*KNOWN[:2], abroad(), changed(START + HOUR), placed(START + 5 * HOUR)],
    "nothing bought": [*KNOWN, abroad(), changed(START + HOUR)],
    "nothing changed": [*KNOWN, abroad(), placed(START + 5 * HOUR)],
    "newsletter": after([abroad()], field="newsletter"),
    "changed before": [*KNOWN, changed(START - HOUR), abroad(), placed(START + 5 * HOUR)],
    "bought before the change": [*KNOWN, abroad(), placed(START + 1), changed(START + HOUR)],
    "bought four days later": after([abroad()], use=placed(START + 3 * DAY + 1)),
    "country not told": after([signed_in(START, "d9", None)]),
}  # fmt: skip


@pytest.mark.parametrize("events", HONEST_OWNERS.values(), ids=HONEST_OWNERS)
def test_honest_owners_are_let_be(events: list[Event]) -> None:
    assert found_in(*events) == []


# -- velocity ------------------------------------------------------------------------------------------------------


def bought(count: int, *, day: int = 0, each: int = HOUR, name: str = "v") -> list[Event]:
    at = START + day * DAY
    return [paid(at + number * each, order=f"{name}{day}-{number}") for number in range(count)]


def test_six_orders_of_a_new_customer_within_a_day_are_too_many() -> None:
    (finding,) = found_in(*bought(6), until=START + 20 * HOUR)

    assert (finding.kind, finding.entity, finding.at) == (VELOCITY, f"customer:{CUSTOMER}", START + 5 * HOUR + SECOND)
    assert finding.money_at_risk == 660.0
    assert finding.reason == "This customer paid 6 orders (660.00) within 24 h; 0.0 are usual."


def test_velocity_ends_when_a_day_went_by_without() -> None:
    assert kinds(found_in(*bought(9))) == [(VELOCITY, False), (VELOCITY, True)]


def daily(count: int) -> list[Event]:
    """A business that buys more each day until it buys `count` times a day."""
    return [event for day in range(15) for event in bought(min(1 + day, count), day=day)]


HONEST_BUYERS: dict[str, list[Event]] = {
    "five presents": bought(5),
    "one order in ten parts": [paid(START + n * MINUTE, amount=11.0, sequence=n) for n in range(10)],
    "a business": daily(8),
    "ten orders in ten days": bought(10, each=DAY),
}


@pytest.mark.parametrize("events", HONEST_BUYERS.values(), ids=HONEST_BUYERS)
def test_honest_buyers_are_let_be(events: list[Event]) -> None:
    assert found_in(*events) == []


def test_a_business_that_suddenly_buys_five_times_as_much_is_found() -> None:
    ended = [delivered(START + 3 * DAY, order=f"v{day}-0") for day in range(10)]

    found = found_in(*(event for day in range(10) for event in bought(1, day=day)), *ended, *bought(14, day=12))

    assert (VELOCITY, False) in kinds(found)
