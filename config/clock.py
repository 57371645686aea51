"""Event time as an integer: microseconds since 1970-01-01T00:00:00Z.

Inside the runtime all instants are such integers, exact and quick to compare; at the edges they are RFC 3339 text
or aware `datetime`s.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

TIME_MIN = -(2**62)
"""Before every event: the watermark of a channel that has not spoken."""
TIME_MAX = 2**62
"""After every event: the watermark of a drained channel."""


def micros(span: timedelta) -> int:
    """Return `span` in whole microseconds."""
    return span // MICROSECOND


def to_micros(instant: datetime) -> int:
    """Return an aware `datetime` as microseconds since the epoch."""
    return (instant - EPOCH) // MICROSECOND


def to_datetime(at: int) -> datetime:
    """Return microseconds since the epoch as an aware UTC `datetime`."""
    return EPOCH + at * MICROSECOND


def to_text(at: int) -> str:
    """Return microseconds since the epoch as RFC 3339 text in UTC, `2026-11-22T16:05:44Z`.

    `TIME_MIN` and `TIME_MAX`, which no `datetime` can hold, become "-∞" and "+∞".
    """
    if at <= TIME_MIN:
        return "-∞"
    if at >= TIME_MAX:
        return "+∞"
    return to_datetime(at).isoformat().replace("+00:00", "Z")


def from_text(text: str) -> int:
    """Return RFC 3339 text as microseconds since the epoch.

    Raises:
        ValueError: `text` is not an instant, or has no offset from UTC.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return to_micros(instant)
