"""Scoring by segments: a labelled stretch is found when any of its points is detected, whichever and however many.

Detected points that lie close together are one alarm; an alarm without a labelled point is false. Points are not
adjusted: that a segment is found makes no other point of it detected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]

GAP = 20
"""Points without a detection that an alarm may hold: one incident, one alarm."""


@dataclass(frozen=True)
class Tally:
    """What the detections in one stretch of points, or in several, come to."""

    points: int
    segments: int
    """Labelled."""
    delays: tuple[int, ...]
    """Points from the beginning of each segment that was found to its first detection."""
    alarms: int
    false_alarms: int

    @property
    def found(self) -> int:
        """How many labelled segments have a detection."""
        return len(self.delays)

    @property
    def recall(self) -> float | None:
        """The share of labelled segments that were found; None where there are none."""
        return self.found / self.segments if self.segments else None

    @property
    def precision(self) -> float | None:
        """The share of alarms that hold a labelled point; None where there are none."""
        return 1 - self.false_alarms / self.alarms if self.alarms else None

    @property
    def false_per_1000(self) -> float:
        """False alarms in a thousand points."""
        return 1000 * self.false_alarms / self.points if self.points else 0.0

    def document(self) -> dict[str, float | int | None]:
        """Return all as the command prints it."""
        return {
            "segments": self.segments,
            "found": self.found,
            "recall": _rounded(self.recall),
            "precision": _rounded(self.precision),
            "delay_points": median(self.delays) if self.delays else None,
            "alarms": self.alarms,
            "false_alarms": self.false_alarms,
            "false_per_1000": round(self.false_per_1000, 3),
        }


def runs(flags: Flags, gap: int = 0) -> list[tuple[int, int]]:
    """Return first point and end, exclusive, of each stretch of set flags with at most `gap` unset ones between."""
    places = np.flatnonzero(flags)
    if not places.size:
        return []
    breaks = np.flatnonzero(np.diff(places) > gap + 1)
    firsts, lasts = places[np.r_[0, breaks + 1]], places[np.r_[breaks, len(places) - 1]]
    return [(int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True)]


def tally(detected: Flags, labels: Flags, gap: int = GAP) -> Tally:
    """Return what the detections come to.

    Args:
        detected: Of each point.
        labels: Of each point.
        gap: See `GAP`.
    """
    segments, alarms = runs(labels), runs(detected, gap)
    delays = [int(np.argmax(detected[first:end])) for first, end in segments if detected[first:end].any()]
    false = sum(not labels[first:end].any() for first, end in alarms)
    return Tally(len(labels), len(segments), tuple(delays), len(alarms), false)


def total(tallies: Sequence[Tally]) -> Tally:
    """Return the sum over several stretches."""
    return Tally(
        sum(each.points for each in tallies),
        sum(each.segments for each in tallies),
        tuple(delay for each in tallies for delay in each.delays),
        sum(each.alarms for each in tallies),
        sum(each.false_alarms for each in tallies),
    )


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 3)
