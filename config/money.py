"""Amounts as whole numbers: millionths of a currency unit, so that sums are exact in any order."""

from __future__ import annotations

MONEY_SCALE = 1_000_000
"""Parts of a currency unit that amounts are counted in."""
AMOUNT_MAX = 10_000_000_000
"""Currency units that are told apart: more than any limit can be, and what still fits a snapshot."""


def money(amount: float) -> int:
    """Return an amount in currency units as millionths."""
    return round(amount * MONEY_SCALE)
