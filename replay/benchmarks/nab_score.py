"""The score of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015, arXiv:1510.03336, section II).

A detection within a labelled window earns up to 1, the earlier the more; only the best, which is the first, of a window
counts. A window without a detection costs A_FN. Every other detected row costs A_FP, less of it shortly after a window.
The first rows of a series, its probation, are not judged. What the paper leaves open follows the conventions of the
benchmark's results, which `docs/benchmarks-of-detectors.md` compares with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PROBATION_SHARE = 0.15
PROBATION_ROWS_MAX = 750
"""15 % of a series, and not more than 15 % of 5,000 rows."""
FAR = 3.0
"""Window lengths after a window from which on a false positive costs the whole of A_FP."""


@dataclass(frozen=True)
class Profile:
    """What a user gains and loses; A_TN of the paper is not used by the score."""

    true_positive: float
    false_positive: float
    false_negative: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "reward_low_fp": Profile(1.0, 0.22, 1.0),
    "reward_low_fn": Profile(1.0, 0.11, 2.0),
}


def probation_rows(rows: int) -> int:
    """Return how many rows at the beginning of a series of `rows` are not judged."""
    return min(int(PROBATION_SHARE * rows), PROBATION_ROWS_MAX)


def scaled_sigmoid(position: float) -> float:
    """Return the worth of a detection, between -1 and 1.

    Args:
        position: In window lengths from the window's right edge: -1 at its left edge, above 0 after it.
    """
    return -1.0 if position > FAR else 2.0 / (1.0 + exp(5.0 * position)) - 1.0


@dataclass(frozen=True)
class Worth:
    """What a detection at each row of a series would be worth, before a profile weighs it."""

    values: Floats
    """Of each row: within windows above 0, 1 at the left edge; elsewhere below 0."""
    windows: npt.NDArray[np.int64]
    """The number of the window that a row lies in; -1 outside."""
    first: int
    """The first row that is judged."""
    judged: tuple[int, ...]
    """The numbers of the windows that have judged rows."""


def worth(rows: int, windows: Sequence[tuple[int, int]]) -> Worth:
    """Return what detections in a series are worth.

    Args:
        rows: Of the series.
        windows: First and last row of each, in order, disjoint.
    """
    values, numbers = np.full(rows, -1.0), np.full(rows, -1, dtype=np.int64)
    most = scaled_sigmoid(-1.0)
    for number, (first, last) in enumerate(windows):
        width = last - first + 1
        for row in range(first, last + 1):
            values[row] = scaled_sigmoid((row - last - 1) / width) / most
        numbers[first : last + 1] = number
        until = windows[number + 1][0] if number + 1 < len(windows) else rows
        for row in range(last + 1, until):
            values[row] = scaled_sigmoid((row - last) / (width - 1)) if width > 1 else -1.0
    probation = probation_rows(rows)
    judged = tuple(number for number, (_, last) in enumerate(windows) if last >= probation)
    return Worth(values, numbers, probation, judged)


@dataclass(frozen=True)
class Tally:
    """What the detections in a series, or in several, come to."""

    score: float
    """Raw: not yet between that of no detection and that of a perfect one."""
    windows: int
    found: int
    """Windows with a detection."""
    false_positives: int
    """Detected rows outside windows."""


def tally(detected: Flags, each: Worth, profile: Profile) -> Tally:
    """Return the raw score of the detections in one series."""
    rows = np.flatnonzero(detected[each.first :]) + each.first
    inside = each.windows[rows]
    outside = rows[inside < 0]
    score = profile.false_positive * float(each.values[outside].sum())
    found = 0
    for number in each.judged:
        hits = rows[inside == number]
        found += bool(hits.size)
        score += profile.true_positive * float(each.values[hits[0]]) if hits.size else -profile.false_negative
    return Tally(score, len(each.judged), found, len(outside))


def total(tallies: Sequence[Tally]) -> Tally:
    """Return the sum over several series."""
    return Tally(
        sum(each.score for each in tallies),
        sum(each.windows for each in tallies),
        sum(each.found for each in tallies),
        sum(each.false_positives for each in tallies),
    )


def normalised(whole: Tally, profile: Profile) -> float | None:
    """Return 100 for the score of a perfect detector, 0 for that of one that never detects; None without windows."""
    if not whole.windows:
        return None
    nothing, perfect = -profile.false_negative * whole.windows, profile.true_positive * whole.windows
    return 100.0 * (whole.score - nothing) / (perfect - nothing)


def best_threshold(scores: Sequence[Floats], worths: Sequence[Worth], profile: Profile) -> tuple[float, float]:
    """Return the one threshold for all series with the highest raw score, and that score.

    A row is detected where its score is at least the threshold; infinity stands for never. This looks at the labels, as
    the benchmark does for every detector on its board.
    """
    rows, window_base = [], 0
    best = score = -profile.false_negative * sum(len(each.judged) for each in worths)
    threshold = np.inf
    for values, each in zip(scores, worths, strict=True):
        numbers = np.where(each.windows >= 0, each.windows + window_base, -1)[each.first :]
        rows.append(np.column_stack([values[each.first :], each.values[each.first :], numbers]))
        window_base += int(each.windows.max(initial=-1)) + 1
    points = np.concatenate(rows)
    points = points[np.argsort(-points[:, 0], kind="stable")]
    worth_of_window = np.full(window_base, -profile.false_negative)
    for position, (level, value, number) in enumerate(points):
        if number < 0:
            score += profile.false_positive * value
        else:
            window = int(number)
            better = max(worth_of_window[window], profile.true_positive * value)
            score += better - worth_of_window[window]
            worth_of_window[window] = better
        last_of_level = position + 1 == len(points) or points[position + 1, 0] != level
        if last_of_level and score > best:
            best, threshold = float(score), float(level)
    return float(threshold), best
