"""Payments that come far faster than a customer ever paid, or than customers do of whom little is known.

Orders count, not payments, since one order may be paid in parts. How many a day may bring follows from the customer's
own past and a prior of their peers (`detectors/rates.py`), so one who buys every day may go on doing so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from config.clock import DAY, micros, to_text
from config.money import MONEY_SCALE
from detectors.rates import poisson_tail
from operators.agents.base import Features, Found, View
from operators.journey_state import Order

VELOCITY = "payment.velocity"


class VelocityParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rule goes by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    within: timedelta = timedelta(days=1)
    """Orders paid within this span are counted."""
    orders_min: Annotated[int, Meta(ge=2)] = 6
    """Fewer are never too many: holidays have days of four or five."""
    peers_per_day: Annotated[float, Meta(gt=0)] = 0.033
    """Orders a day of customers of whom nothing is known,"""
    peers_days: Annotated[float, Meta(gt=0)] = 15.0
    """which is worth so many days of watching a customer."""
    tail_max: Annotated[float, Meta(gt=0, lt=1)] = 1e-6
    """So unlikely it must be at the customer's rate."""
    confidence: Annotated[float, Meta(gt=0, le=1)] = 0.9


class Velocity:
    """Judges how fast a customer pays.

    Args:
        parameters: What the rule goes by.
    """

    def __init__(self, parameters: VelocityParameters) -> None:
        self._parameters = parameters
        self._within = micros(parameters.within)

    def look(self, view: View, agent: str) -> int | None:
        """Report too many orders paid within a day, or the end of it; see `CustomerAgent.look`."""
        orders = view.journey.orders
        if len(orders) < self._parameters.orders_min:
            return None
        paid = sorted((order.payments[0].at, order_id) for order_id, order in orders.items() if order.payments)
        if not paid:
            return None
        newest, entity = paid[-1][0], f"customer:{view.customer}"
        over_at = newest + self._within
        reported = [order for order in orders.values() if VELOCITY in order.findings]
        if view.now > over_at:
            for order in reported:
                view.end(agent, entity, order, [VELOCITY], over_at, "The customer pays as usual again.")
            return None
        if reported:
            return over_at
        recent = [order_id for at, order_id in paid if at > newest - self._within]
        if len(recent) < self._parameters.orders_min:
            return None
        found = self._judge(view, [orders[order_id] for order_id in recent], len(paid) - len(recent), newest)
        if found is None:
            return None
        view.report(agent, entity, orders[recent[-1]], found)
        return over_at

    def _judge(self, view: View, recent: list[Order], before: int, newest: int) -> Found | None:
        parameters = self._parameters
        since = min(order.since for order in view.journey.orders.values())
        days = max(newest - self._within - since, 0) / DAY
        shape = parameters.peers_per_day * parameters.peers_days + before
        exposure, span = parameters.peers_days + days, self._within / DAY
        if poisson_tail(len(recent), shape, exposure, span) > parameters.tail_max:
            return None
        amount = sum(order.paid for order in recent)
        usual = shape / exposure * span
        features: Features = {"orders": len(recent), "orders_usual": round(usual, 2), "orders_before": before}
        return Found(
            kind=VELOCITY,
            occurrence=to_text(recent[0].payments[0].at),
            severity="high",
            confidence=parameters.confidence,
            harm_at=None,
            money=amount,
            causes=[],
            queries=[],
            features=features,
            reason=f"This customer paid {len(recent)} orders ({amount / MONEY_SCALE:.2f}) within {span * 24:g} h; "
            f"{usual:.1f} are usual.",
        )
