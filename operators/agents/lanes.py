"""What an order's lanes tell of its arrival: their current transit times, as fleet signals say."""

from __future__ import annotations

from typing import NamedTuple

from config.clock import DAY, HOUR
from config.findings import Query
from operators.agents.base import Features, View, hours
from operators.agents.transit import Transit
from operators.journey_state import Order, Signal

TRANSIT = "transit_hours"
"""Name of the fleet signal of a lane: hours from hand-over to delivery."""
HANDOVER = "handover_hours"
"""Likewise, from approval to hand-over."""


class Lane(NamedTuple):
    """A lane whose transit times are known."""

    name: str
    transit: Transit
    """In microseconds."""
    signal: Signal
    metric: str = TRANSIT

    def expected_at(self, order: Order, now: int) -> int:
        """Return when `order` will have arrived as likely as not, if it is handed over by now."""
        begun = now if order.handed_over_at is None else order.handed_over_at
        return begun + int(self.transit.elapsed(self.transit.underway(now - begun) / 2))

    def features(self, order: Order, now: int) -> Features:
        """Return what the lane says of `order`; `expected_at` is an instant, in microseconds."""
        started = order.handed_over_at
        return {
            "lane": self.name,
            "transit_hours_p50": self.signal.p50,
            "transit_hours_p90": self.signal.p90,
            "underway_hours": None if started is None else hours(now - started),
            "expected_at": self.expected_at(order, now),
        }

    @property
    def query(self) -> Query:
        """What selects the measures again that the transit times are made of."""
        signal = self.signal
        return Query(signal.spans, self.name, self.metric, signal.since, signal.at, signal.contract)

    @property
    def words(self) -> str:
        """The transit times in words."""
        usual, slow = self.transit.p50 / DAY, self.transit.p90 / DAY
        return f"shipments {self.name} take {usual:.1f} days, one in ten over {slow:.1f}"


def slowest_lane(view: View, order: Order, count_min: int, name: str = TRANSIT) -> Lane | None:
    """Return the order's lane on which one in ten shipments takes longest, of those measured `count_min` times.

    Args:
        view: What is known.
        order: Whose lanes.
        count_min: Shipments that must have been measured.
        name: Of the fleet signal.
    """
    slowest: Lane | None = None
    for each in order.lanes:
        signal = view.signal(f"lane:{each}", name)
        if signal is None or signal.p50 is None or not signal.p90 or signal.count < count_min:
            continue
        if slowest is None or signal.p90 * HOUR > slowest.transit.p90:
            slowest = Lane(each, Transit(signal.p50 * HOUR, signal.p90 * HOUR), signal, name)
    return slowest
