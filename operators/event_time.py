"""Event times, RFC 3339 text to microseconds, columnar."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

_PUNCTUATION = {4: "-", 7: "-", 10: "T", 13: ":", 16: ":", 19: "."}
_SEPARATOR = "\n"
_SECONDS_END = 19
_EPOCH = date(1970, 1, 1).toordinal()
_DAY_SECONDS = 86_400
_LENGTHS = {_SECONDS_END + 1, *range(_SECONDS_END + 3, _SECONDS_END + 9)}
"""Of an instant in UTC with no, or one to six, digits of a second's fraction."""


def event_times(texts: list[str]) -> pl.Series:
    """Return instants (Int64, µs since the epoch); null for text that is no RFC 3339 instant.

    Producers write all their instants alike, mostly in UTC with `Z`; such a list is read by NumPy in a fifth of
    the time, any other by Polars.
    """
    at = _alike(texts)
    if at is not None:
        return pl.Series(at)
    parsed = pl.Series(texts, dtype=pl.String()).str.to_datetime("%+", time_unit="us", strict=False)
    return parsed.to_physical()


def _alike(texts: list[str]) -> np.ndarray | None:
    """Return the instants of texts that are all like `2024-05-01T12:00:00.000Z`, None if one is not."""
    length = len(texts[0]) if texts else 0
    if length not in _LENGTHS:
        return None
    text = _SEPARATOR.join([*texts, ""])
    if len(text) != len(texts) * (length + 1) or not text.isascii():
        return None
    characters = np.ascontiguousarray(np.frombuffer(text.encode(), np.uint8).reshape(-1, length + 1).T)
    places = {place: mark for place, mark in _PUNCTUATION.items() if place < length - 1}
    # With separators at these places and, as is seen below, nowhere else, each text is as long as the first.
    places |= {length - 1: "Z", length: _SEPARATOR}
    if not all((characters[place] == ord(mark)).all() for place, mark in places.items()):
        return None
    digits = characters - ord("0")
    digits[list(places)] = 0
    if (digits > 9).any():
        return None
    return _instants(digits.astype(np.int32), length - 2 - _SECONDS_END)


def _instants(digits: np.ndarray, fraction_digits: int) -> np.ndarray | None:
    """Return the instants of rows of digits by place, None if one is of no calendar or clock."""

    def number(start: int, end: int) -> np.ndarray:
        value: np.ndarray = digits[start].copy()
        for place in range(start + 1, end):
            value *= 10
            value += digits[place]
        return value

    hour, minute, second = number(11, 13), number(14, 16), number(17, 19)
    if max(hour.max() - 23, minute.max() - 59, second.max() - 59) > 0:
        return None
    days = _days((number(0, 4) * 100 + number(5, 7)) * 100 + number(8, 10))
    if days is None:
        return None
    at: np.ndarray = (days * _DAY_SECONDS + (hour * 60 + minute) * 60 + second) * 1_000_000
    if fraction_digits > 0:
        at += number(_SECONDS_END + 1, _SECONDS_END + 1 + fraction_digits) * 10 ** (6 - fraction_digits)
    return at


def _days(dates: np.ndarray) -> np.ndarray | None:
    """Return days since the epoch (Int64) of dates such as 20240501, None if one is in no calendar. Few differ."""
    distinct, which = np.unique(dates, return_inverse=True)
    try:
        days = [date(d // 10_000, d // 100 % 100, d % 100).toordinal() - _EPOCH for d in distinct.tolist()]
    except ValueError:
        return None
    found: np.ndarray = np.array(days, np.int64)[which]
    return found
