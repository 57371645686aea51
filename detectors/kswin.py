"""KSWIN: whether the latest values and a sample of those before them have the same distribution.

River's `KSWIN` (Raab, Heusinger and Schleif 2020, doi:10.1016/j.neucom.2019.11.111). It sees a change of spread or
shape where the mean stays; whether that is for the worse, it tells by the mean, so give it the direction `both` where
spread matters. The sample is drawn anew at each value, from the seed and the number of the value alone. Its p-value is
that of the two-sample Kolmogorov-Smirnov test; tests of neighbouring values share most of their data.
"""

from __future__ import annotations

import random
from collections import deque
from math import log
from typing import Any

from detectors.change import Change, ChangeParameters, Told


class KswinParameters(ChangeParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Kswin`; `build` makes it."""

    alpha: float = 1e-5
    """P-value at which a change is told."""
    window: int = 100
    """Values remembered."""
    latest: int = 30
    """Of those, the latest, which are held against a sample of the others of the same size."""
    seed: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}, must be between 0 and 1")
        if not 2 <= self.latest <= self.window - self.latest:
            raise ValueError(f"2 ≤ latest {self.latest} ≤ window {self.window} - latest must hold")

    def build(self) -> Kswin:
        """Return a detector that knows nothing yet."""
        return Kswin(self)


class Kswin(Change):
    """See the module; its model is [values so far, latest values]."""

    def __init__(self, parameters: KswinParameters) -> None:
        from river.drift import KSWIN

        super().__init__(parameters, model_size=16 + 9 * parameters.window)
        self._given = parameters
        self._kswin: Any = KSWIN(
            alpha=parameters.alpha, window_size=parameters.window, stat_size=parameters.latest, seed=parameters.seed
        )

    def _tell(self, y: float) -> Told:
        kswin, given = self._kswin, self._given
        kswin._drift_detected = False
        kswin._rng = random.Random(f"{given.seed}/{kswin.n}")  # no state of its own to keep
        values = [*kswin.window, y][-given.window :]
        kswin.update(y)
        if len(values) < given.window:
            return Told(False, 0.0, 1.0, 0.0)
        p_value, earlier = float(kswin.p_value), given.window - given.latest
        shift = sum(values[earlier:]) / given.latest - sum(values[:earlier]) / earlier
        return Told(bool(kswin.drift_detected), shift, p_value, log(max(p_value, 1e-300)) / log(given.alpha))

    def _clear(self) -> None:
        self._kswin._reset()

    def _model(self) -> list[Any]:
        return [self._kswin.n, list(self._kswin.window)]

    def _restore(self, state: list[Any]) -> None:
        self._kswin.n, window = state
        self._kswin.window = deque(window, maxlen=self._given.window)

    def _level(self) -> float | None:
        window = self._kswin.window
        return sum(window) / len(window) if window else None
