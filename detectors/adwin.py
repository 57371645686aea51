"""ADWIN: a window that is cut wherever its two parts have means too far apart.

River's `ADWIN` (Bifet and Gavaldà 2007, doi:10.1137/1.9781611972771.42). It needs no threshold but a bound on false
alarms, and finds slow drifts as well as steps. Its p-value is that bound where a change shows, else 1.
"""

from __future__ import annotations

from typing import Any

from detectors.change import Change, ChangeParameters, Told


class AdwinParameters(ChangeParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of an `Adwin`; `build` makes it."""

    delta: float = 0.002
    """Bound on the chance of a false alarm at a cut."""
    clock: int = 8
    """Cuts are tried every so many values: more often finds sooner and costs more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.delta < 1:
            raise ValueError(f"delta is {self.delta}, must be between 0 and 1")
        if self.clock < 1:
            raise ValueError(f"clock is {self.clock}, must be at least 1")

    def build(self) -> Adwin:
        """Return a detector that knows nothing yet."""
        return Adwin(self)


class Adwin(Change):
    """See the module; its model is the bytes of River's window, which are plain numbers in order, not a pickle."""

    def __init__(self, parameters: AdwinParameters) -> None:
        from river import drift

        # 5 buckets for each power of two of the window's length, 24 bytes each, for up to 2^40 values.
        super().__init__(parameters, model_size=10_000)
        self._delta = parameters.delta
        make: Any = drift.ADWIN
        self._adwin: Any = make(delta=parameters.delta, clock=parameters.clock)
        self._fresh: bytes = self._model()

    def _tell(self, y: float) -> Told:
        # River takes values from 0 to 1: its bound counts on that.
        z, before = (y + self._reach) / (2 * self._reach), self._adwin.estimation
        self._adwin._drift_detected = False
        self._adwin.update(z)
        if not self._adwin.drift_detected:
            return Told(False, 0.0, 1.0, 0.0)
        return Told(True, (self._adwin.estimation - before) * 2 * self._reach, self._delta, 1.0)

    def _clear(self) -> None:
        self._restore(self._fresh)

    def _model(self) -> bytes:
        state: bytes = self._adwin._helper.__getstate__()
        return state

    def _restore(self, state: bytes) -> None:
        self._adwin._helper.__setstate__(state)

    def _level(self) -> float | None:
        return (self._adwin.estimation * 2 - 1) * self._reach if self._adwin.width else None
