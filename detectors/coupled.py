"""Numbers that belong together: each predicted from all others now, and from all of them a step before.

The first `grace` values fix centre and scale of each feature (median, middle half). From then on a linear model of the
scaled values and those before them is kept up to date, as the inverse of their covariance: what the others do not
explain of a feature is, up to a factor, its row of the inverse times the values (partial regression). These remainders,
each in units of its own usual size, are pooled as (mean of square roots)², between a largest deviation, which sees one
feature far off, and a mean, which sees many a little off. The limit is the score from which on alarms at least as loud
would have been raised `alarms` times in 1,000 values (`detectors.alarm_rate`).

Values that are flagged do not touch the model; the limit counts them. What lasts moves the centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt
from typing import TYPE_CHECKING, Any

import msgspec

from detectors.alarm_rate import AlarmRate
from detectors.base import Score, Usual
from detectors.patience import WARMING_UP, bounded
from detectors.words import compared, largest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

CLIP = 5.0
"""Scaled values further from the centre count as so far for the model, so that none of them bends it."""
RIDGE = 0.1
"""Variance added to each scaled feature in the model: what is collinear stays stable."""
SAMPLE = 256
"""Values of the grace period that are kept to fix the scale."""
HELD = 64
"""Of the values held back the latest so many are kept."""
REFRESH = 32
"""The limit is renewed after so many values."""
QUARTILES = 1.349
"""Deviations of a normal law between its quartiles, of which the median deviation is the half."""
LARGE = 1e9
"""A remainder larger than so many times its usual size counts as that."""
LEAST = 0.02
"""Of a feature's deviation: the least that counts as the usual size of its remainder."""


class CoupledParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Coupled`; `build` makes it."""

    features: tuple[str, ...]
    """Names of the numbers, in the order in which they are given."""
    alarms: float = 2.0
    """Alarms at least as loud, per 1,000 values, below which one is raised."""
    apart: int = 20
    """Values without a flag after which an alarm has ended."""
    floor: float = 0.0
    """Least deviation of a feature, in its unit, so that the noise of a steady one stays noise."""
    grace: int = 1440
    """Values that fix the scale; as many again before the model is used, and again before anything is flagged."""
    memory: int = 20000
    """Effective number of values remembered."""
    adapt_after: int = 360
    """Values held back after which they are the new normal; each normal value between takes one off."""

    def __post_init__(self) -> None:
        if not self.features or len(set(self.features)) != len(self.features):
            raise ValueError("features must be named, each once")
        if not 0 < self.alarms < 1000 or not 0 <= self.floor < inf:
            raise ValueError("0 < alarms < 1000 and 0 ≤ floor must hold")
        if self.apart < 1 or not 16 <= self.grace <= self.memory or self.adapt_after < 2:
            raise ValueError("1 ≤ apart, 16 ≤ grace ≤ memory and 2 ≤ adapt_after must hold")

    def build(self) -> Coupled:
        """Return a detector that knows nothing yet."""
        return Coupled(self)


class Coupled:
    """See the module; state is [values learned, sample, held back, their number, model …, limit, alarm rate]."""

    def __init__(self, parameters: CoupledParameters) -> None:
        import numpy as np

        self._parameters = parameters
        count = len(parameters.features)
        self._rate = AlarmRate(parameters.apart, parameters.memory)
        self._every = max(1, parameters.grace // SAMPLE)
        rows = (SAMPLE * 2 + HELD + 8) * (5 + 9 * count)
        self.size_max = 128 + rows + 2 * count * (5 + 18 * count) + self._rate.size_max
        self._learned, self._count, self._limit = 0, 0, inf
        self._sample: list[list[float]] = []
        self._held: list[list[float]] = []
        self._centre = np.zeros(count)
        self._scale = np.ones(count)
        self._before = np.zeros(count)
        self._mean = np.zeros(2 * count)
        self._inverse = np.eye(2 * count) / RIDGE
        self._size = np.full(count, 0.5)
        self._power = np.zeros(count)
        self._last: tuple[list[float], _Judgement] | None = None
        """The values judged last, and the judgement: while nothing was learned since, it holds."""

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        arrays = (self._centre, self._scale, self._before, self._mean, self._inverse, self._size, self._power)
        return [
            self._learned,
            [list(row) for row in self._sample],
            [list(row) for row in self._held],
            self._count,
            *(array.tolist() for array in arrays),
            None if self._limit == inf else self._limit,
            self._rate.encode(),
        ]

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        import numpy as np

        self._learned, sample, held, self._count, *arrays, limit, rate = state
        self._sample, self._held = [list(row) for row in sample], [list(row) for row in held]
        self._centre, self._scale, self._before, self._mean, self._inverse, self._size, self._power = map(
            np.array, arrays
        )
        self._limit, self._last = inf if limit is None else limit, None
        self._rate.decode(rate)

    def score_one(self, x: Sequence[float], *, at: int | None = None) -> Score:
        """Judge `x`. Raises ValueError when it is not finite, or has not as many numbers as there are features."""
        return self._judged(x).score

    def learn_one(self, x: Sequence[float], *, suspect: bool = False, at: int | None = None) -> bool:
        """Learn normal values, or hold them back; return whether those held back became the new normal."""
        judged, p = self._judged(x), self._parameters
        self._last = None
        if judged.pooled is not None and not suspect:
            self._rate.learn(judged.pooled)
        if suspect or judged.score.flagged:
            if judged.joint is not None and not suspect:
                self._before = judged.joint[: len(p.features)]
            self._held = [*self._held, judged.row][-HELD:]
            self._count += 1
            if self._count < p.adapt_after:
                return False
            self._settle()
            return True
        if self._count:
            self._count -= 1
            self._held = self._held[: self._count]
        self._learn(judged)
        return False

    def contributions(self, x: Sequence[float], *, at: int | None = None) -> list[tuple[str, float]]:
        """Return how much each feature adds to the root of the score of `x`, the largest first."""
        judged, names = self._judged(x), self._parameters.features
        roots = [0.0] * len(names) if judged.remainder is None else self._roots(judged.remainder).tolist()
        return sorted(zip(names, roots, strict=True), key=lambda share: (-share[1], share[0]))

    def usual(self, x: Sequence[float], *, at: int | None = None) -> Usual:
        """Return what is expected of the feature furthest off, and where it alone would be flagged."""
        judged = self._judged(x)
        if judged.remainder is None or self._limit == inf:
            return Usual()
        roots = self._roots(judged.remainder)
        number = int(roots.argmax())
        missing = max(0.0, len(roots) * sqrt(self._limit) - float(roots.sum() - roots[number]))
        off = float(judged.remainder[number] * self._scale[number])
        reach = missing**2 * float(self._unit()[number] * self._scale[number])
        expected = judged.row[number] - off
        return Usual(expected, expected + (reach if off >= 0 else -reach))

    def explain(self, x: Sequence[float], *, at: int | None = None) -> str:
        """Return which features make `x` unusual, and how the first compares with what the others let expect."""
        usual = self.usual(x, at=at)
        if usual.expected is None:
            return "too new to know what is usual"
        shares = self.contributions(x, at=at)
        first = x[self._parameters.features.index(shares[0][0])]
        return f"{largest(shares)}; {shares[0][0]} is {compared(first, usual)}"

    def _judged(self, x: Sequence[float]) -> _Judgement:
        if self._last is None or self._last[0] != x:
            self._last = (list(x), self._judge(x))
        return self._last[1]

    def _judge(self, x: Sequence[float]) -> _Judgement:
        import numpy as np

        names = self._parameters.features
        if len(x) != len(names):
            raise ValueError(f"{len(x)} numbers given, {len(names)} features are named")
        row = [bounded(value) for value in x]
        if self._learned < self._parameters.grace:
            return _Judgement(WARMING_UP, row, None, None, None)
        scaled = (np.array(row) - self._centre) / self._scale
        clipped = np.clip(scaled, -CLIP, CLIP)
        joint = np.concatenate([clipped, self._before])
        count = len(names)
        # Sums along an axis, not matrix products: their last digit depends on how many threads there are.
        product = (self._inverse[:count] * (joint - self._mean)).sum(axis=1)
        remainder = product / np.diagonal(self._inverse)[:count] + (scaled - clipped)
        if self._learned < 2 * self._parameters.grace:
            return _Judgement(WARMING_UP, row, joint, remainder, None)
        pooled = float(self._roots(remainder).mean()) ** 2
        if self._limit == inf or self._rate.total < self._parameters.grace:
            return _Judgement(WARMING_UP, row, joint, remainder, pooled)
        strength = pooled / self._limit
        score = Score(pooled, self._rate.p_value(pooled), flagged=strength >= 1, strength=strength)
        return _Judgement(score, row, joint, remainder, pooled)

    def _roots(self, remainder: Floats) -> Floats:
        import numpy as np

        roots: Floats = np.sqrt(np.minimum(np.abs(remainder) / self._unit(), LARGE))
        return roots

    def _unit(self) -> Floats:
        """Return the usual size of each remainder, on the scale: like a deviation."""
        import numpy as np

        unit: Floats = np.maximum(2 / QUARTILES * self._size, np.maximum(0.1 * np.sqrt(self._power), LEAST))
        return unit

    def _learn(self, judged: _Judgement) -> None:
        import numpy as np

        p = self._parameters
        self._learned += 1
        if judged.joint is None or judged.remainder is None:
            if self._learned % self._every == 0 and len(self._sample) < 2 * SAMPLE:
                self._sample.append(judged.row)
            if self._learned == p.grace:
                self._fix()
            return
        steps = min(self._learned - p.grace, p.memory)
        off = judged.joint - self._mean
        self._mean += off / steps
        self._renew(off, 1.0 - 1.0 / p.memory)
        # One more value whose only other than zero is this feature's: the ridge, kept up while memory fades.
        ridge = np.zeros(len(off))
        ridge[steps % len(off)] = sqrt(RIDGE * len(off))
        self._renew(ridge, 1.0)
        # The median of the remainders by steps up and down, their power as a mean.
        size, pace = np.abs(judged.remainder), max(0.002, min(0.1, 2.0 / steps))
        self._size *= np.where(size > self._size, 1.0 + pace, 1.0 / (1.0 + pace))
        self._power += (np.minimum(size, CLIP * 10) ** 2 - self._power) / steps
        self._before = judged.joint[: len(p.features)]
        if self._learned % REFRESH == 0:
            self._limit = self._rate.limit(p.alarms / 1000)

    def _renew(self, u: Floats, fading: float) -> None:
        """Bring the inverse up to date with one more value (Sherman and Morrison)."""
        import numpy as np

        self._inverse /= fading
        towards = (self._inverse * u).sum(axis=1)
        self._inverse -= np.outer(towards, towards) / (1.0 + float((towards * u).sum()))

    def _fix(self) -> None:
        """Fix centre and scale by the sample."""
        import numpy as np

        rows = np.array(self._sample)
        self._sample = []
        low, self._centre, high = np.percentile(rows, [25, 50, 75], axis=0)
        least = np.maximum(self._parameters.floor, np.maximum(1e-6 * np.abs(self._centre), 1e-12))
        self._scale = np.maximum((high - low) / QUARTILES, np.maximum(0.1 * rows.std(axis=0), least))

    def _settle(self) -> None:
        """Move the centre to the middle of what was held back."""
        import numpy as np

        held, self._held, self._count = self._held, [], 0
        if self._learned >= self._parameters.grace:
            self._centre = np.median(np.array(held), axis=0)
            self._before = np.zeros(len(self._before))


class _Judgement(msgspec.Struct, frozen=True):
    """All that is thought of one value."""

    score: Score
    row: list[float]
    joint: Any
    """Scaled values and those before them; None until there is a scale."""
    remainder: Any
    """What the model leaves of each feature, on the scale."""
    pooled: float | None
    """The score; None until there is a model."""
