"""How unlikely counts are, when their rate is uncertain."""

from __future__ import annotations

from math import comb, exp, factorial, log

import pytest

from detectors.rates import poisson_tail, share_odds, share_tail


def test_of_a_rate_known_for_long_the_tail_is_poissons() -> None:
    expected = 1 - sum(exp(-2.0) * 2.0**k / factorial(k) for k in range(5))

    assert poisson_tail(5, shape=2e7, exposure=1e7) == pytest.approx(expected, rel=1e-5)


def test_of_an_exponential_rate_the_tail_is_geometric() -> None:
    assert poisson_tail(4, shape=1.0, exposure=3.0) == pytest.approx(0.25**4)
    assert poisson_tail(4, shape=1.0, exposure=6.0, span=2.0) == pytest.approx(0.25**4)


def test_of_a_share_known_for_long_the_tail_is_binomial() -> None:
    expected = sum(comb(10, k) * 0.2**k * 0.8 ** (10 - k) for k in range(6, 11))

    assert share_tail(6, 10, 2e7, 8e7) == pytest.approx(expected, rel=1e-5)


def test_of_a_share_never_seen_every_count_is_as_likely() -> None:
    assert share_tail(7, 9, 1.0, 1.0) == pytest.approx(3 / 10)


@pytest.mark.parametrize("count", [0, -1])
def test_nothing_is_never_unusual(count: int) -> None:
    assert poisson_tail(count, 1.0, 1.0) == share_tail(count, 5, 1.0, 1.0) == 1.0


def test_no_tail_exceeds_certainty_or_takes_forever() -> None:
    assert poisson_tail(1, shape=5e5, exposure=1.0) == pytest.approx(1.0)
    assert share_tail(1, 100_000, 9.0, 1.0) <= 1.0


def test_more_is_less_likely_and_a_longer_past_weighs_more() -> None:
    tails = [poisson_tail(count, 0.5, 15.0) for count in range(1, 12)]

    assert tails == sorted(tails, reverse=True)
    assert poisson_tail(6, 0.5 + 60, 15.0 + 10) > poisson_tail(6, 0.5 + 6, 15.0 + 10)


def test_odds_of_a_share_are_those_of_the_probabilities_of_what_was_seen() -> None:
    every, even = 1 / 7, comb(6, 4) * 0.5**6

    assert share_odds(4, 2, (1.0, 1.0), (5e7, 5e7)) == pytest.approx(log(every / even), abs=1e-4)
    assert share_odds(4, 2, (5e7, 5e7), (1.0, 1.0)) == pytest.approx(log(even / every), abs=1e-4)
    assert share_odds(0.0, 0.0, (2.0, 1.0), (3.0, 9.0)) == 0.0
