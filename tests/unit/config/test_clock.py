from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.clock import DAY, SECOND, TIME_MAX, TIME_MIN, from_text, micros, to_datetime, to_micros, to_text

instants = st.integers(
    min_value=to_micros(datetime(1, 1, 1, tzinfo=UTC)),
    max_value=to_micros(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
)


@given(instants)
def test_instant_survives_datetime_and_text(at: int) -> None:
    assert to_micros(to_datetime(at)) == at
    assert from_text(to_text(at)) == at


def test_text_is_rfc_3339_in_utc() -> None:
    assert to_text(0) == "1970-01-01T00:00:00Z"
    assert to_text(DAY + 1) == "1970-01-02T00:00:00.000001Z"
    assert to_text(-SECOND) == "1969-12-31T23:59:59Z"


def test_offset_from_utc_is_applied() -> None:
    assert from_text("2022-08-22T03:50:00+02:00") == from_text("2022-08-22T01:50:00Z")
    assert to_micros(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == 0


def test_text_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="has no offset from UTC"):
        from_text("2022-08-22T03:50:00")


@pytest.mark.parametrize("text", ["", "yesterday", "2022-13-01T00:00:00Z"])
def test_text_that_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_text(text)


def test_bounds_of_time_are_shown_though_no_datetime_holds_them() -> None:
    assert (to_text(TIME_MIN), to_text(TIME_MAX)) == ("-∞", "+∞")
    assert to_micros(datetime(1, 1, 1, tzinfo=UTC)) > TIME_MIN
    assert to_micros(datetime(9999, 12, 31, tzinfo=UTC)) < TIME_MAX


def test_bounds_of_time_leave_room_to_add_spans_within_64_bits() -> None:
    assert TIME_MIN - 100 * 366 * DAY >= -(2**63)
    assert TIME_MAX + 100 * 366 * DAY < 2**63


def test_span_is_counted_in_whole_microseconds() -> None:
    assert micros(timedelta(milliseconds=50)) == 50_000
    assert micros(timedelta(days=30)) == 30 * DAY
