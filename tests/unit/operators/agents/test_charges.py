"""What billing finds in the payments of an order, and which odd but honest payments it lets be."""

from __future__ import annotations

import pytest

from config.clock import DAY, HOUR, MINUTE, SECOND
from config.events import Event
from config.findings import Finding
from operators.agents.billing import BillingAgent
from operators.agents.charges import AMOUNT_MISMATCH, DOUBLE_CHARGE
from tests.support.journeys import (
    ORDER,
    START,
    Stage,
    approved,
    cancelled,
    delivered,
    event,
    handed_over,
    invoiced,
    kinds,
    paid,
    placed,
    refund_posted,
    refund_requested,
)

LATER = START + 20 * DAY
VALUE = 110.0


def found_in(*events: Event, until: int = LATER) -> list[Finding]:
    return Stage([BillingAgent()]).run(events, until)


def test_payment_taken_twice_is_found_after_the_grace() -> None:
    (finding,) = found_in(placed(), paid(START + 1), paid(START + 5 * MINUTE, sequence=2))

    assert (finding.kind, finding.entity, finding.at) == (
        DOUBLE_CHARGE, f"order:{ORDER}", START + 5 * MINUTE + HOUR + SECOND
    )  # fmt: skip
    assert (finding.money_at_risk, finding.severity, finding.harm_at) == (VALUE, "high", START + 5 * MINUTE)
    assert len(finding.evidence.records) == 3
    assert finding.reason == (
        "110.00 by card were taken twice for order order-1: 220.00 in all, 110.00 are owed. "
        "The last payment was on 2025-03-03."
    )


def test_one_part_taken_twice_is_found() -> None:
    parts = [paid(START + 1, amount=60.0, instrument="i1"), paid(START + 2, amount=50.0, instrument="i2", sequence=2)]
    again = paid(START + HOUR, amount=50.0, instrument="i2", sequence=3)

    (finding,) = found_in(placed(), *parts, again)

    assert (finding.kind, finding.money_at_risk) == (DOUBLE_CHARGE, 50.0)


@pytest.mark.parametrize(
    ("apart", "kind"), [(3 * DAY, DOUBLE_CHARGE), (3 * DAY + 1, AMOUNT_MISMATCH)]
)  # fmt: skip
def test_payments_further_apart_are_not_one_taken_twice(apart: int, kind: str) -> None:
    assert [f.kind for f in found_in(placed(), paid(START), paid(START + apart, sequence=2))] == [kind]


VOUCHERS = [paid(START, amount=22.0, method="voucher", sequence=number) for number in range(5)]
DECOYS: dict[str, list[Event]] = {
    "paid once": [placed(), paid()],
    "halves of one amount": [placed(), paid(amount=55.0), paid(START + 1, amount=55.0, sequence=2)],
    "vouchers of one face value": [placed(), *VOUCHERS],
    "voucher and card": [placed(), paid(amount=20.0, method="voucher"), paid(START + 1, amount=90.0, sequence=2)],
    "rounding": [placed(), paid(amount=110.99)],
    "interest of instalments": [placed(), paid(amount=126.0, installments=3)],
    "value not known": [paid(), paid(START + 1, sequence=2)],
    "nothing ordered": [placed(price=-10.0), paid(), paid(START + 1, sequence=2)],
    "voided at once": [placed(price=32.5), paid(amount=42.5), paid(START + MINUTE, amount=42.5, sequence=2),
                       refund_requested(START + HOUR), refund_posted(START + HOUR)],
    "the same record again": [placed(), paid(id_="one"), paid(id_="one")],
    "invoice of more than the items": [placed(), invoiced(START + 1, 130.9, order=ORDER), paid(amount=130.9)],
    "cancelled": [placed(), paid(amount=200.0), cancelled(START + MINUTE)],
    "parts follow before hand-over": [placed(), approved(), paid(amount=30.0),
                                      paid(START + DAY, amount=80.0, sequence=2), handed_over(START + 3 * DAY)],
    "deposit, not yet approved": [placed(), paid(amount=30.0)],
    "paid little, cancelled": [placed(), approved(), paid(amount=30.0), cancelled(START + DAY)],
    "free of freight": [placed(), approved(), paid(amount=100.0), handed_over()],
    "paid elsewhere": [placed(), approved(), handed_over(), delivered()],
}  # fmt: skip


@pytest.mark.parametrize("events", DECOYS.values(), ids=DECOYS)
def test_odd_but_honest_payments_are_let_be(events: list[Event]) -> None:
    assert found_in(*events) == []


def test_too_much_is_found_though_nothing_was_taken_twice() -> None:
    (finding,) = found_in(placed(), paid(amount=115.0))

    assert (finding.kind, finding.money_at_risk) == (AMOUNT_MISMATCH, 5.0)
    assert finding.evidence.features["owed"] == VALUE


@pytest.mark.parametrize(("amount", "count"), [(112.2, 0), (112.21, 1)])
def test_differences_count_from_the_tolerance_on(amount: float, count: int) -> None:
    assert len(found_in(placed(), paid(amount=amount))) == count


def test_too_little_is_found_an_hour_after_hand_over() -> None:
    (finding,) = found_in(placed(), approved(), paid(amount=11.0), handed_over(START + DAY))

    assert (finding.kind, finding.at) == (AMOUNT_MISMATCH, START + DAY + HOUR + SECOND)
    assert finding.reason.startswith("11.00 were taken for order order-1, 99.00 less than is owed.")


def test_too_little_is_found_though_nothing_is_handed_over() -> None:
    (finding,) = found_in(placed(), approved(START), paid(amount=11.0))

    assert finding.at == START + 2 * DAY + HOUR + SECOND


def test_the_invoice_of_an_order_wins_over_its_items() -> None:
    found = found_in(placed(), invoiced(START + 1, 90.0, order=ORDER), paid(START + 2))

    assert [finding.kind for finding in found] == [AMOUNT_MISMATCH]


def test_double_charge_ends_when_a_refund_is_under_way() -> None:
    refund = event(LATER, "refund.requested", {"refund_id": "r", "order_id": ORDER, "amount": VALUE})

    found = found_in(placed(), paid(), paid(START + 1, sequence=2), refund, until=LATER + DAY)

    assert kinds(found) == [(DOUBLE_CHARGE, False), (DOUBLE_CHARGE, True)]


def test_refund_smaller_than_what_was_taken_twice_ends_nothing() -> None:
    refund = [refund_requested(LATER), refund_posted(LATER + HOUR)]

    found = found_in(placed(), paid(), paid(START + 1, sequence=2), *refund, until=LATER + DAY)

    assert kinds(found) == [(DOUBLE_CHARGE, False)]
