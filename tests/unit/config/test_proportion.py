from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.proportion import wilson


@pytest.mark.parametrize(
    ("hits", "trials", "confidence", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (15, 148, 0.975, 0.0624, 0.1605),
        (81, 263, 0.975, 0.2553, 0.3662),
        (0, 20, 0.975, 0.0, 0.1611),
        (1, 29, 0.975, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_that_of_published_examples(
    hits: int, trials: int, confidence: float, low: float, high: float
) -> None:
    assert wilson(hits, trials, confidence) == pytest.approx((low, high), abs=5e-5)


def test_nothing_tried_says_nothing() -> None:
    assert wilson(0, 0, 0.95) == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_more_hits_than_trials_are_refused(hits: int, trials: int) -> None:
    with pytest.raises(ValueError, match="hits of"):
        wilson(hits, trials, 0.95)


@given(trials=st.integers(1, 500), data=st.data(), confidence=st.sampled_from([0.6, 0.9, 0.95, 0.999]))
def test_the_bounds_hold_the_share_and_come_closer_with_more_trials(
    trials: int, data: st.DataObject, confidence: float
) -> None:
    hits = data.draw(st.integers(0, trials))
    low, high = wilson(hits, trials, confidence)
    assert 0 <= low <= hits / trials <= high <= 1
    longer = wilson(hits * 4, trials * 4, confidence)
    assert low <= longer[0] <= longer[1] <= high
    assert wilson(trials - hits, trials, confidence) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    if hits < trials:
        more = wilson(hits + 1, trials, confidence)
        assert low < more[0]
        assert high < more[1] or more[1] == 1


@pytest.mark.parametrize("share", [0.7, 0.9, 0.97])
def test_each_bound_is_right_about_as_often_as_it_says(share: float) -> None:
    """Exactly, over the binomial distribution: the score interval keeps its promise on average, not for each share."""
    trials = 100
    chance = [comb(trials, hits) * share**hits * (1 - share) ** (trials - hits) for hits in range(trials + 1)]
    low, high = (
        sum(p for hits, p in enumerate(chance) if (wilson(hits, trials, 0.95)[side] <= share) is (side == 0))
        for side in (0, 1)
    )
    assert 0.91 < min(low, high) < 0.96
