"""What detectors of a change share: they say when the level of a series has moved, not that one value is far off.

The first `grace` values fix the scale: their median and deviation. From then on River's detector sees deviations, cut
off at `reach`, so that a single wild value moves it no further than a large one. The value at which it tells a change
is flagged, in the direction that is bad; the detector then forgets all and begins anew at the new level, as River's do.
It says so in what `learn_one` returns. A change for the better is not flagged, but makes it begin anew all the same.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from detectors.base import Score, Usual
from detectors.patience import WARMING_UP, Direction, Patient, PatientParameters, bounded

DEVIATIONS_MAD = 1.4826
"""Deviations of a normal law in its median absolute deviation."""


class ChangeParameters(PatientParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the parameters of every detector of a change have."""

    direction: Direction
    """Where values are bad."""
    reach: float = 4.0
    """Deviations beyond which a value counts as so far off."""
    floor: float = 0.0
    """Least deviation, in the metric's unit."""
    grace: int = 60
    adapt_after: int = 360

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_above(0, "reach")
        self._check_from(0, "floor")


class Told(NamedTuple):
    """What River's detector says after one more value."""

    changed: bool
    shift: float
    """By how much, in the measure of the detector; its sign says where to."""
    p_value: float
    """Chance of that while nothing has changed, if the detector knows one."""
    strength: float
    """1 where a change is told."""


class Change(Patient[float]):
    """A detector of a change; its state is [values before the scale is fixed, median, deviation, model …]."""

    def __init__(self, parameters: ChangeParameters, model_size: int) -> None:
        super().__init__(parameters.adapt_after, keep=parameters.grace)
        self._direction, self._grace = parameters.direction, parameters.grace
        self._reach, self._floor = parameters.reach, parameters.floor
        self.size_max = 64 + 18 * (parameters.grace + 1) + model_size
        self._first: list[float] = []
        self._centre, self._scale = 0.0, 0.0
        self._after: Any = None
        """State of the model with the value judged last: it need not be computed twice."""

    @abstractmethod
    def _tell(self, y: float) -> Told:
        """Let the model take `y` into account, and return what it says."""

    @abstractmethod
    def _clear(self) -> None:
        """Let the model begin anew."""

    @abstractmethod
    def _model(self) -> Any:
        """Return the state of the model as built-in values."""

    @abstractmethod
    def _restore(self, state: Any) -> None:
        """Let the model go on from what `_model` returned."""

    @abstractmethod
    def _level(self) -> float | None:
        """Return the level of late, in deviations from the median; None while unknown."""

    def learn_one(self, x: float, *, suspect: bool = False, at: int | None = None) -> bool:
        """Learn a value, unless it is suspect or a change shows at it; return whether one did."""
        _, changed = self._judged(x, at)
        if suspect or not changed:
            adapted = self._hold(x) if suspect else super().learn_one(x, at=at)
            self._after = None
            return adapted
        self._last = self._after = None
        self._held, self._count = [], 0
        self._forget()
        return True

    def usual(self, x: float, *, at: int | None = None) -> Usual:
        """Return the level of late; there is no limit for a single value."""
        self._bounded(x)
        level = self._level() if self._scale else None
        return Usual() if level is None else Usual(self._centre + level * self._scale)

    def explain(self, x: float, *, at: int | None = None) -> str:
        """Return what the level was, and whether it has moved."""
        usual = self.usual(x, at=at)
        if usual.expected is None:
            return f"{x:.4g}, too new to know what is usual"
        verb = "moved away from" if self._judged(x, at)[1] else "about"
        return f"{x:.4g}, {verb} a level of {usual.expected:.4g}"

    def _judge(self, x: float, at: int | None) -> tuple[Score, bool]:
        if not self._scale:
            return WARMING_UP, False
        before = self._model()
        told = self._tell(self._deviations(x))
        self._after = self._model()
        self._restore(before)
        value = abs(told.shift) if self._direction == "both" else told.shift
        if self._direction == "down":
            value = -value
        flagged = told.changed and value > 0
        p_value = told.p_value if value > 0 else 1.0
        return Score(value, p_value, flagged=flagged, strength=told.strength if value > 0 else 0.0), told.changed

    def _hold(self, x: float) -> bool:
        """Hold back `x`, and begin anew from those held back when there are enough; return whether."""
        self._last = None
        self._held = [*self._held, self._bounded(x)][-self._keep :]
        self._count += 1
        if self._count < self._adapt_after:
            return False
        held, self._held, self._count = self._held, [], 0
        self._forget()
        self._after = None
        for y in held:
            self._learn(y)
        return True

    def _learn(self, x: float) -> None:
        if self._after is not None:
            self._restore(self._after)
            self._after = None
        elif self._scale:
            self._tell(self._deviations(x))
        else:
            self._first.append(x)
            if len(self._first) == self._grace:
                self._centre = sorted(self._first)[self._grace // 2]
                deviation = DEVIATIONS_MAD * sorted(abs(y - self._centre) for y in self._first)[self._grace // 2]
                self._scale = max(deviation, self._floor, 1e-6 * abs(self._centre), 1e-9)
                first, self._first = self._first, []
                for y in first:
                    self._tell(self._deviations(y))

    def _forget(self) -> None:
        self._first, self._centre, self._scale = [], 0.0, 0.0
        self._clear()

    def _encode(self) -> list[Any]:
        return [list(self._first), self._centre, self._scale, self._model()]

    def _decode(self, state: Sequence[Any]) -> None:
        first, self._centre, self._scale, model = state
        self._first, self._after = list(first), None
        self._restore(model)

    def _deviations(self, x: float) -> float:
        return max(-self._reach, min(self._reach, (x - self._centre) / self._scale))

    def _bounded(self, x: float) -> float:
        return bounded(x)
