"""Memory of how the last values of a series were spread, and of how far new ones were from all before.

The values of a window are put in order, and a few of them, evenly spaced in that order, are its shape: two windows of
like shape hold like values, in whatever order (the mean distance between shapes approximates the Wasserstein distance
of the windows). A window is novel as far as the nearest remembered shape that has no value in common with it is away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import frexp
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

STEPS = 8
"""Steps of the histogram per doubling: neighbours differ by 6 to 12 %."""
EXPONENT_MAX = 64
"""Distances beyond 2^64 or below 2^-64 count as such."""
ZERO = -STEPS * (EXPONENT_MAX + 1)
"""The step of a distance of zero."""


class Shapes:
    """The shapes of windows of one length; state is [values until the next is kept, those waiting, those remembered].

    Every so many values the shape of the window is kept. When memory is full, every other one of the older half goes:
    recent times are remembered densely, distant ones ever more sparsely, none not at all.

    Args:
        window: Values in a window.
        points: Values in a shape, at most.
        capacity: Shapes remembered.
    """

    def __init__(self, window: int, points: int, capacity: int) -> None:
        import numpy as np

        self.window, self._capacity = window, capacity
        self._points = min(points, window)
        self._every = max(1, window // 6)
        self._places = np.linspace(0, window - 1, self._points).round().astype(np.int64)
        waiting_max = window // self._every + 2
        self.size_max = 32 + (9 * self._points + 6) * (capacity + waiting_max)
        self._memory: Floats = np.empty((capacity, self._points))
        self._until, self._known = self._every, 0
        self._waiting: deque[list[Any]] = deque()
        """[values until it may be remembered, shape] of those kept."""

    def shape(self, values: list[float]) -> Floats:
        """Return the shape of the last `window` of `values`, which are at least so many."""
        import numpy as np

        ordered = np.array(values[-self.window :])
        ordered.sort()
        chosen: Floats = ordered[self._places]
        return chosen

    def distance(self, shape: Floats) -> float | None:
        """Return how far `shape` is from the nearest remembered one; None while there is none."""
        import numpy as np

        if not self._known:
            return None
        return float(np.abs(self._memory[: self._known] - shape).mean(axis=1).min())

    def keep(self, shape: Floats) -> None:
        """Go on by one value, whose window has that shape, and keep it when it is its turn."""
        self._until -= 1
        if self._until <= 0:
            self._until = self._every
            self._waiting.append([self.window, shape])
        # Remembered are those that share no value with the next window any more.
        for entry in self._waiting:
            entry[0] -= 1
        while self._waiting and self._waiting[0][0] <= 0:
            self._remember(self._waiting.popleft()[1])

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        waiting = [[left, shape.tolist()] for left, shape in self._waiting]
        return [self._until, waiting, self._memory[: self._known].tolist()]

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        import numpy as np

        self._until, waiting, memory = state
        self._waiting = deque([left, np.array(shape)] for left, shape in waiting)
        self._known = len(memory)
        if memory:
            self._memory[: self._known] = memory

    def _remember(self, shape: Floats) -> None:
        if self._known == self._capacity:
            half = self._capacity // 2
            kept = self._memory[[*range(0, half, 2), *range(half, self._capacity)]]
            self._known = len(kept)
            self._memory[: self._known] = kept
        self._memory[self._known] = shape
        self._known += 1


class Ranks:
    """How rare a distance is among those before: a histogram in steps of equal ratio; state is {step: count}.

    Args:
        memory: When so many distances are counted, all counts are halved: older ones fade.
    """

    size_max = 8 + 9 * (2 * STEPS * (EXPONENT_MAX + 1) + 1)

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._counts: dict[int, int] = {}
        self._total = 0

    def p_value(self, distance: float) -> float:
        """Return the share of the distances that are not smaller, this one included; 1 while there is none."""
        step = step_of(distance)
        return (1 + sum(count for known, count in self._counts.items() if known >= step)) / (1 + self._total)

    def learn(self, distance: float) -> None:
        """Count a distance."""
        step = step_of(distance)
        self._counts[step] = self._counts.get(step, 0) + 1
        self._total += 1
        if self._total >= self._memory:
            self._counts = {step: count // 2 for step, count in self._counts.items() if count > 1}
            self._total = sum(self._counts.values())

    def encode(self) -> list[tuple[int, int]]:
        """Return the state as built-in values."""
        return list(self._counts.items())

    def decode(self, state: Sequence[tuple[int, int]]) -> None:
        """Go on from what `encode` returned."""
        self._counts = dict(state)
        self._total = sum(self._counts.values())


def step_of(distance: float) -> int:
    """Return the step of a distance, by its exact binary digits: no logarithm, whose last digit machines differ in."""
    if distance <= 0:
        return ZERO
    fraction, exponent = frexp(distance)
    if abs(exponent) > EXPONENT_MAX:
        return STEPS * (EXPONENT_MAX if exponent > 0 else -EXPONENT_MAX)
    return exponent * STEPS + int(fraction * 2 * STEPS) - STEPS
