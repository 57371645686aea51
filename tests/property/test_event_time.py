"""Event times are read alike, whichever way they are read, and whatever stands among them."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.event_time import event_times
from tests.support.examples import examples

INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
NEARLY = st.from_regex(
    r"[0-2][09][0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,7})?Z", fullmatch=True
)


def polars(texts: list[str]) -> list[int | None]:
    parsed = pl.Series(texts, dtype=pl.String()).str.to_datetime("%+", time_unit="us", strict=False)
    return parsed.to_physical().to_list()


@given(st.lists(INSTANTS, min_size=1), st.sampled_from(["seconds", "milliseconds", "microseconds"]))
def test_instants_written_alike(instants: list[datetime], precision: str) -> None:
    texts = [at.isoformat(timespec=precision).replace("+00:00", "Z") for at in instants]
    assert event_times(texts).to_list() == polars(texts)


@examples(500)
@given(
    st.lists(NEARLY | st.text(max_size=30), max_size=4), st.lists(INSTANTS.map(lambda at: f"{at:%FT%TZ}"), max_size=3)
)
def test_texts_that_are_nearly_instants(nearly: list[str], good: list[str]) -> None:
    assert event_times(nearly + good).to_list() == polars(nearly + good)


@pytest.mark.slow
@examples(500)
@given(NEARLY)
def test_one_text_alone(text: str) -> None:
    assert event_times([text]).to_list() == polars([text])
