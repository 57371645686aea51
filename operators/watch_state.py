"""What the cause stage keeps of a product, a seller, a lane, a device or an instrument, to judge it by itself."""

from __future__ import annotations

import msgspec

Record = tuple[str, int, int]
"""Topic, partition, offset."""


class Level(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a warehouse holds of a product."""

    at: int
    """When it was measured."""
    on_hand: float
    spans: dict[str, tuple[int, int]]
    """First and last offset of the records that told it, by channel."""
    since: int
    until: int
    """The pane they were in."""
    contract: str


class Demand(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Units of a product that an accepted order takes."""

    placed_at: int
    units: int
    amount: int
    """What they cost, in millionths of the currency unit."""
    record: Record
    left_at: int = 0
    """When they left the warehouse; 0 while they have not."""


class Stock(msgspec.Struct, array_like=True, gc=False):
    """A product's stock, and who waits for it."""

    look_at: int = 0
    """When it will be looked at next; 0 for never."""
    levels: dict[str, Level] = {}
    """By warehouse."""
    demand: dict[str, Demand] = {}
    """By order, those that have not left as far as the levels tell."""
    found: str = ""
    """Occurrence of the finding that is open."""


class Try(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An attempt to pay."""

    at: int
    customer: str
    failed: bool
    amount: int
    record: Record


class Tries(msgspec.Struct, array_like=True, gc=False):
    """How customers pay from one device, or with one instrument."""

    look_at: int = 0
    tries: list[Try] = []
    """The newest."""
    paid: int = 0
    """Attempts that succeeded so far."""
    found: str = ""


class Voice(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a customer last said of it."""

    at: int
    bad: bool
    record: Record
    parts: tuple[str, ...] = ()
    """Of a seller the products, of a lane the sellers that it was about."""


class Heard(msgspec.Struct, array_like=True, gc=False):
    """What customers say of it: of late, one by one, and before, counted."""

    look_at: int = 0
    voices: dict[str, Voice] = {}
    """By customer, the one heard longest ago first."""
    past: int = 0
    """Customers heard before,"""
    past_bad: int = 0
    """and those of them who complained."""
    found: str = ""
