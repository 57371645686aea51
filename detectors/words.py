"""What detectors say to a person."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.base import Usual

LEAST = 0.05
"""Share below which a contribution is not worth a word."""


def compared(x: float, usual: Usual) -> str:
    """Return a clause that compares `x` with what is usual."""
    if usual.expected is None or usual.limit is None:
        return f"{x:.4g}, too new to know what is usual"
    bound = "up to" if usual.limit >= usual.expected else "down to"
    return f"{x:.4g}, usually about {usual.expected:.4g} and {bound} {usual.limit:.4g}"


def largest(contributions: Sequence[tuple[str, float]], count: int = 3) -> str:
    """Return a clause that names the `count` largest contributions with their shares of what they add up to."""
    total = sum(share for _, share in contributions)
    if total <= 0:
        return "no single cause"
    return ", ".join(f"{name} ({share / total:.0%})" for name, share in contributions[:count] if share >= LEAST * total)
