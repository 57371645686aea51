from __future__ import annotations

import random
from math import erfc, sqrt

import pytest

from detectors.gaussian import GaussianParameters
from detectors.prior import Belief, Known, Prior, PriorParameters, belief

PARAMETERS = PriorParameters(direction="up", threshold=4)


def peers(count: int = 20, between: float = 20.0, within: float = 5.0) -> list[Known]:
    """Return what series know whose levels lie `between` apart, after 200 values each."""
    rng, known = random.Random(1), []
    for _ in range(count):
        level, detector = rng.gauss(100, between), PARAMETERS.build()
        for _ in range(200):
            detector.learn_one(rng.gauss(level, within))
        known.append(detector.known())
    return known


def begun(known: Belief | None, values: list[float]) -> Prior:
    detector = PARAMETERS.build()
    detector.begin(known)
    for x in values:
        detector.learn_one(x)
    return detector


def test_it_judges_from_the_first_value_by_what_its_peers_know() -> None:
    detector = begun(belief(peers()), [])
    assert not detector.score_one(130).flagged
    assert detector.score_one(300).flagged
    assert detector.usual(300).expected == pytest.approx(100, abs=15)


def test_after_few_values_it_knows_its_own_level_and_the_spread_of_its_peers() -> None:
    detector = begun(belief(peers()), [121.0, 118.0, 124.0])
    assert detector.usual(0).expected == pytest.approx(120, abs=3)
    assert detector.score_one(150).flagged
    assert not begun(None, [121.0, 118.0, 124.0]).score_one(150).flagged


def test_after_many_values_the_peers_do_not_matter() -> None:
    rng = random.Random(2)
    values = [rng.gauss(500, 1) for _ in range(1000)]
    alone, with_peers = begun(None, values).usual(600), begun(belief(peers()), values).usual(600)
    assert alone.limit is not None
    assert with_peers.limit is not None
    assert with_peers.expected == pytest.approx(alone.expected, rel=1e-3)
    assert with_peers.limit - 500 == pytest.approx(alone.limit - 500, rel=0.7)


def test_the_further_apart_peers_lie_the_less_their_level_says() -> None:
    near, far = belief(peers(between=2)), belief(peers(between=50))
    assert near is not None
    assert far is not None
    assert near.mean_weight > 10 * far.mean_weight
    assert near.variance == pytest.approx(25, rel=0.2)
    assert near.variance_weight > 20


def test_peers_that_scatter_differently_say_less_of_the_spread() -> None:
    alike = [Known(200, 100.0 + number, 25) for number in range(10)]
    mixed = [Known(200, 100.0 + number, 25 * 4.0 ** (number % 3)) for number in range(10)]
    same, other = belief(alike), belief(mixed)
    assert same is not None
    assert other is not None
    assert other.variance_weight < 0.2 * same.variance_weight


@pytest.mark.parametrize("known", [[], [Known(200, 1, 1)] * 2, [Known(2, 1, 1)] * 5, [Known(200, 1, 0)] * 5])
def test_too_few_peers_say_nothing(known: list[Known]) -> None:
    assert belief(known) is None


def test_p_values_hold_while_few_values_are_known() -> None:
    """A Gaussian that takes the spread of five values for known flags far too much; Student's law does not."""
    rng, known, low, naive = random.Random(3), belief(peers(count=200)), 0, 0
    for _ in range(4000):
        level = rng.gauss(100, 20)
        values = [rng.gauss(level, 5) for _ in range(5)]
        x = rng.gauss(level, 5)
        low += begun(known, values).score_one(x).p_value <= 0.01
        mean = sum(values) / 5
        spread = sqrt(sum((y - mean) ** 2 for y in values) / 4)
        naive += 0.5 * erfc((x - mean) / spread / sqrt(2)) <= 0.01
    assert 0.005 <= low / 4000 <= 0.015
    assert naive / 4000 > 0.03


def test_a_limit_is_where_flagging_begins_on_the_log_scale_too() -> None:
    detector, rng = PriorParameters(direction="up", scale="log", pivot=10.0).build(), random.Random(4)
    for _ in range(100):
        detector.learn_one(rng.lognormvariate(5, 0.2))
    limit = detector.usual(1e4).limit
    assert limit is not None
    assert not detector.score_one(limit * 0.999).flagged
    assert detector.score_one(limit * 1.001).flagged
    assert detector.score_one(limit).strength == pytest.approx(1)


def test_with_many_values_it_is_a_gaussian() -> None:
    rng, detector, gaussian = random.Random(5), PARAMETERS.build(), GaussianParameters(direction="up").build()
    for _ in range(1000):
        x = rng.gauss(100, 5)
        detector.learn_one(x)
        gaussian.learn_one(x)
    assert detector.score_one(115).p_value == pytest.approx(gaussian.score_one(115).p_value, rel=0.05)
