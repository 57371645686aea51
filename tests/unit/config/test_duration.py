from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("0s", timedelta(0)),
        ("7us", timedelta(microseconds=7)),
        ("50ms", timedelta(milliseconds=50)),
        ("5s", timedelta(seconds=5)),
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
    ],
)
def test_each_unit_is_read(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", " 5s", "5s\n", "-5s", "+5s", "1.5h", "5S", "1h30m", "5w", "\u0665s"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number and a unit"):
        parse_duration(text)


def test_span_too_long_to_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than a span can be"):
        parse_duration("999999999999d")


@given(st.integers(min_value=0, max_value=10**12 - 1).map(lambda us: timedelta(microseconds=us)))
def test_formatted_span_reads_back_as_itself(span: timedelta) -> None:
    assert parse_duration(format_duration(span)) == span


@pytest.mark.parametrize(
    ("span", "text"), [(timedelta(minutes=90), "90m"), (timedelta(hours=48), "2d"), (timedelta(0), "0s")]
)
def test_largest_whole_unit_is_chosen(span: timedelta, text: str) -> None:
    assert format_duration(span) == text
