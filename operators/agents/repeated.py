"""Customers who get in touch again and again about one matter, and get no help.

What counts are occasions, not records: a call and the ticket of that call are one. A second question is everyday; the
third time is not. What fixes a matter, the parcel that came or the money that was posted, begins the count anew; a
closed ticket does not, for the customer says otherwise.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from config.clock import micros, to_text
from operators.agents.base import Features, Found, View
from operators.customer_state import Matter
from operators.journey_state import Journey

CONTACT_REPEATED = "contact.repeated"


class RepeatedParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rule goes by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    occasions_min: Annotated[int, Meta(ge=2)] = 3
    """So many occasions"""
    within: timedelta = timedelta(days=14)
    """within this span are too many."""
    apart: timedelta = timedelta(hours=2)
    """Contacts closer together than this are one occasion."""
    confidence: Annotated[float, Meta(gt=0, le=1)] = 0.9


class Repeated:
    """Judges each matter a customer got in touch about.

    Args:
        parameters: What the rule goes by.
    """

    def __init__(self, parameters: RepeatedParameters) -> None:
        self._parameters = parameters
        self._within = micros(parameters.within)
        self._apart = micros(parameters.apart)

    def look(self, view: View, agent: str) -> None:
        """Report matters that come up again and again, and those that were fixed; nothing comes of time alone."""
        for name, matter in view.journey.matters.items():
            entity = name if matter.order_id else f"customer:{view.customer}"
            fixed_at = _fixed_at(view.journey, matter)
            if CONTACT_REPEATED in matter.findings:
                if fixed_at > matter.seen_at:
                    what = f"Order {matter.order_id}" if matter.order_id else "The matter"
                    view.end(agent, entity, matter, [CONTACT_REPEATED], fixed_at, f"{what} was put right.")
                continue
            found = self._judge(matter, fixed_at)
            if found is not None:
                view.report(agent, entity, matter, found)

    def _judge(self, matter: Matter, fixed_at: int) -> Found | None:
        since = max(matter.seen_at - self._within, fixed_at)
        recent = [(at, reason) for at, reason in matter.heard if at > since]
        occasions: list[int] = []
        for at, _ in recent:
            if not occasions or at > occasions[-1] + self._apart:
                occasions.append(at)
        if len(occasions) < self._parameters.occasions_min:
            return None
        reasons = [reason for _, reason in recent if reason]
        if len(reasons) == len(recent) and len(set(reasons)) >= len(occasions):
            return None  # Each time another question.
        about = f"order {matter.order_id}" if matter.order_id else f"“{reasons[0]}”"
        features: Features = {"occasions": len(occasions), "records": len(recent)}
        return Found(
            kind=CONTACT_REPEATED,
            occurrence=to_text(occasions[0]),
            severity="high",
            confidence=self._parameters.confidence,
            harm_at=None,
            money=0,
            causes=[],
            queries=[],
            features=features,
            reason=f"This customer got in touch about {about} on {len(occasions)} occasions and was not helped.",
        )


def _fixed_at(journey: Journey, matter: Matter) -> int:
    """Return when the order was last brought or its money given back; 0 if never."""
    order = journey.orders.get(matter.order_id)
    fixes = [order.delivered_at or 0] if order is not None else [0]
    if matter.order_id:
        fixes += [r.posted_at or 0 for r in journey.refunds.values() if r.order_id == matter.order_id]
    return max(fixes)
