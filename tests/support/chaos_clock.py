"""A clock for jobs that read a world of another time, as if the world happened while they read it."""

from __future__ import annotations

import time
from collections.abc import Callable

from replay.world import Spec
from replay.world.model import usual_days


def follow(events: int, seconds: float) -> Callable[[], None]:
    """Return what sets the wall clock of a life: a world passes within `seconds`, from now on.

    Only what tells the watermark of an idle partition is set; no other part of a job's results asks a clock.
    """
    spec = Spec(1, events, usual_days(events), "full")
    span = usual_days(events) * 86_400_000_000
    begins, began = spec.until - span, time.monotonic()

    def now(clock: object) -> int:
        # Not beyond: an idle time that no record ends would be told by nobody.
        return min(begins + int((time.monotonic() - began) / seconds * span), spec.until)

    def set_up() -> None:
        from dataflows import kafka_watch

        kafka_watch.SteadyClock.now = now  # type: ignore[assignment,method-assign]

    return set_up
