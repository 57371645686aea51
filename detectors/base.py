"""What every detector is: a number goes in, calibrated evidence comes out.

A detector knows nothing of streams. It is asked for a score first, then told to learn; what it flagged it does not
learn, since an incident must not become the norm by lasting a while, yet a change of level that lasts must. Between
calls all of it rests in `encode()`, so that state survives restarts bit by bit.

There are detectors of one number (`Detector`) and of several numbers that were measured together (`VectorDetector`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

X = TypeVar("X", contravariant=True)


class Score(msgspec.Struct, frozen=True):
    """How far a value is from what is usual."""

    value: float
    """Distance in the direction that is bad, in the detector's own measure; 0 or less is unsuspicious."""
    p_value: float
    """Chance of a value at least as far off while nothing is wrong; 1 while the detector still warms up."""
    flagged: bool
    """Whether this is an anomaly."""
    strength: float
    """How clearly: 1 where flagging begins, 2 at twice that distance from the usual."""


class Usual(msgspec.Struct, frozen=True):
    """What a detector takes for normal, in the metric's unit; None for what it does not know."""

    expected: float | None = None
    limit: float | None = None
    """Beyond this a value is flagged."""


class DetectorOf(Protocol[X]):
    """One detector of one series. Deterministic: the same calls give the same bits.

    Each method takes the instant of the value, `at`, in µs since 1970 UTC. Only detectors that know hours and days
    need it; the others ignore it.
    """

    size_max: int
    """Bytes that `encode()` takes as MessagePack, at most."""

    def score_one(self, x: X, *, at: int | None = None) -> Score:
        """Judge `x` and change nothing.

        Raises:
            ValueError: `x` is not finite.
        """

    def learn_one(self, x: X, *, suspect: bool = False, at: int | None = None) -> bool:
        """Take `x` into account, unless it is flagged; return whether it made a lasting change the new normal.

        Args:
            x: The value that was just judged.
            suspect: Treat it like a flagged value: something else says that all is not well.
            at: Its instant.

        Raises:
            ValueError: `x` is not finite.
        """

    def encode(self) -> list[Any]:
        """Return all state as built-in values, which makes another detector of the same parameters an equal one."""

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned; cheaper than building another detector of the same parameters."""

    def usual(self, x: X, *, at: int | None = None) -> Usual:
        """Return what is normal, with the limit on the side of `x`; of several numbers, for the one furthest off."""

    def explain(self, x: X, *, at: int | None = None) -> str:
        """Return a clause that tells a person how `x` compares with what is usual."""


Detector: TypeAlias = DetectorOf[float]
"""A detector of a single number."""


class VectorDetector(DetectorOf[Sequence[float]], Protocol):
    """A detector of several numbers, in the order of the `features` of its parameters."""

    def contributions(self, x: Sequence[float], *, at: int | None = None) -> list[tuple[str, float]]:
        """Return how much each feature adds to the score of `x`, 0 or more, the largest first, ties by name."""


class Parameters(Protocol):
    """A detector's description: frozen, checked when read, and the only way to build the detector."""

    def build(self) -> Detector:
        """Return a detector that knows nothing yet."""


class VectorParameters(Protocol):
    """The description of a detector of several numbers."""

    @property
    def features(self) -> tuple[str, ...]:
        """Their names, in the order in which they are given."""

    def build(self) -> VectorDetector:
        """Return a detector that knows nothing yet."""
