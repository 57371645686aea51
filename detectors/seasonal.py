"""A seasonal profile around another detector: hours of the day and days of the week, learned from the data.

What is usual at four in the morning is not at noon. The profile is a level, 24 effects of hours and 7 of days, each the
running mean of what the others leave, with steps cut off at two typical deviations (Huber 1964), so that an incident
moves it little. Steps shrink with the number of values in the slot until it is `memory`. The detector inside sees what
the profile leaves. It begins when the profile is ready: until then hours look like anomalies.
"""

from __future__ import annotations

from typing import Any

import msgspec

from detectors.base import Score, Usual
from detectors.part import Part
from detectors.patience import WARMING_UP, bounded
from detectors.scales import Kind, Scale
from detectors.words import compared

HOUR = 3_600_000_000
"""µs."""
CUT = 2.0
"""Typical deviations that a single value moves the profile at most."""
DAY_CARE = 12
"""Values that a day's effect is 0 by assumption: else the first value of the first Monday would set that of Mondays."""
FIRST = 20
"""Values from which the typical deviation is taken as it comes."""


class SeasonalParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Seasonal`; `build` makes it."""

    of: Part
    """The detector of what the profile leaves; its parameters are in units of the scale."""
    scale: Kind = "linear"
    """`log` where the swing grows with the level: effects are factors then."""
    pivot: float = 1.0
    """Of the log scale: log(1 + |x| / pivot)."""
    ready_days: int = 2
    """Days after which the detector inside begins."""
    memory: int = 600
    """Effective number of values remembered of an hour: ten days of one a minute. Of a day: four times that."""
    offset_hours: int = 0
    """Where the day begins: hours that the local time is ahead of UTC."""

    def __post_init__(self) -> None:
        if not 0 < self.pivot < float("inf"):
            raise ValueError(f"pivot is {self.pivot}, must be above 0")
        if self.ready_days < 1 or self.memory < 2:
            raise ValueError(f"ready_days {self.ready_days} must be at least 1, memory {self.memory} at least 2")
        if not -24 < self.offset_hours < 24:
            raise ValueError(f"offset_hours is {self.offset_hours}, must be between -24 and 24")
        self.of.described()

    def build(self) -> Seasonal:
        """Return a detector that knows nothing yet."""
        return Seasonal(self)


class Seasonal:
    """See the module.

    State is [first hour, values, level, typical deviation, effects of hours, of days, values of each, inside].
    """

    def __init__(self, parameters: SeasonalParameters) -> None:
        self._parameters = parameters
        self._scale = Scale(parameters.scale, parameters.pivot)
        self._inner = parameters.of.build()
        self.size_max = 64 + 2 * 9 * 31 + self._inner.size_max
        self._since: int | None = None
        self._seen = 0
        self._level = self._typical = 0.0
        self._hours, self._days = [0.0] * 24, [0.0] * 7
        self._hour_values, self._day_values = [0] * 24, [0] * 7

    def score_one(self, x: float, *, at: int | None = None) -> Score:
        """Judge what the profile leaves of `x`.

        Raises:
            ValueError: `x` is not finite, or `at` is missing.
        """
        y, hour, _ = self._given(x, at)
        return self._inner.score_one(y, at=at) if self._ready(hour) else WARMING_UP

    def learn_one(self, x: float, *, suspect: bool = False, at: int | None = None) -> bool:
        """Let the detector inside learn, and the profile if `x` is normal; return whether a change became normal."""
        y, hour, day = self._given(x, at)
        adapted = False
        if self._ready(hour):
            suspect = suspect or self._inner.score_one(y, at=at).flagged
            adapted = self._inner.learn_one(y, suspect=suspect, at=at)
        if adapted:
            self._seen = 0  # the level is another one; hours and days are likely to be the same
        elif not suspect:
            self._learn(self._scale.to(bounded(x)), hour, day)
        return adapted

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        profile = [list(self._hours), list(self._days), list(self._hour_values), list(self._day_values)]
        return [self._since, self._seen, self._level, self._typical, *profile, self._inner.encode()]

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        self._since, self._seen, self._level, self._typical, *profile, inner = state
        self._hours, self._days, self._hour_values, self._day_values = (list(each) for each in profile)
        self._inner.decode(inner)

    def usual(self, x: float, *, at: int | None = None) -> Usual:
        """Return what is normal at that hour, in the metric's unit."""
        y, hour, day = self._given(x, at)
        if not self._ready(hour):
            return Usual()
        usual, effect = self._inner.usual(y, at=at), self._effect(hour, day)
        expected, limit = (None if z is None else self._scale.back(z + effect) for z in (usual.expected, usual.limit))
        return Usual(expected, limit)

    def explain(self, x: float, *, at: int | None = None) -> str:
        """Return how `x` compares with what is usual at that hour."""
        usual = self.usual(x, at=at)
        return compared(x, usual) + (" at that hour of the week" if usual.expected is not None else "")

    def _given(self, x: float, at: int | None) -> tuple[float, int, int]:
        """Return what the profile leaves of `x`, and the number of its hour and day since 1970 there."""
        scaled = self._scale.to(bounded(x))
        if at is None:
            raise ValueError("a seasonal profile needs the instant of each value")
        hour = at // HOUR + self._parameters.offset_hours
        return scaled - self._effect(hour, hour // 24), hour, hour // 24

    def _effect(self, hour: int, day: int) -> float:
        return self._hours[hour % 24] + self._days[day % 7]

    def _ready(self, hour: int) -> bool:
        return self._since is not None and hour - self._since >= 24 * self._parameters.ready_days

    def _learn(self, y: float, hour: int, day: int) -> None:
        if self._since is None:
            self._since = hour
        memory, of_hour, of_day = self._parameters.memory, hour % 24, day % 7
        if self._seen == 0:
            self._level = y - self._effect(hour, day)
        self._seen = min(self._seen + 1, 24 * memory)
        self._hour_values[of_hour] = min(self._hour_values[of_hour] + 1, memory)
        self._level += self._step(y, hour, day) / self._seen
        self._hours[of_hour] += self._step(y, hour, day) / self._hour_values[of_hour]
        # A day's effect begins once the profile is ready: in the first days it could not be told from that of hours.
        if self._ready(hour):
            self._day_values[of_day] = min(self._day_values[of_day] + 1, 4 * memory)
            self._days[of_day] += self._step(y, hour, day) / (self._day_values[of_day] + DAY_CARE)
        size = abs(y - self._level - self._effect(hour, day))
        least = 1e-3 * abs(self._level) + 1e-9
        if self._seen > FIRST:
            size = min(size, 4 * max(self._typical, least))
        self._typical += (size - self._typical) / min(self._seen, memory)

    def _step(self, y: float, hour: int, day: int) -> float:
        """Return what the profile leaves, cut off."""
        left = y - self._level - self._effect(hour, day)
        if self._seen <= FIRST:
            return left
        reach = CUT * max(self._typical, 1e-3 * abs(self._level) + 1e-9)
        return max(-reach, min(reach, left))
