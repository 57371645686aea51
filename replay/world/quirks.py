"""What is odd about those who measure, while the services are well: slow drifts, silence, clocks that go ahead."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from config.clock import DAY, HOUR, SECOND
from replay.world.issues import Plan
from replay.world.model import MILLISECOND, SINCE, Floats, Ints, Spec, draws

WEEK = 7 * DAY


class Quirks:
    """The odd ways of a world's telemetry, as its scenario has them; a plain world has hardly any."""

    def __init__(self, spec: Spec, plan: Plan) -> None:
        self._spec, self._sources = spec, spec.scenario.sources
        rng = draws(spec.seed, "quirks")
        count = len(spec.services)
        self._ahead, self._silent = int(rng.integers(count)), 1 + int(rng.integers(count - 1))
        spans = [(span.service, span.since, span.until) for span in plan.maintenance]
        if self._sources.silent_hours:
            spans.append(self._silence(rng, plan))
        self.gaps = spans
        """(service, since, until): when a service measures nothing."""

    @property
    def unmeasured(self) -> int:
        """How many measurements there are not, for the services are silent."""
        step = self._spec.measure_every
        return sum(
            len(range(since + (SINCE - since) % step, until, step)) * (2 if service == 0 else 1)
            for service, since, until in self.gaps
        )

    def _silence(self, rng: np.random.Generator, plan: Plan) -> tuple[int, int, int]:
        """Return when one service is silent: on a day without an outage, if there is one."""
        length = int(self._sources.silent_hours * HOUR)
        days = range(self._spec.measured_since + DAY, self._spec.until - DAY, DAY)
        quiet = [at for at in days if all(o.until + DAY < at or at + 2 * DAY < o.since for o in plan.outages)]
        since = (quiet or list(days))[int(rng.integers(len(quiet or days)))] + 10 * HOUR
        return self._silent, since, since + length

    def drift(self, at: Ints) -> Floats:
        """Return how many times slower than at first the services are, for no reason that anybody minds."""
        per_week = self._spec.scenario.season.drift_percent_per_week
        return 1 + per_week / 100 * (at - SINCE) / WEEK if per_week else np.ones(1)

    def new_field(self, at: int) -> bool:
        """Return whether requests carry a field that no contract knows."""
        return self._sources.schema_drift and at >= SINCE + self._spec.days * DAY * 2 // 3

    def told_at(self, at: Ints, service: Ints) -> Ints:
        """Return the event times as the services tell them: one of them may have a clock that goes ahead."""
        if not self._sources.clock_skew_seconds:
            return at
        ahead = np.where(service == self._ahead, int(self._sources.clock_skew_seconds * SECOND), 0)
        told: Ints = np.minimum(at + ahead, self._spec.until - MILLISECOND)
        return told

    def measured(self, at: Ints, service: Ints) -> npt.NDArray[np.bool_]:
        """Return which measurements there are."""
        kept = at >= self._spec.measured_since
        for silent, since, until in self.gaps:
            kept &= ~((service == silent) & (at >= since) & (at < until))
        return kept
