"""Aftercare: orders that were paid and cancelled, and whose money nobody sends back.

============================  ==================================================================
`order.refund_missing`        two days after a paid order was cancelled no refund was requested
============================  ==================================================================
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from config.agents.load import Manifest
from config.clock import micros, to_text
from operators.agents.base import Found, Verdict, View, day, earliest
from operators.journey_state import Order

REFUND_MISSING = "order.refund_missing"


class AftercareParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rule goes by; the manifest gives every one of them."""

    refund_within: timedelta = timedelta(days=2)
    """A refund should be requested within this span of the cancellation."""
    confidence: Annotated[float, Meta(gt=0, le=1)] = 0.9


class AftercareAgent:
    """Watches paid orders that were cancelled until a refund is under way.

    Args:
        parameters: What the rule goes by.
    """

    name = "aftercare"
    signals: frozenset[str] = frozenset()

    def __init__(self, parameters: AftercareParameters) -> None:
        self._parameters = parameters
        self._refund_within = micros(parameters.refund_within)

    @classmethod
    def of(cls, manifest: Manifest) -> AftercareAgent:
        """Return the agent with the parameters of its manifest."""
        return cls(manifest.parameters("refund_missing", AftercareParameters))

    def look(self, view: View) -> int | None:
        """Judge every cancelled order; see `CustomerAgent.look`."""
        again: int | None = None
        refunded = {refund.order_id: refund.seen_at for refund in view.journey.refunds.values()}
        for order_id, order in view.journey.orders.items():
            if order.cancelled_at is None or not order.paid:
                continue
            if order_id in refunded:
                reason = f"A refund for order {order_id} is under way."
                view.end(self.name, f"order:{order_id}", order, [REFUND_MISSING], refunded[order_id], reason)
            elif REFUND_MISSING not in order.findings:
                verdict = self._judge(view.now, order_id, order, order.cancelled_at)
                if isinstance(verdict, Found):
                    view.report(self.name, f"order:{order_id}", order, verdict)
                else:
                    again = earliest(again, verdict)
        return again

    def _judge(self, now: int, order_id: str, order: Order, cancelled_at: int) -> Verdict:
        due_at = cancelled_at + self._refund_within
        if now <= due_at:
            return due_at  # Nothing yet: look again after this instant, though no record comes.
        return Found(
            kind=REFUND_MISSING,
            occurrence=to_text(cancelled_at),
            severity="medium",
            confidence=self._parameters.confidence,
            harm_at=due_at,
            money=order.paid,
            causes=[],
            queries=[],
            features={"payments": len(order.payments)},
            reason=f"Order {order_id} was paid and cancelled on {day(cancelled_at)}, and no refund was requested.",
        )
