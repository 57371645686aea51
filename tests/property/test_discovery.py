"""The budget of false discoveries, for any order of p-values and days."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from detectors.discovery import Discovery, DiscoveryParameters

PARAMETERS = st.builds(
    DiscoveryParameters,
    budget=st.floats(0.01, 0.5),
    candidate=st.sampled_from([0.0, 0.25, 0.5]),
    initial=st.floats(0.1, 1),
    keep=st.integers(1, 5),
)
P_VALUES = st.one_of(st.floats(0, 1), st.floats(0, 1e-6))
TESTS = st.lists(st.tuples(st.integers(0, 3), P_VALUES), max_size=60)


def after(parameters: DiscoveryParameters, tests: list[tuple[int, float]]) -> Discovery:
    discovery = parameters.build()
    for day, p_value in tests:
        discovery.test(day, p_value)
    return discovery


@given(PARAMETERS, TESTS, P_VALUES, P_VALUES)
def test_what_is_surer_is_found_when_what_is_less_sure_is(
    parameters: DiscoveryParameters, tests: list[tuple[int, float]], one: float, other: float
) -> None:
    surer, less_sure = sorted((one, other))
    if after(parameters, tests).test(3, less_sure).discovered:
        assert after(parameters, tests).test(3, surer).discovered


@given(PARAMETERS, TESTS)
def test_what_all_levels_of_a_day_add_up_to_is_within_the_budget(
    parameters: DiscoveryParameters, tests: list[tuple[int, float]]
) -> None:
    """LORD++: the levels of a day's tests, in sum, are at most the budget times its discoveries, or once the budget.

    SAFFRON the same for the tests that cost, as they count for 1 / (1 - candidate).
    """
    discovery, spent = parameters.build(), 0.0
    for _, p_value in tests:
        level = discovery.test(0, p_value).level
        if p_value > parameters.candidate:
            spent += level / (1 - parameters.candidate)
        assert spent <= parameters.budget * max(1, discovery.found) * (1 + 1e-9)


@given(PARAMETERS, TESTS, TESTS)
def test_state_is_bounded_and_survives_bit_by_bit(
    parameters: DiscoveryParameters, before: list[tuple[int, float]], later: list[tuple[int, float]]
) -> None:
    whole, resumed = after(parameters, before), parameters.build()
    packed = msgspec.msgpack.encode(whole.encode())
    assert len(packed) <= whole.size_max
    resumed.decode(msgspec.msgpack.decode(packed))
    assert [resumed.test(*each) for each in later] == [whole.test(*each) for each in later]
