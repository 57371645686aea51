from __future__ import annotations

import random
from math import ceil
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.identity import short_hash
from operators.pane import TOUCHED_MAX, Pane, Partial
from operators.session import Sessions, combine_sessions
from operators.sketch import RELATIVE_ERROR
from operators.window import combine, slide
from tests.support.measures import Measure, merged, table

PANE = 60
GAP = 25
VALUES = st.one_of(st.integers(-50, 50), st.integers(-(2**63), 2**63 - 1), st.just(2**63 - 1))
MEASURES = st.builds(
    Measure,
    key=st.sampled_from(["checkout", "cart", "größe"]),
    metric=st.sampled_from(["duration_ms", "cpu_percent"]),
    at=st.integers(-200, 400),
    value=VALUES,
    failed=st.booleans(),
    customer=st.one_of(st.none(), st.sampled_from([f"c{number}" for number in range(9)])),
    contract=st.just("request.completed@1"),
)
PARTITIONS = st.lists(st.lists(MEASURES, min_size=1, max_size=60), min_size=1, max_size=3)


def cut_and_combined(partitions: list[list[Measure]], rng: random.Random) -> list[Partial]:
    """Cut each partition into batches at random, combine each, and shuffle what comes out."""
    partials: list[Partial] = []
    for number, rows in enumerate(partitions):
        begin = 0
        while begin < len(rows):
            end = rng.randint(begin + 1, len(rows))
            for group in combine(table(rows[begin:end], begin), f"telemetry/{number}", PANE, 5).values():
                partials += group
            begin = end
    rng.shuffle(partials)
    return partials


@given(partitions=PARTITIONS, seed=st.integers(0, 2**32))
def test_panes_do_not_depend_on_cuts_or_order(partitions: list[list[Measure]], seed: int) -> None:
    rng = random.Random(seed)
    whole = merged(
        partial
        for number, rows in enumerate(partitions)
        for partial in combine(table(rows), f"telemetry/{number}", PANE, 1)[0]
    )
    assert merged(cut_and_combined(partitions, rng)) == whole


@given(partitions=PARTITIONS, seed=st.integers(0, 2**32))
def test_panes_equal_a_naive_computation(partitions: list[list[Measure]], seed: int) -> None:
    naive: dict[tuple[str, str, int], list[Measure]] = {}
    for rows in partitions:
        for row in rows:
            naive.setdefault((row.key, row.metric, row.at // PANE * PANE), []).append(row)
    panes = merged(cut_and_combined(partitions, random.Random(seed)))
    assert panes.keys() == naive.keys()
    for series, rows in naive.items():
        pane, values = panes[series], sorted(row.value for row in rows)
        assert (pane.count, pane.low, pane.high) == (len(values), values[0], values[-1])
        assert pane.total == sum(values)
        assert pane.squares == sum(value * value for value in values)
        assert pane.failures == sum(row.failed for row in rows)
        touched = {row.customer: short_hash(row.customer) for row in rows if row.failed and row.customer}
        assert pane.touched == touched
        assert len(touched) <= TOUCHED_MAX
        for q in (0.0, 0.5, 0.9, 0.95, 1.0):
            exact = values[max(1, ceil(q * len(values))) - 1]
            assert abs(pane.quantile(q) - exact) <= (RELATIVE_ERROR + 2**-50) * abs(exact)


@given(rows=st.lists(MEASURES, min_size=1, max_size=200), width=st.integers(1, 4))
def test_sliding_windows_equal_polars(rows: list[Measure], width: int) -> None:
    rows = [row._replace(key="checkout", metric="m", value=row.value % 1000) for row in rows]
    data = table(rows)
    panes = {start: pane for (_, _, start), pane in merged(combine(data, "t/0", PANE, 1)[0]).items()}
    closed: dict[int, Pane] = {}
    for start in sorted(panes):
        closed[start] = panes[start]
        end = start + PANE
        window = slide(closed, end, width * PANE)
        within = data.filter(pl.col("at") >= end - width * PANE, pl.col("at") < end)["value"]
        assert (window.count, window.total, window.low, window.high) == (
            len(within), within.sum(), within.min(), within.max()
        )  # fmt: skip
        mean, variance = within.mean(), within.var(ddof=0)
        assert isinstance(mean, float)
        assert isinstance(variance, float)
        assert window.mean == pytest.approx(mean)
        assert window.variance == pytest.approx(variance, abs=1e-9)


@pytest.mark.slow
@given(panes=st.lists(st.lists(MEASURES, min_size=1, max_size=8), min_size=3, max_size=3))
def test_merging_panes_is_associative_and_commutative(panes: list[list[Measure]]) -> None:
    def pane(number: int) -> Pane:
        rows = [row._replace(key="k", metric="m", at=0) for row in panes[number]]
        (found,) = merged(combine(table(rows, number * 100), "t/0", PANE, 1)[0]).values()
        return found

    def merge(*parts: Pane) -> Pane:
        result = Pane()
        for part in parts:
            result.merge(part)
        return result

    assert merge(merge(pane(0), pane(1)), pane(2)) == merge(pane(0), merge(pane(1), pane(2)))
    assert merge(pane(0), pane(1)) == merge(pane(1), pane(0))


@given(rows=st.lists(MEASURES, min_size=1, max_size=60), seed=st.integers(0, 2**32))
def test_sessions_equal_a_naive_computation(rows: list[Measure], seed: int) -> None:
    rng = random.Random(seed)
    partials: list[Partial] = []
    begin = 0
    while begin < len(rows):
        end = rng.randint(begin + 1, len(rows))
        for group in combine_sessions(table(rows[begin:end], begin), "t/0", GAP, 3).values():
            partials += group
        begin = end
    rng.shuffle(partials)
    sessions: dict[tuple[str, str], Sessions] = {}
    for partial in partials:
        sessions.setdefault((partial.key, partial.metric), Sessions()).add(partial, GAP)
    got = {
        series: [(session.start, session.last, session.pane.total) for session in found.open]
        for series, found in sessions.items()
    }
    naive: dict[tuple[str, str], list[Any]] = {}
    for row in sorted(rows, key=lambda row: row.at):
        known = naive.setdefault((row.key, row.metric), [])
        if known and row.at - known[-1][1] < GAP:
            known[-1] = (known[-1][0], row.at, known[-1][2] + row.value)
        else:
            known.append((row.at, row.at, row.value))
    assert got == naive
