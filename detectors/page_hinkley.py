"""Page-Hinkley: deviations from the mean, less an allowance, added up until they are too many.

River's `PageHinkley` (Page 1954, doi:10.1093/biomet/41.1-2.100). Quick to find a step of known size, and the cheapest
of the detectors of a change: six numbers. Its p-value is the chance of so high a sum in a series of independent normal
values: for an allowance of δ deviations, exp(-2 δ sum) (Siegmund 1985, chapter 2).
"""

from __future__ import annotations

from math import exp, inf
from typing import Any

from detectors.change import Change, ChangeParameters, Told


class PageHinkleyParameters(ChangeParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `PageHinkleyTest`; `build` makes it."""

    delta: float = 0.25
    """Allowance, in deviations: changes of less than about twice as much are not looked for."""
    limit: float = 25.0
    """Sum of deviations beyond the allowance at which a change is told."""
    alpha: float = 0.9999
    """What remains of the sum from value to value."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_above(0, "delta", "limit")
        if not 0 < self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}, must be above 0 and at most 1")

    def build(self) -> PageHinkleyTest:
        """Return a detector that knows nothing yet."""
        return PageHinkleyTest(self)


class PageHinkleyTest(Change):
    """See the module; its model is [values, mean, sums, lowest and highest sum]."""

    def __init__(self, parameters: PageHinkleyParameters) -> None:
        from river.drift import PageHinkley

        super().__init__(parameters, model_size=64)
        self._given = parameters
        self._test: Any = PageHinkley(
            min_instances=2,
            delta=parameters.delta,
            threshold=parameters.limit,
            alpha=parameters.alpha,
            mode="both",
        )

    def _tell(self, y: float) -> Told:
        test = self._test
        test._drift_detected = False
        test.update(y)
        up = max(0.0, test._sum_increase - test._min_increase)
        down = max(0.0, test._max_decrease - test._sum_decrease)
        total = max(up, down)
        p_value = min(1.0, exp(-2 * self._given.delta * total))
        return Told(test.drift_detected, up if up >= down else -down, p_value, total / self._given.limit)

    def _clear(self) -> None:
        self._test._reset()

    def _model(self) -> list[float | None]:
        test = self._test
        lowest = None if test._min_increase == inf else test._min_increase
        sums = [test._sum_increase, test._sum_decrease, lowest, float(test._max_decrease)]
        return [test._x_mean.n, test._x_mean._mean, *sums]

    def _restore(self, state: list[float | None]) -> None:
        test = self._test
        test._x_mean.n, test._x_mean._mean, *sums = state
        test._sum_increase, test._sum_decrease, lowest, test._max_decrease = sums
        test._min_increase = inf if lowest is None else lowest
        test._drift_detected = False

    def _level(self) -> float | None:
        return float(self._test._x_mean.get()) if self._test._x_mean.n else None
