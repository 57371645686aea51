"""Half-space trees and LODA: what they say of several numbers."""

from __future__ import annotations

import random
from typing import Any

import pytest

from detectors.base import VectorDetector
from detectors.half_space import HalfSpaceParameters
from detectors.loda import LodaParameters

NAMES = ("latency", "errors", "load", "queue")
both = pytest.mark.parametrize("method", [HalfSpaceParameters, LodaParameters])


def normal(rng: random.Random) -> list[float]:
    common = rng.gauss(0, 1)
    return [100 + 20 * (common + rng.gauss(0, 0.3)), 1e-3 * rng.random(), 5e6 + 1e5 * common, rng.gauss(0, 1)]


def trained(method: Any, seed: int = 1) -> VectorDetector:
    rng = random.Random(1)
    detector: VectorDetector = method(features=NAMES, seed=seed).build()
    for _ in range(400):
        detector.learn_one(normal(rng))
    return detector


@both
def test_all_far_off_is_flagged_and_the_normal_is_not(method: Any) -> None:
    detector, rng = trained(method), random.Random(2)
    assert detector.score_one([300, 0.1, 9e6, 30]).flagged
    values = [normal(rng) for _ in range(300)]
    assert sum(detector.score_one(x).flagged for x in values) <= 3


@both
def test_the_feature_that_is_off_contributes_most_and_is_named(method: Any) -> None:
    for number, (name, x) in enumerate(zip(NAMES, [400.0, 0.5, 2e7, 60.0], strict=True)):
        detector = trained(method)
        row = [100.0, 5e-4, 5e6, 0.0]
        row[number] = x
        assert detector.contributions(row)[0][0] == name
        assert detector.explain(row).startswith(name)
        usual = detector.usual(row)
        assert usual.limit is not None
        assert usual.limit < x


@both
def test_contributions_name_each_feature_once_in_descending_order(method: Any) -> None:
    for detector in (trained(method), method(features=NAMES).build()):
        shares = detector.contributions([130.0, 1e-3, 5e6, -2.0])
        assert sorted(name for name, _ in shares) == sorted(NAMES)
        assert [share for _, share in shares] == sorted((share for _, share in shares), reverse=True)
        assert shares[-1][1] >= 0


@both
def test_a_row_of_another_length_is_refused(method: Any) -> None:
    with pytest.raises(ValueError, match="4 features"):
        trained(method).score_one([1.0, 2.0])


@both
def test_features_must_be_named_once(method: Any) -> None:
    with pytest.raises(ValueError, match="features"):
        method(features=("a", "a"))


@both
def test_chance_is_that_of_the_seed(method: Any) -> None:
    row = [150.0, 1e-3, 5e6, 2.0]
    one, same, other = trained(method), trained(method), trained(method, seed=9)
    assert one.score_one(row) == same.score_one(row)
    assert one.score_one(row) != other.score_one(row)


def test_how_far_off_counts_in_loda() -> None:
    detector = trained(LodaParameters)
    assert detector.score_one([1e3, 0.5, 5e7, 50]).value < detector.score_one([1e5, 50, 5e9, 5e3]).value
