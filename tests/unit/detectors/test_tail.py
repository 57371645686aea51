from __future__ import annotations

import random
from collections.abc import Iterator
from math import sqrt

import pytest

from detectors.tail import Tail, TailParameters, correlation_time, pareto


def following(rng: random.Random, rho: float) -> Iterator[float]:
    """Yield normal scores of deviation 1, each like the one before by `rho`."""
    score = rng.gauss(0, 1)
    while True:
        yield score
        score = rho * score + sqrt(1 - rho**2) * rng.gauss(0, 1)


def realised(rho: float, nominal: float, *, ranks_only: bool = False) -> float:
    """Return how often a p-value is at most `nominal`, over several series."""
    hits = total = 0
    for seed in range(8):
        tail, window = Tail(TailParameters(window=200, refresh=20)), list[float]()
        for number, score in zip(range(1000), following(random.Random(seed), rho), strict=False):
            known = window[-200:]
            naive = (1 + sum(other >= score for other in known)) / (len(known) + 1) if ranks_only else 1
            if number >= 200:
                hits += (naive if ranks_only else tail.p_value(score)) <= nominal
                total += 1
            tail.learn(score)
            window.append(score)
    return hits / total


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.95])
def test_p_values_hold_though_scores_follow_each_other(rho: float) -> None:
    assert realised(rho, 0.1) <= 0.12
    assert realised(rho, 0.01) <= 0.015


def test_the_same_ranks_without_correction_do_not_hold() -> None:
    assert realised(0.99, 0.01, ranks_only=True) > 0.03


def test_a_correlation_time_says_how_much_scores_follow_each_other() -> None:
    def mean_time(rho: float) -> float:
        series = (following(random.Random(seed), rho) for seed in range(20))
        return sum(correlation_time([next(scores) for _ in range(300)]) for scores in series) / 20

    # (1 + rho) / (1 - rho) for a series of this kind.
    assert mean_time(0) == pytest.approx(1, abs=0.3)
    assert mean_time(0.5) == pytest.approx(3, rel=0.3)
    assert mean_time(0.9) == pytest.approx(19, rel=0.4)
    assert correlation_time([5.0] * 100) == 1


def test_the_tail_goes_on_beyond_what_was_seen() -> None:
    tail = trained()
    p_values = [tail.p_value(score) for score in (0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 100.0)]
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[0] == pytest.approx(0.5, abs=0.1)
    assert 0 < p_values[-1] < 1e-4


def test_a_limit_is_where_the_p_value_is() -> None:
    tail = trained()
    for p_value in (0.3, 0.1, 0.01, 1e-3, 1e-5):
        limit = tail.limit(p_value)
        assert tail.p_value(limit + 1e-9) <= p_value * (1 + 1e-6)
        assert tail.p_value(limit - 0.2) > p_value * 0.9


def test_nothing_is_said_before_enough_is_known() -> None:
    tail = Tail(TailParameters())
    for _ in range(59):
        tail.learn(0.0)
    assert not tail.ready
    assert (tail.p_value(1e9), tail.limit(0.5)) == (1.0, float("inf"))


def test_scores_that_never_change_allow_no_p_value_below_their_number() -> None:
    tail = Tail(TailParameters())
    for _ in range(99):
        tail.learn(3.0)
    assert tail.p_value(3.0) == 1
    assert tail.p_value(4.0) == pytest.approx(0.01)
    assert tail.limit(0.001) == float("inf")


def test_the_law_of_excesses_is_recovered() -> None:
    rng = random.Random(5)
    scale, shape = pareto(sorted(rng.expovariate(0.5) for _ in range(5000)))
    assert scale == pytest.approx(2, rel=0.1)
    assert shape == pytest.approx(0, abs=0.05)
    heavy = sorted(2 / 0.4 * (rng.random() ** -0.4 - 1) for _ in range(5000))
    scale, shape = pareto(heavy)
    assert scale == pytest.approx(2, rel=0.15)
    assert shape == pytest.approx(0.4, abs=0.1)


def trained() -> Tail:
    tail, scores = Tail(TailParameters()), following(random.Random(4), 0)
    for _ in range(300):
        tail.learn(next(scores))
    return tail
