"""How often alarms at least as loud would have been raised: what a limit costs, counted in alarms and not in values.

Scores that stay high, or come and go within a short while, are one alarm. So a score counts where an alarm begins: at
all limits from the highest score of the last `apart` values up to its own.
"""

from __future__ import annotations

from math import inf
from typing import Any

from detectors.shapes import EXPONENT_MAX, STEPS, step_of


class AlarmRate:
    """Histograms of scores in steps of equal ratio; state is [scores counted, [step, scores, begins] …, last steps].

    Args:
        apart: Values without a score above the limit after which an alarm has ended.
        memory: When so many scores are counted, all counts are halved: older ones fade.
    """

    def __init__(self, apart: int, memory: int) -> None:
        self._apart, self._memory = apart, memory
        self._total = 0.0
        self._counts: dict[int, tuple[float, float]] = {}
        self._recent: list[int] = []
        self.size_max = 32 + 5 * apart + 24 * (2 * STEPS * (EXPONENT_MAX + 1) + 1)

    @property
    def total(self) -> float:
        """How many scores are counted."""
        return self._total

    def p_value(self, score: float) -> float:
        """Return the share of scores that are not lower, this one included; 1 while there is none."""
        step = step_of(score)
        return (1 + sum(scores for known, (scores, _) in self._counts.items() if known >= step)) / (1 + self._total)

    def limit(self, rate: float) -> float:
        """Return the lowest score from which on at most `rate` alarms per value would have begun.

        It is infinite while too few scores are known for even one, and above all where the loudest are too many.
        Nor may alarms have lasted longer than `apart` values in the mean: one that never ends has begun only once.
        """
        begun, above, most = 1.0, 0.0, rate * (1 + self._total)
        if begun > most:
            return inf
        lowest = floor_of(max(self._counts) + 1)
        for step in sorted(self._counts, reverse=True):
            begun, above = begun + self._counts[step][1], above + self._counts[step][0]
            if begun > most or above > most * self._apart:
                break
            lowest = floor_of(step)
        return lowest

    def learn(self, score: float) -> None:
        """Count a score."""
        step = step_of(score)
        before = max(self._recent, default=None)
        self._add(step, 1.0, 1.0)
        if before is not None:
            self._add(min(step, before), 0.0, -1.0)
        self._recent = [*self._recent, step][-self._apart :]
        self._total += 1
        if self._total >= self._memory:
            self._total /= 2
            self._counts = {step: (a / 2, b / 2) for step, (a, b) in self._counts.items() if a >= 1e-3 or b}

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        return [self._total, [[step, a, b] for step, (a, b) in self._counts.items()], list(self._recent)]

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        self._total, counts, recent = state
        self._counts, self._recent = {step: (a, b) for step, a, b in counts}, list(recent)

    def _add(self, step: int, scores: float, begins: float) -> None:
        a, b = self._counts.get(step, (0.0, 0.0))
        self._counts[step] = (a + scores, b + begins)


def floor_of(step: int) -> float:
    """Return the least score of a step."""
    exponent, part = divmod(step, STEPS)
    return (part + STEPS) / (2 * STEPS) * 2.0**exponent
