"""What the risk stage remembers: the model, what it was told of others, and the orders whose outcome is still open."""

from __future__ import annotations

from math import isnan, nan
from struct import pack, unpack
from typing import Any, NamedTuple

import msgspec

from operators.feature_drift import Watched
from operators.features.fleet_history import History
from operators.features.order_progress import Row

BANDS = 10
"""Of the calibration curve: probabilities below 0.1, below 0.2, …"""


class Pending(msgspec.Struct, array_like=True, gc=False):
    """An order that was judged and whose customer has not complained of it yet, and still may."""

    order: str
    customer: str
    since: int
    """When the first record told of the order,"""
    due_at: int
    """when it counts as one of which nobody complained,"""
    final_at: int
    """and when that is final."""
    sellers: list[str]
    lanes: list[str]
    category: str
    products: list[str] = []
    rows: list[bytes] = []
    """What was read at each checkpoint, and what was given: see `packed`."""
    reported: str = ""
    """Occurrence of the finding that was made, or ""."""
    causes: list[str] = []
    """Those of that finding."""
    silent: bool = False
    """Whether it was learned as one of which nobody complained."""


class Band(msgspec.Struct, array_like=True, gc=False):
    """One band of the calibration curve: orders count once, spread over their checkpoints."""

    orders: float = 0.0
    probability: float = 0.0
    """Sum of the probabilities given."""
    complaints: float = 0.0


class RiskState(msgspec.Struct):
    """All that is kept of one model."""

    model: list[Any] = []
    """As the classifier encodes itself; empty before it has learned."""
    platt: list[Any] = []
    """The calibration, likewise."""
    examples_hash: bytes = b""
    """Digest of all examples learned, in order: with class and parameters it says which model this is."""
    orders: int = 0
    """Orders learned,"""
    complaints: int = 0
    """and those among them that ended in a complaint."""
    history: History = msgspec.field(default_factory=History)
    pending: dict[str, Pending] = {}
    curve: list[Band] = msgspec.field(default_factory=lambda: [Band() for _ in range(BANDS)])
    swept: bool = False
    """Whether the timer that looks for orders past their due time is set."""
    drift: dict[str, Watched] = {}
    """What is known of each number that the model reads, as `view.number`."""


class Seen(NamedTuple):
    """An order at one checkpoint, as the model saw it."""

    progress: Row
    history: Row
    log_odds: float
    """Given by the model,"""
    probability: float
    """and the calibrated probability made of it, both as of then."""


def packed(seen: Seen) -> bytes:
    """Return all of it as 4-byte floats: a dozen checkpoints of an order take a kilobyte."""
    numbers = [nan if value is None else value for value in (*seen.progress.values(), *seen.history.values())]
    return pack(f"<{len(numbers) + 2}f", *numbers, seen.log_odds, seen.probability)


def unpacked(row: bytes, progress_names: tuple[str, ...], history_names: tuple[str, ...]) -> Seen:
    """Return what `packed` was given."""
    *numbers, log_odds, probability = unpack(f"<{len(row) // 4}f", row)
    values = [None if isnan(number) else number for number in numbers]
    return Seen(
        dict(zip(progress_names, values, strict=False)),
        dict(zip(history_names, values[len(progress_names) :], strict=True)),
        log_odds,
        probability,
    )
