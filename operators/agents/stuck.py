"""Orders on which nothing happens any more: never approved, never handed over, lost on the road.

What is long depends on the lane: an order is stuck when it has waited longer than nearly all shipments there do at
present (`operators/agents/transit.py`), and longer than any shipment should where too few were measured. While its
promise or its day of hand-over is still ahead nothing is wrong with waiting, so a pre-order is not stuck.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from config.clock import DAY, micros, to_text
from operators.agents.base import Features, Found, Verdict, View, day, hours
from operators.agents.lanes import HANDOVER, TRANSIT, Lane, slowest_lane
from operators.journey_state import Order

STUCK = "order.stuck"


class StuckParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rule goes by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    approve_within: timedelta = timedelta(days=3)
    """An order that is paid should be approved within this span."""
    hand_over_within: timedelta = timedelta(days=10)
    """Where its lane is not known, an approved one handed over within this,"""
    deliver_within: timedelta = timedelta(days=30)
    """and delivered within this after that."""
    promise_grace: timedelta = timedelta(days=1)
    """A promise is a day, named by its first instant: it has passed when this span after it has."""
    wait_min: timedelta = timedelta(days=2)
    """A shorter wait is never stuck, however quick the lane."""
    tail_max: Annotated[float, Meta(gt=0, lt=0.1)] = 0.02
    """Share of shipments on the lane that may take as long; its tail is drawn heavy, so fewer really do."""
    signal_count_min: Annotated[int, Meta(ge=1)] = 20
    """A lane is known when at least so many shipments were measured."""
    confidence: Annotated[float, Meta(gt=0, le=1)] = 0.92
    """That it will not come in time, or is lost."""


class Step(NamedTuple):
    """What an order waits for."""

    what: str
    since: int
    not_before: int
    """Until then waiting is as agreed."""
    within: int
    """How long it should take where the lane does not tell."""
    lane: Lane | None


class Stuck:
    """Judges how long an order has waited for its next step.

    Args:
        parameters: What the rule goes by.
    """

    def __init__(self, parameters: StuckParameters) -> None:
        self._parameters = parameters
        self._approve_within = micros(parameters.approve_within)
        self._hand_over_within = micros(parameters.hand_over_within)
        self._deliver_within = micros(parameters.deliver_within)
        self._promise_grace = micros(parameters.promise_grace)
        self._wait_min = micros(parameters.wait_min)

    def look(self, view: View, agent: str, order_id: str, order: Order) -> Verdict:
        """Judge an order that has not ended; end the finding when it has moved on."""
        step = self._step(view, order)
        reported = order.findings.get(STUCK)
        if reported is not None:
            if step is not None and reported.occurrence == to_text(step.since):
                return None
            reason = f"Order {order_id} has moved on."
            view.end(agent, f"order:{order_id}", order, [STUCK], order.seen_at, reason)
        if step is None:
            # A payment alone has nobody look at the order.
            paid_by = order.seen_at + self._approve_within
            return paid_by if view.now <= paid_by else None
        due = max(step.since + self._allowed(step), step.not_before)
        if view.now <= due:
            return due
        waited = view.now - step.since
        features: Features = {"waits_for": step.what, "waited_hours": hours(waited)}
        usual = ""
        if step.lane is not None:
            features |= {"usual_hours_p50": step.lane.signal.p50, "usual_hours_p90": step.lane.signal.p90}
            usual = f"; on {step.lane.name} nine in ten take under {step.lane.transit.p90 / DAY:.1f} days"
        return Found(
            kind=STUCK,
            occurrence=to_text(step.since),
            severity="high",
            confidence=self._parameters.confidence,
            harm_at=None if order.promised_at is None else order.promised_at + self._promise_grace,
            money=order.value or order.paid,
            causes=[f"seller:{seller}" for seller, _ in order.sellers] if step.what == "hand-over" else [],
            queries=[] if step.lane is None else [step.lane.query],
            features=features,
            reason=f"Order {order_id} has waited for its {step.what} since {day(step.since)}{usual}.",
        )

    def _step(self, view: View, order: Order) -> Step | None:
        count_min = self._parameters.signal_count_min
        if order.handed_over_at is not None:
            lane = slowest_lane(view, order, count_min, TRANSIT)
            # Until the promise has passed the carrier is in time, whatever the lane does.
            promised_until = 0 if order.promised_at is None else order.promised_at + self._promise_grace
            return Step("delivery", order.handed_over_at, promised_until, self._deliver_within, lane)
        if order.approved_at is not None:
            lane = slowest_lane(view, order, count_min, HANDOVER)
            return Step("hand-over", order.approved_at, order.ship_by or 0, self._hand_over_within, lane)
        if order.payments:
            return Step("approval", order.payments[-1].at, 0, self._approve_within, None)
        return None

    def _allowed(self, step: Step) -> int:
        if step.lane is None:
            return step.within
        return max(int(step.lane.transit.elapsed(self._parameters.tail_max)), self._wait_min)
