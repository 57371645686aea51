from __future__ import annotations

from collections import Counter
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from operators.sketch import RELATIVE_ERROR, bucket, quantile

VALUES = st.one_of(st.integers(-100, 100), st.integers(-(2**63), 2**63 - 1))


@given(values=st.lists(VALUES, min_size=1, max_size=200), q=st.floats(0, 1))
def test_quantiles_keep_the_stated_error(values: list[int], q: float) -> None:
    exact = sorted(values)[max(1, ceil(q * len(values))) - 1]
    got = quantile(Counter(bucket(value) for value in values), q)
    # One part in 2^50 more: the estimate itself is a float.
    assert abs(got - exact) <= (RELATIVE_ERROR + 2**-50) * abs(exact)
