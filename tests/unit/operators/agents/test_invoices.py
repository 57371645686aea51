"""Invoices of subscriptions: what billing finds wrong with them, and what only looks wrong."""

from __future__ import annotations

import pytest

from config.clock import DAY, HOUR, SECOND
from config.events import Event
from config.findings import Finding
from operators.agents.billing import BillingAgent
from operators.agents.invoices import PLAN_MISMATCH
from tests.support.journeys import START, Stage, invoiced, kinds, subscribed

SINCE, UNTIL = START + 10 * DAY, START + 40 * DAY
"""The period of the invoice."""


def found_in(*events: Event) -> list[Finding]:
    return Stage([BillingAgent()]).run(events, UNTIL)


def bill(amount: float, plan: str | None = "basic", tax: float | None = None) -> Event:
    return invoiced(SINCE, amount, plan=plan, since=SINCE, until=UNTIL, tax=tax)


def test_wrong_price_is_found_an_hour_after_the_invoice() -> None:
    (finding,) = found_in(subscribed(START), bill(15.0))

    assert (finding.kind, finding.entity, finding.at) == (PLAN_MISMATCH, "invoice:v1", SINCE + HOUR + SECOND)
    assert (finding.money_at_risk, finding.severity) == (5.0, "medium")
    assert finding.reason == "Invoice v1 charges 15.00 before tax, but plan basic costs 10.00."


def test_wrong_plan_is_found_though_the_price_is_right() -> None:
    (finding,) = found_in(subscribed(START), bill(10.0, plan="gold"))

    assert "it is for plan gold, the customer has basic" in finding.reason


def test_charge_after_cancellation_is_found() -> None:
    (finding,) = found_in(subscribed(START), subscribed(START + DAY, status="cancelled"), bill(10.0))

    assert (finding.money_at_risk, finding.reason) == (
        10.0, "Invoice v1 charges 10.00 before tax, but the subscription was cancelled on 2025-03-04."
    )  # fmt: skip


def test_old_price_after_a_change_is_found() -> None:
    assert len(found_in(subscribed(START), subscribed(START + 9 * DAY, price=8.0), bill(10.0))) == 1


DECOYS: dict[str, list[Event]] = {
    "right": [subscribed(START), bill(10.0)],
    "right, with tax": [subscribed(START), bill(11.9, tax=1.9)],
    "rounding": [subscribed(START), bill(10.5)],
    "no terms known": [bill(10.0)],
    "terms known only later": [bill(10.0), subscribed(SINCE + DAY, price=99.0)],
    "new price told a moment later": [subscribed(START), bill(12.0), subscribed(SINCE + 1, price=12.0)],
    "changed within the period": [subscribed(START), subscribed(SINCE - 1, price=10.0),
                                  subscribed(SINCE + HOUR // 2, plan="gold", price=30.0), bill(22.0)],
    "began within the period": [subscribed(SINCE - 1), invoiced(SINCE, 4.0, since=SINCE - 5 * DAY, until=UNTIL)],
    "cancelled within the period": [subscribed(START), subscribed(SINCE + 1, status="cancelled"), bill(3.0)],
    "one-off": [subscribed(START), invoiced(SINCE, 500.0, subscription=None)],
    "credit note": [subscribed(START), bill(10.0), invoiced(SINCE + HOUR, -10.0, invoice="credit")],
    "other subscription": [subscribed(START), invoiced(SINCE, 500.0, subscription="s2")],
    "nothing charged while paused": [subscribed(START), subscribed(START + 1, status="paused"), bill(0.0)],
}  # fmt: skip


@pytest.mark.parametrize("name", DECOYS)
def test_invoices_that_only_look_wrong_are_let_be(name: str) -> None:
    assert found_in(*DECOYS[name]) == []


def test_credit_note_in_time_prevents_and_a_later_one_ends() -> None:
    credit = {at: invoiced(at, -5.0, invoice="credit") for at in (SINCE + 1, SINCE + 5 * DAY)}

    early, late = (found_in(subscribed(START), bill(15.0), note) for note in credit.values())

    assert early == []
    assert kinds(late) == [(PLAN_MISMATCH, False), (PLAN_MISMATCH, True)]
