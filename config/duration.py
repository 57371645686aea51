"""Spans of time as people write them: `50ms`, `5s`, `1m`, `12h`, `30d`, `0s`; whole numbers, one unit."""

from __future__ import annotations

import re
from datetime import timedelta

UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}
_PATTERN = re.compile(r"([0-9]{1,12})(us|ms|s|m|h|d)")


def parse_duration(text: str) -> timedelta:
    """Return the span that `text` names.

    Raises:
        ValueError: `text` is not a whole number followed by us, ms, s, m, h or d, or is too long a span to hold.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a whole number and a unit of us, ms, s, m, h, d")
    try:
        return int(match[1]) * UNITS[match[2]]
    except OverflowError:
        raise ValueError(f"{text!r} is longer than a span can be") from None


def format_duration(span: timedelta) -> str:
    """Return `span` (not negative) in its largest unit that leaves a whole number; `parse_duration` reads it back."""
    for name, unit in UNITS.items():
        if span and span % unit == timedelta(0):
            return f"{span // unit}{name}"
    return "0s"
