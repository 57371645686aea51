"""Fulfilment: orders that will miss what was promised, or have missed it.

Rules, with one number from the fleet: how long shipments on the order's lanes take at present. A finding is made
once per order and kind, and ends when the order is delivered or cancelled.

===========================  ==========================================================================================
`order.ship_by_missed`       it should have been handed over by now, was not, and little time is left until its promise
`order.promise_at_risk`      it will probably arrive after the promise
`order.promise_passed`       the promise has passed, and it has not arrived
`order.stuck`                its next step takes far longer than it ever does (`operators/agents/stuck.py`)
===========================  =========================================================================
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from config.agents.load import Manifest
from config.clock import micros, to_text
from config.findings import Severity
from config.money import money
from operators.agents.base import (
    Features,
    Found,
    Verdict,
    View,
    day,
    earliest,
    hours,
    raised,
)
from operators.agents.lanes import HANDOVER, TRANSIT, Lane, slowest_lane
from operators.agents.stuck import STUCK, Stuck, StuckParameters
from operators.journey_state import Order

SHIP_BY_MISSED = "order.ship_by_missed"
PROMISE_AT_RISK = "order.promise_at_risk"
PROMISE_PASSED = "order.promise_passed"
KINDS = [SHIP_BY_MISSED, PROMISE_AT_RISK, PROMISE_PASSED, STUCK]

Share = Annotated[float, Meta(gt=0, le=1)]


class FulfilmentParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the rules go by. In the manifest, spans are ISO 8601: `P1D`, `PT36H`."""

    promise_grace: timedelta = timedelta(days=1)
    """A promise is a day, named by its first instant: it has passed when this span after it has."""
    ship_within: timedelta = timedelta(days=5)
    """An order approved without a ship-by instant should be handed over within this span."""
    ship_by_matters: timedelta = timedelta(days=90)
    """A missed ship-by instant is a trouble when so little is left until the promise; before, most sellers catch up."""
    risk_min: Share = 0.7
    """Probability of arriving late from which a promise is at risk, where the lane's transit times are known."""
    near: timedelta = timedelta(days=90)
    """That counts from so long before the promise. Earlier, much may still happen:"""
    early_late_by: timedelta = timedelta(days=2)
    """then a promise is at risk when the order will arrive later than this after it has passed,"""
    early_risk_min: Share = 0.9
    """with this probability."""
    signal_count_min: Annotated[int, Meta(ge=1)] = 20
    """A lane's transit times are known when at least so many shipments were measured."""
    undelivered_before: timedelta | None = timedelta(days=2)
    """Elsewhere, an order is at risk when it has not arrived this long before its promise (never, if not given),"""
    unshipped_before: timedelta = timedelta(days=3)
    """or was not handed over this long before its promise."""
    recheck: timedelta = timedelta(days=1)
    """Lanes change: an order not at risk is looked at again after half the time left, but not within this span."""
    ship_by_missed_confidence: Share = 0.95
    """Confidence that an order not handed over so shortly before its promise comes late; hardly a seller catches up."""
    promise_at_risk_confidence: Share = 0.95
    """Confidence of a promise at risk where the lane's transit times are not known,"""
    lane_risk_confidence: Share = 0.88
    """and the least where they are: at whatever risk above `risk_min` an order is reported, nine in ten come late, for
    the tail of transit times is drawn heavy and most orders are reported as soon as they pass it."""
    promise_passed_confidence: Share = 0.95
    """Confidence that a promise that has passed is broken; some deliveries are recorded late."""
    high_value: Annotated[float, Meta(gt=0)] = 500.0
    """An order worth this much or more, in currency units, is one degree more severe."""


