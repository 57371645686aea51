from __future__ import annotations

import pytest

from config.quantiles import nearest_rank


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [(1, 1, 1), (1, 100, 1), (4, 25, 1), (4, 26, 2), (4, 50, 2), (20, 95, 19), (3, 90, 3)],
)
def test_so_many_percent_do_not_exceed_it(count: int, percent: int, expected: int) -> None:
    assert nearest_rank(range(1, count + 1), percent) == expected
