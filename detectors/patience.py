"""What all learners share: they score first, hold back what looks wrong, and give in when it lasts.

A value that is flagged, or beyond the limit on the harmless side, or that came while something else was wrong, is held
back and not learned. Each normal value after it takes one off. When so many have gathered that this must be the new
normal, the learner forgets all and learns those held back. Values further from zero than 10^60 count as 10^60, so
that no fourth power of a difference overflows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import copysign, erfc, inf, isfinite, sqrt
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec

from detectors.base import Score, Usual
from detectors.words import compared

Direction = Literal["up", "down", "both"]
T = TypeVar("T")
FARTHEST = 1e60
SQRT_2 = sqrt(2)
WARMING_UP = Score(0.0, 1.0, flagged=False, strength=0.0)


class PatientParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the parameters of every learner of this package have."""

    grace: int = 30
    """Values to learn before anything is flagged."""
    adapt_after: int = 360
    """Values held back after which they are the new normal; each normal value between takes one off."""

    def __post_init__(self) -> None:
        if not 2 <= self.grace <= self.adapt_after:
            # Fewer new values than the grace period would leave the detector blind after it adapted.
            raise ValueError(f"2 ≤ grace {self.grace} ≤ adapt_after {self.adapt_after} must hold")

    def _check_above(self, bound: float, *names: str) -> None:
        for name in names:
            if not bound < getattr(self, name) < inf:
                raise ValueError(f"{name} is {getattr(self, name)}, must be above {bound:g}")

    def _check_from(self, bound: float, *names: str) -> None:
        for name in names:
            if not bound <= getattr(self, name) < inf:
                raise ValueError(f"{name} is {getattr(self, name)}, must not be below {bound:g}")


class Patient(ABC, Generic[T]):
    """A learner that is patient with anomalies; what it learns, and how it judges, its subclasses say.

    Its state is [values held back, their number, state of the subclass …].

    Args:
        adapt_after: Values held back after which they are the new normal.
        keep: Of those the latest so many are kept, to be learned then.
    """

    size_max: int

    def __init__(self, adapt_after: int, keep: int | None = None) -> None:
        self._adapt_after = adapt_after
        self._keep = adapt_after if keep is None else min(keep, adapt_after)
        self._held: list[T] = []
        self._count = 0
        self._last: tuple[T, int | None, tuple[Score, bool]] | None = None
        """The value judged last, and the judgement: while nothing was learned since, it holds."""

    @abstractmethod
    def _judge(self, x: T, at: int | None) -> tuple[Score, bool]:
        """Return the score of `x`, and whether it is to be held back."""

    @abstractmethod
    def _learn(self, x: T) -> None:
        """Take a normal value into account."""

    @abstractmethod
    def _forget(self) -> None:
        """Begin anew."""

    @abstractmethod
    def _bounded(self, x: T) -> T:
        """Return `x` within bounds of the arithmetic.

        Raises:
            ValueError: `x` is not finite.
        """

    @abstractmethod
    def _encode(self) -> list[Any]:
        """Return the state of the subclass as built-in values."""

    @abstractmethod
    def _decode(self, state: Sequence[Any]) -> None:
        """Go on from what `_encode` returned, without keeping any list of it."""

    def _pass_over(self) -> None:
        """Note that a value was held back: for a learner to whom the number of steps matters."""

    def score_one(self, x: T, *, at: int | None = None) -> Score:
        """Judge `x`. Raises ValueError when it is not finite."""
        return self._judged(x, at)[0]

    def learn_one(self, x: T, *, suspect: bool = False, at: int | None = None) -> bool:
        """Learn a normal value, or hold it back; return whether those held back became the new normal."""
        _, strange = self._judged(x, at)
        self._last = None
        y = self._bounded(x)
        if not (suspect or strange):
            if self._count:
                self._count -= 1
                del self._held[: max(0, len(self._held) - self._count)]
            self._learn(y)
            return False
        self._held.append(y)
        del self._held[: -self._keep]
        self._count += 1
        if self._count < self._adapt_after:
            self._pass_over()
            return False
        held, self._held, self._count = self._held, [], 0
        self._forget()
        for y in held:
            self._learn(y)
        return True

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        return [list(self._held), self._count, *self._encode()]

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        held, self._count, *rest = state
        self._held, self._last = list(held), None
        self._decode(rest)

    def _judged(self, x: T, at: int | None) -> tuple[Score, bool]:
        if self._last is None or self._last[0] != x or self._last[1] != at:
            self._last = (x, at, self._judge(self._bounded(x), at))
        return self._last[2]


class Normal(NamedTuple):
    """What a detector of one number expects next."""

    expected: float
    deviation: float
    """In the metric's unit, above 0."""
    threshold: float
    """Deviations beyond which a value is flagged."""


class SeriesParameters(PatientParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the parameters of every learner of one number have."""

    direction: Direction
    """Where values are bad: latency up, success down."""
    threshold: float = 6.0
    """Deviations from the expected value beyond which a value is flagged."""
    floor: float = 0.0
    """Least deviation, in the metric's unit, so that the noise of a steady metric stays noise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_above(0, "threshold")
        self._check_from(0, "floor")


class Deviating(Patient[float]):
    """A learner of one number that knows what to expect next and how far off is normal."""

    def __init__(self, parameters: SeriesParameters) -> None:
        super().__init__(parameters.adapt_after)
        self._direction = parameters.direction
        self._floor = parameters.floor

    @abstractmethod
    def _normal(self) -> Normal | None:
        """Return what to expect; None while that is unknown."""

    def _p_value(self, off: float) -> float:
        """Return the chance of a deviation beyond `off`, 0 or more, on one side: that of the normal distribution."""
        return 0.5 * erfc(off / SQRT_2)

    def usual(self, x: float, *, at: int | None = None) -> Usual:
        """Return the expected value, and the limit on the side of `x`; neither while warming up."""
        normal, y = self._normal(), self._bounded(x)
        if normal is None:
            return Usual()
        reach = normal.threshold * self._spread(normal)
        return Usual(normal.expected, normal.expected + self._side(y - normal.expected) * reach)

    def explain(self, x: float, *, at: int | None = None) -> str:
        """Return how `x` compares with what is usual."""
        return compared(x, self.usual(x, at=at))

    def _judge(self, x: float, at: int | None) -> tuple[Score, bool]:
        normal = self._normal()
        if normal is None:
            return WARMING_UP, False
        off = (x - normal.expected) / self._spread(normal)
        value = self._side(off) * off
        p_value = self._p_value(value) if value >= 0 else 1 - self._p_value(-value)
        if self._direction == "both":
            p_value = min(1.0, 2 * p_value)
        flagged = value > normal.threshold
        score = Score(value, p_value, flagged=flagged, strength=max(0.0, value / normal.threshold))
        return score, abs(off) > normal.threshold

    def _spread(self, normal: Normal) -> float:
        # Where a metric never moved and there is no floor, any change is unusual, except one that is mere rounding.
        return max(normal.deviation, self._floor, 1e-9 * abs(normal.expected), 1e-12)

    def _side(self, off: float) -> float:
        return copysign(1.0, off) if self._direction == "both" else 1.0 if self._direction == "up" else -1.0

    def _bounded(self, x: float) -> float:
        return bounded(x)


def bounded(x: float) -> float:
    """Return `x`, not further than `FARTHEST` from zero.

    Raises:
        ValueError: it is not finite.
    """
    if not isfinite(x):
        raise ValueError(f"{x} is not a finite number")
    return max(-FARTHEST, min(FARTHEST, x))
