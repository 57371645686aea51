"""Plans under which a campaign without one of the safeguards must find something, and soon."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.kafka_plans import Blow, Plan
from tests.support.faults import Kill, Point, Stop

ATTEMPTS = 8
"""Rounds in which a control must be noticed."""


def rounds(control: str) -> Iterator[Plan]:
    """Yield rounds until the control is noticed, or has not been."""
    for number in range(ATTEMPTS):
        yield Plan("there", number % 2, True, _blows(control, number))


def _blows(control: str, number: int) -> tuple[Blow, ...]:
    if control == "purge":
        # One worker has written its part of an epoch, the other dies before it has; then a life too short to read.
        return (Blow(2, Point(1, "snapshot", 1 + number)), Blow(2, Stop(0.0)), Blow(2, Kill(0.7, True)))
    if control == "durability":
        return (Blow(1, Point(0, "snapshot", 1 + number)), Blow(1, Kill(0.5, True)))
    # Each release: begin, the outputs, progress, flush, commit; before and after each call there is a point.
    steps = [Point(0, "transaction", nth) for nth in range(12 + number, 90, 9)]
    return tuple(Blow(1, step) for step in steps)