class FulfilmentAgent:
    """Watches each order from the first that is heard of it to its end.

    Args:
        parameters: What the rules on promises go by.
        stuck: That on orders that wait.
    """

    name = "fulfilment"
    signals = frozenset({TRANSIT, HANDOVER})

    def __init__(self, parameters: FulfilmentParameters, stuck: StuckParameters | None = None) -> None:
        self._stuck = Stuck(stuck or StuckParameters())
        self._parameters = parameters
        self._grace = micros(parameters.promise_grace)
        self._ship_within = micros(parameters.ship_within)
        self._ship_by_matters = micros(parameters.ship_by_matters)
        undelivered = parameters.undelivered_before
        self._undelivered_before = None if undelivered is None else micros(undelivered)
        self._unshipped_before = micros(parameters.unshipped_before)
        self._near, self._early_late_by = micros(parameters.near), micros(parameters.early_late_by)
        self._recheck = micros(parameters.recheck)
        self._signal_count_min = parameters.signal_count_min
        self._high_value = money(parameters.high_value)

    @classmethod
    def of(cls, manifest: Manifest) -> FulfilmentAgent:
        """Return the agent with the parameters of its manifest's entries `promises` and `stuck`.

        Raises:
            SettingsError: a parameter is unknown, of the wrong type or out of bounds.
        """
        return cls(manifest.parameters("promises", FulfilmentParameters), manifest.parameters("stuck", StuckParameters))

    def look(self, view: View) -> int | None:
        """Judge every order; see `CustomerAgent.look`."""
        again: int | None = None
        for order_id, order in view.journey.orders.items():
            ended_at = order.ended_at
            if ended_at is None:
                again = earliest(again, self._look_at(view, order_id, order))
            elif order.findings:
                how = "delivered" if order.delivered_at == ended_at else "cancelled"
                reason = f"Order {order_id} was {how} on {day(ended_at)}."
                view.end(self.name, f"order:{order_id}", order, KINDS, ended_at, reason)
        return again

    def _look_at(self, view: View, order_id: str, order: Order) -> int | None:
        again: int | None = None
        for rule in (self._ship_by, self._promise, self._risk, self._wait):
            verdict = rule(view, order_id, order)
            if isinstance(verdict, Found):
                view.report(self.name, f"order:{order_id}", order, verdict)
            else:
                again = earliest(again, verdict)
        return again

    def _ship_by(self, view: View, order_id: str, order: Order) -> Verdict:
        if order.handed_over_at is not None or SHIP_BY_MISSED in order.findings:
            return None
        ship_by = order.ship_by
        if ship_by is None:
            if order.approved_at is None:
                return None
            ship_by = order.approved_at + self._ship_within
        due = ship_by if order.promised_at is None else max(ship_by, order.promised_at - self._ship_by_matters)
        if view.now <= due:
            return due
        return self._found(
            order,
            SHIP_BY_MISSED,
            ship_by,
            "low",
            self._parameters.ship_by_missed_confidence,
            {"ship_by": to_text(ship_by), "overdue_hours": hours(view.now - ship_by)},
            f"Order {order_id} should have been handed to the carrier by {day(ship_by)} and was not.",
        )

    def _promise(self, view: View, order_id: str, order: Order) -> Verdict:
        promised_at = order.promised_at
        if promised_at is None or PROMISE_PASSED in order.findings:
            return None
        deadline = promised_at + self._grace
        if view.now <= deadline:
            return deadline
        features: Features = {"overdue_hours": hours(view.now - deadline)}
        lane = slowest_lane(view, order, self._signal_count_min)
        if lane is not None:
            features |= lane.features(order, view.now)
        return self._found(
            order,
            PROMISE_PASSED,
            promised_at,
            "high",
            self._parameters.promise_passed_confidence,
            features,
            f"Order {order_id} was promised for {day(promised_at)} and has not arrived: it {_where(order)}.",
            lane,
        )

    def _risk(self, view: View, order_id: str, order: Order) -> Verdict:
        promised_at = order.promised_at
        if promised_at is None or PROMISE_AT_RISK in order.findings or view.now > promised_at + self._grace:
            return None
        lane = slowest_lane(view, order, self._signal_count_min)
        if lane is None:
            confidence, due = self._parameters.promise_at_risk_confidence, self._due_by_rule(order, promised_at)
            if due is None or view.now <= due:
                return due
        else:
            near_at, deadline = promised_at - self._near, promised_at + self._grace
            least = self._parameters.risk_min
            if view.now <= near_at:
                deadline, least = deadline + self._early_late_by, self._parameters.early_risk_min
            confidence = self._risk_on(lane, order, deadline, view.now)
            if confidence < least:
                due = self._due_on(lane, order, deadline, least)
                again = min(due, view.now + max((due - view.now) // 2, self._recheck))
                return again if view.now > near_at else min(again, near_at)
            confidence = max(confidence, self._parameters.lane_risk_confidence)
        why = "time is short" if lane is None else lane.words
        features: Features = {"left_hours": hours(promised_at + self._grace - view.now)}
        if lane is not None:
            features |= lane.features(order, view.now)
        return self._found(
            order,
            PROMISE_AT_RISK,
            promised_at,
            "medium",
            confidence,
            features,
            f"Order {order_id}, promised for {day(promised_at)}, {_where(order)} and will probably be late: {why}.",
            lane,
        )

    def _wait(self, view: View, order_id: str, order: Order) -> Verdict:
        return self._stuck.look(view, self.name, order_id, order)

    def _due_by_rule(self, order: Order, promised_at: int) -> int | None:
        """Return after which instant an order is at risk of which no lane tells; None for never."""
        before = self._undelivered_before
        if order.handed_over_at is None:
            before = self._unshipped_before if before is None else max(before, self._unshipped_before)
        return None if before is None else promised_at - before

    def _risk_on(self, lane: Lane, order: Order, deadline: int, now: int) -> float:
        """Return the probability of arriving after `deadline`, on this lane and if it is handed over by now."""
        begun = now if order.handed_over_at is None else order.handed_over_at
        return lane.transit.late(now - begun, deadline - begun)

    def _due_on(self, lane: Lane, order: Order, deadline: int, least: float) -> int:
        """Return when that probability reaches `least`, if the lane stays as it is."""
        transit = lane.transit
        if order.handed_over_at is None:
            return deadline - int(transit.elapsed(least))
        begun = order.handed_over_at
        return begun + int(transit.elapsed(transit.underway(deadline - begun) / least))

    def _found(
        self,
        order: Order,
        kind: str,
        occurrence: int,
        severity: Severity,
        confidence: float,
        features: Features,
        reason: str,
        lane: Lane | None = None,
    ) -> Found:
        at_risk = order.value or order.paid
        return Found(
            kind=kind,
            occurrence=to_text(occurrence),
            severity=raised(severity) if at_risk >= self._high_value else severity,
            confidence=confidence,
            harm_at=None if order.promised_at is None else order.promised_at + self._grace,
            money=at_risk,
            causes=_causes(order),
            features={"sellers": len(order.sellers), **features},
            reason=reason,
            queries=[] if lane is None else [lane.query],
        )


def _where(order: Order) -> str:
    if order.handed_over_at is None:
        return "is still with the seller"
    return f"is with the carrier since {day(order.handed_over_at)}"


def _causes(order: Order) -> list[str]:
    """Return who may hold the order up: its sellers; once handed over its lanes, and late sellers still."""
    lanes = [f"lane:{lane}" for lane in order.lanes]
    sellers = [f"seller:{seller}" for seller, _ in order.sellers]
    if order.handed_over_at is None:
        return sellers
    if order.ship_by is not None and order.handed_over_at > order.ship_by:
        return lanes + sellers
    return lanes
