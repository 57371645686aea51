"""The benchmark of the detectors: costs, and whether p-values hold."""

from __future__ import annotations

from benchmarks.detectors import DETECTORS, LAWS, cost, false_changes, realised
from detectors.methods import METHODS, VECTOR_METHODS


def test_every_method_is_measured() -> None:
    assert {type(each) for each in DETECTORS.values()} == {*METHODS.values(), *VECTOR_METHODS.values()}


def test_a_p_value_is_counted_where_it_is_at_most_the_level() -> None:
    at_once, never = realised(DETECTORS["gaussian"], LAWS["normal"], 500, 1, [1.0, 0.0])
    assert (at_once, never) == (1.0, 0.0)
    assert 0.05 < realised(DETECTORS["gaussian"], LAWS["normal"], 500, 1, [0.1])[0] < 0.15


def test_costs_are_of_a_state_within_its_bound() -> None:
    found = cost(DETECTORS["page-hinkley"], 20)
    assert 0 < found["state_bytes"] <= found["state_bytes_max"]
    assert found["judge_us"] > 0


def test_a_change_that_never_was_is_counted() -> None:
    assert false_changes(DETECTORS["page-hinkley"], LAWS["AR(1) 0.99"], 2000, 1) > 0
