from __future__ import annotations

import polars as pl
import pytest

from operators.sketch import RELATIVE_ERROR, bucket, bucket_column, estimate, quantile

EDGES = [1, 2, 49, 50, 51, 99, 100, 101, 10**6, 10**12, 2**53, 2**62, 2**63 - 1]


@pytest.mark.parametrize("value", [0, *EDGES, *(-edge for edge in EDGES), -(2**63)])
def test_a_bucket_stands_for_its_values_within_the_stated_error(value: int) -> None:
    assert abs(estimate(bucket(value)) - value) <= RELATIVE_ERROR * abs(value)


def test_the_column_falls_into_the_same_buckets() -> None:
    values = [0, *EDGES, *(-edge for edge in EDGES), -(2**63)]
    assert bucket_column(pl.Series(values, dtype=pl.Int64)).to_list() == [bucket(value) for value in values]


def test_small_whole_numbers_are_exact() -> None:
    assert [estimate(bucket(value)) for value in range(-49, 50)] == list(range(-49, 50))


def test_buckets_keep_the_order_of_values() -> None:
    values = sorted([0, *EDGES, *(-edge for edge in EDGES)])
    assert [bucket(value) for value in values] == sorted(bucket(value) for value in values)


def test_a_quantile_is_the_nearest_rank() -> None:
    buckets = {bucket(value): 1 for value in (-3, 0, 7, 9)}
    assert [quantile(buckets, q) for q in (0.0, 0.25, 0.26, 0.5, 0.75, 0.76, 1.0)] == [-3, -3, 0, 0, 7, 9, 9]


def test_a_quantile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        quantile({}, 0.5)


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_a_quantile_out_of_range_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="0…1"):
        quantile({1: 1}, q)
