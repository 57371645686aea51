"""What was captured for an order, held against what the order or its invoice is worth.

An order may be paid in several parts, of several methods, some of them equal: vouchers of one face value, halves on
two cards. So payments that look alike are no double charge unless together they exceed what is owed by one of them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from config.clock import micros, to_text
from config.money import MONEY_SCALE, money
from operators.agents.base import Features, Found, Verdict, View, day, earliest
from operators.customer_state import Payment
from operators.journey_state import Order

DOUBLE_CHARGE = "payment.double_charge"
AMOUNT_MISMATCH = "payment.amount_mismatch"
KINDS = [DOUBLE_CHARGE, AMOUNT_MISMATCH]


class ChargesParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rules go by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    grace: timedelta = timedelta(hours=1)
    """So long after a payment nothing is said: providers void a duplicate themselves, and parts follow one another."""
    double_within: timedelta = timedelta(days=3)
    """Payments further apart than this are two, not one taken twice."""
    settled_within: timedelta = timedelta(days=2)
    """So long after approval an order not handed over should be paid in full."""
    tolerance: Annotated[float, Meta(ge=0)] = 1.0
    """A difference up to this, in currency units, is rounding,"""
    tolerance_share: Annotated[float, Meta(ge=0, lt=1)] = 0.02
    """and so is one up to this share of what is owed."""
    interest_share: Annotated[float, Meta(ge=0, lt=1)] = 0.06
    """Interest that instalments may add, per instalment, as a share of what is owed."""
    double_charge_confidence: Annotated[float, Meta(gt=0, le=1)] = 0.95
    amount_mismatch_confidence: Annotated[float, Meta(gt=0, le=1)] = 0.9


class Charges:
    """Judges the payments of one order.

    Args:
        parameters: What the rules go by.
    """

    def __init__(self, parameters: ChargesParameters) -> None:
        self._parameters = parameters
        self._grace = micros(parameters.grace)
        self._double_within = micros(parameters.double_within)
        self._settled_within = micros(parameters.settled_within)
        self._tolerance = money(parameters.tolerance)

    def look(self, view: View, agent: str) -> int | None:
        """Judge every order; see `CustomerAgent.look`."""
        again: int | None = None
        for order_id, order in view.journey.orders.items():
            owed = order.value if order.invoiced is None else order.invoiced
            # Before the grace is over, and for almost all orders, there is nothing to say: paid is what is owed.
            if not order.payments or owed <= 0 or (order.paid == owed and not order.findings):
                continue
            again = earliest(again, self._look_at(view, agent, order_id, order, owed))
        return again

    def _look_at(self, view: View, agent: str, order_id: str, order: Order, owed: int) -> int | None:
        kept = order.paid - _refunded(view, order_id)
        tolerance = max(self._tolerance, int(owed * self._parameters.tolerance_share))
        excess, entity = kept - owed, f"order:{order_id}"
        if excess <= tolerance and (order.paid >= owed - tolerance):
            reason = f"What is kept of the payments of order {order_id} is what is owed."
            view.end(agent, entity, order, KINDS, view.now, reason)
            return None
        if order.cancelled_at is not None or not order.findings.keys().isdisjoint(KINDS):
            return None
        verdict = self._judge(view.now, order_id, order, owed, excess, tolerance)
        if isinstance(verdict, Found):
            view.report(agent, entity, order, verdict)
            return None
        return verdict

    def _judge(self, now: int, order_id: str, order: Order, owed: int, excess: int, tolerance: int) -> Verdict:
        if excess <= tolerance:
            return self._too_little(now, order_id, order, owed, tolerance)
        again = self._again(order)
        if now <= again:
            return again
        twice = self._taken_twice(order, excess, tolerance)
        if twice is not None:
            return self._found(
                DOUBLE_CHARGE,
                order,
                twice.at,
                excess,
                owed,
                f"{_amount(twice.amount)} by {twice.method} were taken twice for order {order_id}: "
                f"{_amount(order.paid)} in all, {_amount(owed)} are owed.",
            )
        installments = max(payment.installments for payment in order.payments)
        if installments > 1 and excess <= tolerance + owed * self._parameters.interest_share * installments:
            return None
        return self._found(
            AMOUNT_MISMATCH,
            order,
            order.payments[-1].at,
            excess,
            owed,
            f"{_amount(order.paid)} were taken for order {order_id}, {_amount(excess)} more than is owed.",
        )

    def _too_little(self, now: int, order_id: str, order: Order, owed: int, tolerance: int) -> Verdict:
        """Judge an order that is not paid in full; parts may follow until it is handed over, freight may be waived."""
        missing = owed - order.paid
        if order.invoiced is None:
            tolerance += order.freight
        if missing <= tolerance or (order.ended_at is not None and order.handed_over_at is None):
            return None
        due = order.handed_over_at
        if due is None:
            if order.approved_at is None:
                return None
            due = order.approved_at + self._settled_within
        due = max(due, order.payments[-1].at) + self._grace
        if now <= due:
            return due
        return self._found(
            AMOUNT_MISMATCH,
            order,
            due,
            missing,
            owed,
            f"{_amount(order.paid)} were taken for order {order_id}, {_amount(missing)} less than is owed.",
        )

    def _again(self, order: Order) -> int:
        return order.payments[-1].at + self._grace

    def _taken_twice(self, order: Order, excess: int, tolerance: int) -> Payment | None:
        """Return the later of two payments that are one taken twice, the newest such."""
        for number in range(len(order.payments) - 1, 0, -1):
            later = order.payments[number]
            if excess < later.amount - tolerance:
                continue
            for earlier in order.payments[:number]:
                if later.at - earlier.at <= self._double_within and _alike(earlier, later):
                    return later
        return None

    def _found(self, kind: str, order: Order, since: int, amount: int, owed: int, reason: str) -> Found:
        is_double = kind == DOUBLE_CHARGE
        parameters = self._parameters
        features: Features = {
            "paid": order.paid / MONEY_SCALE,
            "owed": owed / MONEY_SCALE,
            "payments": len(order.payments),
            "invoices": int(order.invoiced is not None),
        }
        return Found(
            kind=kind,
            occurrence=to_text(since),
            severity="high" if is_double else "medium",
            confidence=parameters.double_charge_confidence if is_double else parameters.amount_mismatch_confidence,
            harm_at=since,
            money=amount,
            causes=[],
            queries=[],
            features=features,
            reason=f"{reason} The last payment was on {day(order.payments[-1].at)}.",
        )


def _alike(first: Payment, second: Payment) -> bool:
    """Return whether two payments may be one taken twice: nothing that is known tells them apart."""
    return (
        (first.amount, first.method, first.installments) == (second.amount, second.method, second.installments)
        and (first.instrument == second.instrument or not first.instrument or not second.instrument)
    )  # fmt: skip


def _refunded(view: View, order_id: str) -> int:
    """Return what was given back for an order, or will be."""
    return sum(refund.amount for refund in view.journey.refunds.values() if refund.order_id == order_id)


def _amount(amount: int) -> str:
    return f"{amount / MONEY_SCALE:.2f}"
