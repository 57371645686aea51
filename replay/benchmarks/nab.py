"""Runs detectors over the series of the Numenta Anomaly Benchmark and says what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detectors.base import Parameters
from replay.benchmarks.baselines import BASELINES
from replay.benchmarks.contenders import CONTENDERS
from replay.benchmarks.nab_data import Series
from replay.benchmarks.nab_score import (
    PROFILES,
    Flags,
    Floats,
    Profile,
    Tally,
    Worth,
    best_threshold,
    normalised,
    tally,
    total,
    worth,
)


@dataclass(frozen=True)
class Run:
    """What one detector made of one series."""

    scores: Floats
    """Of each row; the greater, the more anomalous."""
    detected: Flags
    """By the threshold that was fixed beforehand."""


@dataclass(frozen=True)
class Outcome:
    """What one detector made of all series."""

    detector: str
    series: Sequence[Series]
    worths: Sequence[Worth]
    runs: Sequence[Run]

    def document(self) -> dict[str, Any]:
        """Return scores and counts as the command prints them."""
        whole = self.tally(PROFILES["standard"])
        return {
            "detector": self.detector,
            "profile": self._profiles(self.series),
            "optimised": {name: self._optimised(profile) for name, profile in PROFILES.items()},
            "windows": whole.windows,
            "found": whole.found,
            "false_positives": whole.false_positives,
        }

    def by_category(self) -> dict[str, dict[str, Any]]:
        """Return scores and counts of each category; a score is None where a category has no windows."""
        parts: dict[str, dict[str, Any]] = {}
        for category in sorted({each.category for each in self.series}):
            chosen = [each for each in self.series if each.category == category]
            part = self.tally(PROFILES["standard"], chosen)
            counts = {"windows": part.windows, "found": part.found, "false_positives": part.false_positives}
            parts[category] = {"series": len(chosen), **self._profiles(chosen), **counts}
        return parts

    def by_series(self) -> list[dict[str, Any]]:
        """Return the raw score under the standard profile and the counts of each series."""
        rows = []
        for each in self.series:
            one = self.tally(PROFILES["standard"], [each])
            counts = {"windows": one.windows, "found": one.found, "false_positives": one.false_positives}
            rows.append({"series": each.name, "score": round(one.score, 4), **counts})
        return rows

    def tally(self, profile: Profile, chosen: Sequence[Series] | None = None) -> Tally:
        """Return what the detections come to, over all series or those chosen."""
        names = {each.name for each in (self.series if chosen is None else chosen)}
        triples = zip(self.series, self.worths, self.runs, strict=True)
        return total([tally(run.detected, each, profile) for one, each, run in triples if one.name in names])

    def _profiles(self, chosen: Sequence[Series]) -> dict[str, float | None]:
        return {name: _rounded(normalised(self.tally(p, chosen), p)) for name, p in PROFILES.items()}

    def _optimised(self, profile: Profile) -> dict[str, float | None]:
        threshold, score = best_threshold([run.scores for run in self.runs], self.worths, profile)
        pairs = zip(self.worths, self.runs, strict=True)
        whole = total([tally(run.scores >= threshold, each, profile) for each, run in pairs])
        assert abs(whole.score - score) < 1e-6, "the sweep and the count differ"
        return {"score": _rounded(normalised(whole, profile)), "threshold": threshold if threshold < np.inf else None}


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 2)


def detect(parameters: Parameters, values: Sequence[float]) -> Run:
    """Run a detector over one series, online: each row is judged before it is learned."""
    detector = parameters.build()
    scores, detected = np.zeros(len(values)), np.zeros(len(values), dtype=np.bool_)
    for row, x in enumerate(values):
        score = detector.score_one(x)
        scores[row], detected[row] = score.strength, score.flagged
        detector.learn_one(x)
    return Run(scores, detected)


def _baseline(name: str, values: Sequence[float]) -> Run:
    made = BASELINES[name]
    detector = made.build(values)
    scores = np.array([detector.score_then_learn(x) for x in values])
    return Run(scores, scores >= made.threshold)


def outcome(name: str, series: Sequence[Series], advance: Callable[[], None] = lambda: None) -> Outcome:
    """Run the contender or baseline of that name over all series.

    Args:
        name: A key of `CONTENDERS` or `BASELINES`.
        series: To run it over.
        advance: Called after each series.
    """
    runs = []
    for each in series:
        runs.append(_baseline(name, each.values) if name in BASELINES else detect(CONTENDERS[name], each.values))
        advance()
    return Outcome(name, series, [worth(len(each.values), each.windows) for each in series], runs)
