"""Scales on which a metric is roughly symmetric."""

from __future__ import annotations

from math import copysign, expm1, inf, log1p
from typing import Literal

import msgspec

Kind = Literal["linear", "log"]


class Scale(msgspec.Struct, frozen=True):
    """From a metric's unit to a scale and back."""

    kind: Kind
    pivot: float = 1.0
    """On the log scale, log(1 + |x| / pivot): below about the pivot, in the metric's unit, it is linear."""

    def to(self, x: float) -> float:
        """Return `x` on the scale."""
        return x if self.kind == "linear" else copysign(log1p(abs(x) / self.pivot), x)

    def back(self, y: float) -> float:
        """Return what `to` made `y` of."""
        if self.kind == "linear":
            return y
        try:
            return copysign(expm1(abs(y)) * self.pivot, y)
        except OverflowError:
            return copysign(inf, y)
