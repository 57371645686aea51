"""What a subscription's invoice charges, held against the plan and price the customer had in its period."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from config.clock import micros, to_text
from config.money import MONEY_SCALE, money
from operators.agents.base import Features, Found, Verdict, View, day, earliest
from operators.customer_state import Invoice, Subscription, Terms

PLAN_MISMATCH = "invoice.plan_mismatch"


class InvoicesParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rule goes by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    grace: timedelta = timedelta(hours=1)
    """So long after an invoice nothing is said: a change of terms may be told after it."""
    tolerance: Annotated[float, Meta(ge=0)] = 0.5
    """A difference up to this, in currency units, is rounding,"""
    tolerance_share: Annotated[float, Meta(ge=0, lt=1)] = 0.01
    """and so is one up to this share of the price."""
    confidence: Annotated[float, Meta(gt=0, le=1)] = 0.92


class Invoices:
    """Judges the invoices of one customer's subscriptions.

    Args:
        parameters: What the rule goes by.
    """

    def __init__(self, parameters: InvoicesParameters) -> None:
        self._parameters = parameters
        self._grace = micros(parameters.grace)
        self._tolerance = money(parameters.tolerance)

    def look(self, view: View, agent: str) -> int | None:
        """Judge every invoice; see `CustomerAgent.look`."""
        again: int | None = None
        for invoice_id, invoice in view.journey.invoices.items():
            subscription = view.journey.subscriptions.get(invoice.subscription_id)
            if subscription is None:
                continue
            entity = f"invoice:{invoice_id}"
            verdict = self._judge(view.now, invoice_id, invoice, subscription)
            if PLAN_MISMATCH in invoice.findings:
                if verdict is None:
                    reason = f"What invoice {invoice_id} charges was put right."
                    view.end(agent, entity, invoice, [PLAN_MISMATCH], view.now, reason)
            elif isinstance(verdict, Found):
                view.report(agent, entity, invoice, verdict)
            else:
                again = earliest(again, verdict)
        return again

    def _judge(self, now: int, invoice_id: str, invoice: Invoice, subscription: Subscription) -> Verdict:
        if now <= invoice.since + self._grace:
            return invoice.since + self._grace
        start = invoice.since if invoice.period_start is None else invoice.period_start
        end = max(start, invoice.since if invoice.period_end is None else invoice.period_end)
        terms = _in_force(subscription, start, end, invoice.since)
        if not terms:
            return None
        charged = invoice.net - invoice.credited
        paid_for = [each for each in terms if each.active]
        if not paid_for:
            if charged <= self._tolerance:
                return None
            why = f"the subscription was {terms[-1].status} on {day(terms[-1].at)}"
            return self._found(invoice, invoice_id, charged, 0, why)
        most = max(each.price for each in paid_for)
        tolerance = max(self._tolerance, int(most * self._parameters.tolerance_share))
        if invoice.plan and invoice.credited == 0 and all(invoice.plan != each.plan for each in paid_for):
            why = f"it is for plan {invoice.plan}, the customer has {paid_for[-1].plan}"
            return self._found(invoice, invoice_id, charged, paid_for[-1].price, why)
        # A change within the period is settled by days: any part of the dearer price may be right.
        least = 0 if len(terms) > 1 or terms[0].at > start else most
        # What was credited makes up for too much; it makes nothing too little.
        if least - tolerance <= invoice.net and charged <= most + tolerance:
            return None
        why = f"plan {paid_for[-1].plan} costs {most / MONEY_SCALE:.2f}"
        return self._found(invoice, invoice_id, charged, most, why)

    def _found(self, invoice: Invoice, invoice_id: str, charged: int, price: int, why: str) -> Found:
        features: Features = {"charged": charged / MONEY_SCALE, "price": price / MONEY_SCALE, "plan": invoice.plan}
        return Found(
            kind=PLAN_MISMATCH,
            occurrence=to_text(invoice.since),
            severity="medium" if charged > price else "low",
            confidence=self._parameters.confidence,
            harm_at=invoice.due_at or invoice.since,
            money=abs(charged - price),
            causes=[],
            queries=[],
            features=features,
            reason=f"Invoice {invoice_id} charges {charged / MONEY_SCALE:.2f} before tax, but {why}.",
        )


def _in_force(subscription: Subscription, start: int, end: int, issued_at: int) -> list[Terms]:
    """Return the terms in force at any time of a period; none if nothing was known of them when it was charged."""
    first = subscription.at(start)
    later = [terms for terms in subscription.terms if start < terms.at < end]
    if first is None:
        return later if later and later[0].at <= issued_at else []
    return [first, *later]
