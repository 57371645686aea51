from __future__ import annotations

import pyarrow as pa
import pytest

from replay.border import Border
from replay.columns import to_table


def table(*stamps: int, first: int = 0) -> pa.Table:
    count = len(stamps)
    offsets = list(range(first, first + count))
    return to_table(0, offsets, stamps, ["create"] * count, [None] * count, [None] * count, [[]] * count)


def offsets(tables: list[pa.Table]) -> list[int]:
    return [offset for each in tables for offset in each["offset"].to_pylist()]


STAMPS = [10, 99, 100, 98, 101, 104, 99, 105, 97, 200]
"""Of the instant 100 with reach 5: the record at 105 ends the search, so 97 behind it is beyond the border."""


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_border_is_after_the_last_record_before_the_instant_within_reach(size: int) -> None:
    border, before = Border(100, 5), list[pa.Table]()
    for start in range(0, len(STAMPS), size):
        before += border.feed(table(*STAMPS[start : start + size], first=start))
    assert offsets(before) == [0, 1, 2, 3, 4, 5, 6]
    assert offsets(border.after) == [7, 8, 9]
    assert (border.done, border.edge) == (True, 7)


def test_border_is_open_while_records_before_the_instant_may_follow() -> None:
    border = Border(100, 5)
    assert offsets(border.feed(table(99, 100, 104))) == [0]
    assert (border.done, border.edge, offsets(border.after)) == (False, 1, [1, 2])
    assert offsets(border.feed(table(99, first=3))) == [1, 2, 3]
    assert border.after == []


def test_nothing_before_the_instant_has_no_edge() -> None:
    border = Border(100, 0)
    assert border.feed(table(100, 50)) == []
    assert (border.done, border.edge, offsets(border.after)) == (True, None, [0, 1])


def test_records_without_timestamp_are_before_every_instant() -> None:
    border = Border(100, 5)
    assert offsets(border.feed(table(-1, -1, 100))) == [0, 1]
