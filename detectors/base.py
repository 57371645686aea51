"""What every detector is: a number goes in, calibrated evidence comes out.

A detector knows nothing of streams. It is asked for a score first, then told to learn; what it flagged it does not
learn, since an incident must not become the norm by lasting a while, yet a change of level that lasts must. Between
calls all of it rests in `encode()`, so that state survives restarts bit by bit.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec


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


class Detector(Protocol):
    """One detector of one series. Deterministic: the same calls give the same bits."""

    size_max: int
    """Bytes that `encode()` takes as MessagePack, at most."""

    def score_one(self, x: float) -> Score:
        """Judge `x` and change nothing.

        Raises:
            ValueError: `x` is not finite.
        """

    def learn_one(self, x: float, *, suspect: bool = False) -> bool:
        """Take `x` into account, unless it is flagged; return whether it made a lasting change the new normal.

        Args:
            x: The value that was just judged.
            suspect: Treat it like a flagged value: something else says that all is not well.

        Raises:
            ValueError: `x` is not finite.
        """

    def encode(self) -> list[Any]:
        """Return all state as built-in values, which makes another detector of the same parameters an equal one."""

    def decode(self, state: list[Any]) -> None:
        """Go on from what `encode` returned; cheaper than building another detector of the same parameters."""

    def usual(self, x: float) -> Usual:
        """Return what is normal, with the limit on the side of `x`."""

    def explain(self, x: float) -> str:
        """Return a clause that tells a person how `x` compares with what is usual."""


class Parameters(Protocol):
    """A detector's description: frozen, checked when read, and the only way to build the detector."""

    def build(self) -> Detector:
        """Return a detector that knows nothing yet."""
