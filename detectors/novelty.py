"""Novelty of the last values: is how they are spread unlike anything seen before?

Windows of several lengths end at each value. Of each it is asked how far its shape is from the nearest one remembered
(`detectors.shapes`), and how rare such a distance has been: a conformal p-value, as in conformal anomaly detection on
lagged windows (Burnaev and Ishimtsev 2016, arXiv:1608.04585), here of windows without order, like the histograms of
Wang et al. 2011. The evidence is the mean of -log10 of the p-values: the lengths must agree. It needs no scale, no
law and no season. The longer the detector has watched, the rarer something must be to be flagged, so that the number
of alarms grows with the square root of time. An alarm is followed by silence, unless something far rarer comes.
"""

from __future__ import annotations

from math import log10
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from detectors.base import Score, Usual
from detectors.patience import WARMING_UP, bounded
from detectors.shapes import Ranks, Shapes

if TYPE_CHECKING:
    from detectors.shapes import Floats

SEEN_MAX = 2**17
"""Values after which flagging does not become stricter any more: a year and three months of one every five minutes."""


class NoveltyParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of a `Novelty`; `build` makes it."""

    windows: tuple[int, ...] = (12, 96)
    """Lengths of the windows, in values. An hour and a working day of one every five minutes."""
    points: int = 8
    """Values in the shape of a window, at most."""
    capacity: int = 256
    """Shapes remembered of each length."""
    memory: int = 4000
    """Distances remembered of each length, at most; older ones fade."""
    rarity: float = 2.0
    """Flagged is what has, in the geometric mean over the windows, a p-value below this over the root of the values
    seen."""
    quiet: int = 200
    """Values after an alarm within which another must be rarer by far."""
    louder: float = 10.0
    """How many times rarer."""
    adapt_after: int = 360
    """Suspect values in a row of which those that follow are learned all the same."""

    def __post_init__(self) -> None:
        if not self.windows or list(self.windows) != sorted(set(self.windows)) or self.windows[0] < 2:
            raise ValueError(f"windows are {self.windows}, must ascend from 2 or more")
        if self.points < 2:
            raise ValueError(f"points is {self.points}, must be at least 2")
        if self.capacity < 8:
            raise ValueError(f"capacity is {self.capacity}, must be at least 8")
        if self.memory < 100:
            raise ValueError(f"memory is {self.memory}, must be at least 100")
        if not 0 < self.rarity < 10:
            raise ValueError(f"rarity is {self.rarity}, must be above 0 and below 10, or all would be rare")
        if self.quiet < 0 or self.adapt_after < 1 or not self.louder >= 1:
            raise ValueError("0 ≤ quiet, 1 ≤ adapt_after and 1 ≤ louder must hold")

    def build(self) -> Novelty:
        """Return a detector that knows nothing yet."""
        return Novelty(self)


class Novelty:
    """See the module.

    Unlike other detectors it learns what it flagged: what was seen once is no novelty any more, and a lasting change is
    one alarm. State is [values seen, values of silence left, evidence of the last alarm, suspect values in a row, last
    values, shapes and ranks of each window, ranks of the evidence].
    """

    def __init__(self, parameters: NoveltyParameters) -> None:
        p = self._parameters = parameters
        self._longest = p.windows[-1]
        self._shapes = [Shapes(window, p.points, p.capacity) for window in p.windows]
        self._ranks = [Ranks(p.memory) for _ in p.windows]
        self._evidence = Ranks(p.memory)
        rest = sum(each.size_max for each in self._shapes) + Ranks.size_max * (len(p.windows) + 1)
        self.size_max = 64 + 9 * self._longest + rest
        self._seen, self._silence, self._alarm, self._suspect = 0, 0, 0.0, 0
        self._recent: list[float] = []
        self._last: tuple[float, _Judgement] | None = None
        """The value judged last, and the judgement: while nothing was learned since, it holds."""

    def encode(self) -> list[Any]:
        """Return the state as built-in values."""
        parts = [[shapes.encode(), ranks.encode()] for shapes, ranks in zip(self._shapes, self._ranks, strict=True)]
        return [
            self._seen, self._silence, self._alarm, self._suspect, list(self._recent), parts, self._evidence.encode()
        ]  # fmt: skip

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned."""
        self._seen, self._silence, self._alarm, self._suspect, recent, parts, evidence = state
        self._recent, self._last = list(recent), None
        for shapes, ranks, (one, other) in zip(self._shapes, self._ranks, parts, strict=True):
            shapes.decode(one)
            ranks.decode(other)
        self._evidence.decode(evidence)

    def score_one(self, x: float, *, at: int | None = None) -> Score:
        """Judge `x`: `value` is the mean of -log10 of the p-values. Raises ValueError when it is not finite."""
        return self._judged(x).score

    def learn_one(self, x: float, *, suspect: bool = False, at: int | None = None) -> bool:
        """Take `x` in, unless it is suspect; return whether suspect values became the new normal."""
        judged, p = self._judged(x), self._parameters
        self._suspect = min(self._suspect + 1, p.adapt_after) if suspect else 0
        if suspect and self._suspect < p.adapt_after:
            return False
        self._last = None
        self._recent = [*self._recent, bounded(x)][-self._longest :]
        self._seen = min(self._seen + 1, SEEN_MAX)
        if judged.score.flagged:
            self._silence, self._alarm = p.quiet, judged.score.value
        elif self._silence:
            self._silence -= 1
        for shapes, ranks, (shape, distance) in zip(self._shapes, self._ranks, judged.views, strict=False):
            if distance is not None:
                ranks.learn(distance)
            shapes.keep(shape)
        if judged.ready:
            self._evidence.learn(judged.score.value)
        return suspect

    def usual(self, x: float, *, at: int | None = None) -> Usual:
        """Return the median of the last values; how they are spread is judged, and has no limit."""
        bounded(x)
        return Usual(median(self._recent)) if len(self._recent) == self._longest else Usual()

    def explain(self, x: float, *, at: int | None = None) -> str:
        """Return how rare windows like those that end at `x` have been."""
        judged = self._judged(x)
        if not judged.ready:
            return f"{x:.4g}, too new to know what is usual"
        pairs = zip(self._parameters.windows, judged.p_values, strict=True)
        rarities = " and ".join(f"the last {window} values (1 in {1 / p_value:,.0f})" for window, p_value in pairs)
        return f"{x:.4g}, how unlike all before are {rarities}"

    def _judged(self, x: float) -> _Judgement:
        if self._last is None or self._last[0] != x:
            self._last = (x, self._judge(bounded(x)))
        return self._last[1]

    def _judge(self, x: float) -> _Judgement:
        p, recent = self._parameters, [*self._recent, x]
        views: list[tuple[Floats, float | None]] = []
        p_values = [1.0] * len(p.windows)
        for number, (shapes, ranks) in enumerate(zip(self._shapes, self._ranks, strict=True)):
            if len(recent) < shapes.window:
                break  # nor will the longer ones be full
            shape = shapes.shape(recent)
            distance = shapes.distance(shape)
            views.append((shape, distance))
            p_values[number] = 1.0 if distance is None else ranks.p_value(distance)
        if self._seen < 2 * self._longest:
            return _Judgement(WARMING_UP, views, p_values, ready=False)
        evidence = sum(-log10(p_value) for p_value in p_values) / len(p_values)
        limit = max(0.5 * log10(self._seen) - log10(p.rarity), 1e-9)
        strength = evidence / limit
        flagged = strength >= 1 and (not self._silence or evidence >= self._alarm + log10(p.louder))
        if strength >= 1 and not flagged:
            strength = min(0.5 * strength, 0.99)  # what is not flagged, for silence, must not look as if it were
        score = Score(evidence, self._evidence.p_value(evidence), flagged=flagged, strength=strength)
        return _Judgement(score, views, p_values, ready=True)


class _Judgement(msgspec.Struct, frozen=True):
    """All that is thought of one value."""

    score: Score
    views: list[Any]
    """(shape, distance) of each window that is full, in their order."""
    p_values: list[float]
    """Of all windows."""
    ready: bool
    """Whether enough is known to judge."""
