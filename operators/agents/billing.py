"""Billing: money that was taken wrongly, or is owed and does not come.

============================  ==================================================================
`payment.double_charge`       one payment of an order was taken twice, beyond what is owed
`payment.amount_mismatch`     more or less was taken than the order or its invoice is worth
`invoice.plan_mismatch`       an invoice charges what is not the customer's plan or price
`refund.not_posted`           the day a refund was due by has passed, and it was not posted
============================  ==================================================================
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from config.agents.load import Manifest
from config.clock import micros, to_text
from operators.agents.base import Found, Verdict, View, day, earliest, hours
from operators.agents.charges import Charges, ChargesParameters
from operators.agents.invoices import Invoices, InvoicesParameters
from operators.journey_state import Refund

REFUND_NOT_POSTED = "refund.not_posted"


class RefundsParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rules go by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    refund_within: timedelta = timedelta(days=7)
    """A refund requested without a due instant should be posted within this span."""
    refund_not_posted_confidence: Annotated[float, Meta(gt=0, le=1)] = 0.9
    """Confidence that a refund not posted in time is missing; some are posted late to the stream."""


class BillingAgent:
    """Watches what is charged, and each refund from its request until it is posted.

    Args:
        refunds: What the rules on refunds go by.
        charges: Those on payments of orders.
        invoices: Those on invoices of subscriptions.
    """

    name = "billing"
    signals: frozenset[str] = frozenset()

    def __init__(
        self,
        refunds: RefundsParameters | None = None,
        charges: ChargesParameters | None = None,
        invoices: InvoicesParameters | None = None,
    ) -> None:
        self._parameters = refunds or RefundsParameters()
        self._refund_within = micros(self._parameters.refund_within)
        self._charges = Charges(charges or ChargesParameters())
        self._invoices = Invoices(invoices or InvoicesParameters())

    @classmethod
    def of(cls, manifest: Manifest) -> BillingAgent:
        """Return the agent with the parameters of its manifest's entries `refunds`, `charges` and `invoices`.

        Raises:
            SettingsError: a parameter is unknown, of the wrong type or out of bounds.
        """
        return cls(
            manifest.parameters("refunds", RefundsParameters),
            manifest.parameters("charges", ChargesParameters),
            manifest.parameters("invoices", InvoicesParameters),
        )

    def look(self, view: View) -> int | None:
        """Judge what was charged, and every refund; see `CustomerAgent.look`."""
        journey = view.journey
        again = self._charges.look(view, self.name)
        if journey.invoices:
            again = earliest(again, self._invoices.look(view, self.name))
        for refund_id, refund in journey.refunds.items():
            entity = f"refund:{refund_id}"
            if refund.posted_at is not None:
                reason = f"Refund {refund_id} was posted on {day(refund.posted_at)}."
                view.end(self.name, entity, refund, [REFUND_NOT_POSTED], refund.posted_at, reason)
                continue
            verdict = self._judge(view.now, refund_id, refund)
            if isinstance(verdict, Found):
                view.report(self.name, entity, refund, verdict)
            else:
                again = earliest(again, verdict)
        return again

    def _judge(self, now: int, refund_id: str, refund: Refund) -> Verdict:
        if refund.requested_at is None or REFUND_NOT_POSTED in refund.findings:
            return None
        due_at = refund.requested_at + self._refund_within if refund.due_at is None else refund.due_at
        if now <= due_at:
            return due_at
        return Found(
            kind=REFUND_NOT_POSTED,
            occurrence=to_text(due_at),
            severity="medium",
            confidence=self._parameters.refund_not_posted_confidence,
            harm_at=due_at,
            money=refund.amount,
            causes=[],
            queries=[],
            features={"overdue_hours": hours(now - due_at)},
            reason=f"Refund {refund_id} for order {refund.order_id} was due on {day(due_at)} and was not posted.",
        )
