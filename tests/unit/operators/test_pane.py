from __future__ import annotations

import msgspec
import pytest

from operators.pane import TOUCHED_MAX, Pane, feature, hash_customer, is_feature, pack, unpack
from operators.window import combine
from tests.support.measures import Measure, merged, table


def pane_of(*values: int, failures: int = 0) -> Pane:
    rows = [Measure(value=value, failed=index < failures) for index, value in enumerate(values)]
    (pane,) = merged(combine(table(rows), "telemetry/0", 60, 1)[0]).values()
    return pane


@pytest.mark.parametrize("number", [0, 1, -1, 127, 128, -128, -129, 2**63, -(2**63), 2**200, -(2**200) + 1])
def test_integers_of_any_size_survive_packing(number: int) -> None:
    assert unpack(pack(number)) == number


def test_a_pane_with_sums_beyond_64_bits_survives_messagepack() -> None:
    pane = pane_of(2**63 - 1, 2**63 - 1, -(2**63), failures=1)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(pane), type=Pane, strict=True) == pane
    assert pane.total == 2 * (2**63 - 1) - 2**63
    assert pane.squares == 2 * (2**63 - 1) ** 2 + 2**126


def test_variance_does_not_cancel() -> None:
    assert pane_of(10**15, 10**15 + 1, 10**15 + 2).variance == 2 / 3


def test_features_come_in_the_metrics_own_unit() -> None:
    pane = pane_of(1_000, 3_000, 2_000, 2_000, failures=1)
    got = {name: feature(pane, name, 1000) for name in ("count", "failure_rate", "mean", "low", "high", "latest")}
    assert got == pytest.approx({"count": 4, "failure_rate": 0.25, "mean": 2, "low": 1, "high": 3, "latest": 2})
    assert feature(pane, "deviation", 1000) == pytest.approx(0.5**0.5)
    assert feature(pane, "p50", 1000) == pytest.approx(2, rel=0.01)
    assert feature(pane, "p100", 1000) == 3
    assert all(is_feature(name) for name in (*got, "deviation", "p50", "p100"))


@pytest.mark.parametrize("name", ["median", "p101", "p", "p-1", ""])
def test_an_unknown_feature_is_refused(name: str) -> None:
    assert not is_feature(name)
    with pytest.raises(ValueError, match="not a feature"):
        feature(pane_of(1), name, 1)


def test_merging_an_empty_pane_changes_nothing() -> None:
    pane = pane_of(-5, -7)
    before = msgspec.msgpack.encode(pane)
    pane.merge(Pane())
    assert msgspec.msgpack.encode(pane) == before
    empty = Pane()
    empty.merge(pane)
    assert empty == pane


def test_the_latest_value_is_by_time_then_offset() -> None:
    rows = [Measure(at=5, value=1), Measure(at=9, value=2), Measure(at=9, value=3), Measure(at=7, value=4)]
    (pane,) = merged(combine(table(rows), "telemetry/0", 60, 1)[0]).values()
    assert pane.latest == (9, "telemetry/0", 2, 3)


def test_customers_touched_are_those_of_failures_with_the_smallest_hashes() -> None:
    customers = [f"c{number}" for number in range(3 * TOUCHED_MAX)]
    rows = [Measure(failed=True, customer=customer) for customer in customers]
    rows += [Measure(customer="fine"), Measure(failed=True, customer=None)]
    (pane,) = merged(combine(table(rows), "telemetry/0", 60, 1)[0]).values()
    assert set(pane.touched) == set(sorted(customers, key=hash_customer)[:TOUCHED_MAX])


def test_merging_keeps_the_bound_on_customers_touched() -> None:
    customers = [f"c{number}" for number in range(2 * TOUCHED_MAX)]
    rows = [Measure(failed=True, customer=customer) for customer in customers]
    halves = [combine(table(rows[half::2], half), "telemetry/0", 60, 1)[0] for half in (0, 1)]
    (pane,) = merged(halves[0] + halves[1]).values()
    assert set(pane.touched) == set(sorted(customers, key=hash_customer)[:TOUCHED_MAX])


def test_a_pane_of_one_partial_equals_an_empty_one_it_is_added_to() -> None:
    rows = [Measure(value=-(2**40)), Measure(value=2**62, failed=True, customer="c1"), Measure(value=0)]
    (partial,) = combine(table(rows), "telemetry/0", 60, 1)[0]
    added = Pane()
    added.add(partial)
    made = Pane.of(partial)
    assert made == added
    made.add(partial)
    assert made.count == 6
    assert (partial.buckets, partial.touched) == (added.buckets, added.touched)
