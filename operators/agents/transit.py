"""How long a shipment still takes, from two quantiles of how long others took.

Of a lane we know when half and when nine in ten shipments had arrived. Between these points the share still under way
falls linearly; beyond, its tail is that of a Pareto distribution, for what is much later than usual may be very
late. Only the four basic operations are used, so that all machines agree to the last digit.
"""

from __future__ import annotations

SPREAD_MIN = 0.05
"""Least distance of the two quantiles, as a share of the later one: a distribution is never a single point."""


class Transit:
    """A distribution of durations.

    Args:
        p50: Half of all shipments take no longer, any unit.
        p90: Nine in ten take no longer, same unit; more than 0.
    """

    __slots__ = ("_middle", "_spread", "p50", "p90")

    def __init__(self, p50: float, p90: float) -> None:
        self.p50 = p50
        self.p90 = p90
        self._middle = min(max(p50, 0.0), p90 * (1 - SPREAD_MIN))
        self._spread = p90 - self._middle

    def underway(self, elapsed: float) -> float:
        """Return the share of shipments that take longer than `elapsed`; 1 at 0, falling, never 0."""
        middle, spread = self._middle, self._spread
        if elapsed <= 0:
            return 1.0
        if elapsed < middle:
            return 1 - 0.5 * elapsed / middle
        if elapsed < self.p90:
            return 0.5 - 0.4 * (elapsed - middle) / spread
        return 0.1 * spread / (spread + elapsed - self.p90)

    def elapsed(self, underway: float) -> float:
        """Return the duration that the share `underway` (above 0) takes longer than: the inverse of `underway`."""
        middle, spread = self._middle, self._spread
        if underway >= 1:
            return 0.0
        if underway > 0.5:
            return 2 * middle * (1 - underway)
        if underway > 0.1:
            return middle + spread * (0.5 - underway) / 0.4
        return self.p90 + spread * (0.1 / underway - 1)

    def late(self, elapsed: float, slack: float) -> float:
        """Return the probability that a shipment under way for `elapsed` takes longer than `slack` in all."""
        return 1.0 if slack <= elapsed else self.underway(slack) / self.underway(elapsed)
