from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest

from detectors.drift import (
    Reference,
    Sample,
    kolmogorov_smirnov,
    ks_p_value,
    ks_threshold,
    psi,
    psi_threshold,
    reference,
)

Law = Callable[[random.Random], float]
NORMAL: Law = lambda rng: rng.gauss(0, 1)  # noqa: E731


def sample(of: Reference, rng: random.Random, count: int, law: Law = NORMAL) -> Sample:
    counted = Sample(of)
    for _ in range(count):
        counted.add(law(rng))
    return counted


def false_alarms(base: int, count: int, bins: int, law: Law = NORMAL) -> tuple[float, float]:
    """Return how often a sample of the same law drifts at 0.05, and how often by the rule of thumb of 0.1."""
    rng, drifted, thumb, rounds = random.Random(1), 0, 0, 400
    for _ in range(rounds):
        known = reference([law(rng) for _ in range(base)], bins)
        found = sample(known, rng, count, law).drift(0.05)
        drifted, thumb = drifted + found.drifted, thumb + (found.distance > 0.1)
    return drifted / rounds, thumb / rounds


@pytest.mark.parametrize("law", [NORMAL, lambda rng: rng.expovariate(1) ** 3], ids=["normal", "heavy"])
@pytest.mark.parametrize(("base", "count", "bins"), [(200, 50, 10), (300, 100, 20), (100, 300, 5)])
def test_chance_drifts_as_rarely_as_asked_for(base: int, count: int, bins: int, law: Law) -> None:
    drifted, thumb = false_alarms(base, count, bins, law)
    assert 0.02 <= drifted <= 0.09
    if bins > 5:
        assert thumb > 0.8


@pytest.mark.parametrize("law", [lambda rng: rng.gauss(0.7, 1), lambda rng: rng.gauss(0, 2)], ids=["level", "spread"])
def test_another_law_drifts(law: Law) -> None:
    rng = random.Random(2)
    known = reference([rng.gauss(0, 1) for _ in range(500)])
    assert sample(known, rng, 200, law).drift().drifted
    assert not sample(known, rng, 200).drift().drifted


def test_the_bin_that_moved_most_comes_first() -> None:
    rng = random.Random(3)
    known = reference([float(number) for number in range(100)])
    found = sample(known, rng, 200, lambda rng: rng.uniform(0, 100) if rng.random() < 0.5 else 200.0).drift()
    edge, adds, share = found.bins[0]
    assert edge == known.edges[-1]
    assert share > 0.5
    assert sum(each[1] for each in found.bins) == pytest.approx(found.distance)
    assert adds == max(each[1] for each in found.bins)


def test_values_that_follow_each_other_count_for_fewer() -> None:
    rng, known = random.Random(4), reference([float(number) for number in range(1000)])
    shifted = sample(known, rng, 300, lambda rng: rng.uniform(100, 1000))
    assert shifted.drift().drifted
    assert not shifted.drift(worth=20).drifted


def test_a_feature_of_few_values_has_few_bins() -> None:
    known = reference([float(number % 3) for number in range(300)])
    assert known.edges == [0.0, 1.0]
    assert known.counts == [100, 100, 100]
    assert reference([1.0] * 100).counts == [100]


def test_too_little_says_nothing() -> None:
    known = reference([float(number) for number in range(100)])
    assert not Sample(known).drift().drifted
    with pytest.raises(ValueError, match="too few"):
        reference([1.0] * 49)


def test_the_index_is_that_of_its_definition() -> None:
    assert psi([50, 50], [50, 50]) == 0
    # (0.9 - 0.5) ln(0.9 / 0.5) + (0.1 - 0.5) ln(0.1 / 0.5)
    assert psi([5e6, 5e6], [9e6, 1e6]) == pytest.approx(0.8789, abs=1e-4)


def test_the_threshold_falls_with_values_and_rises_with_bins() -> None:
    assert psi_threshold(1000, 1000, 10, 0.01) < psi_threshold(1000, 100, 10, 0.01)
    assert psi_threshold(1000, 1000, 10, 0.01) < psi_threshold(1000, 1000, 20, 0.01)
    assert psi_threshold(1000, 1000, 10, 0.01) < psi_threshold(1000, 1000, 10, 0.001)
    # The chi-square law of the limit (Yurdakul 2018): (1 / n + 1 / m) times its quantile.
    assert psi_threshold(5000, 5000, 10, 0.05) == pytest.approx(16.92 * 2 / 5000, rel=0.05)


def test_state_survives_and_is_bounded() -> None:
    rng, known = random.Random(5), reference([float(number) for number in range(100)])
    counted, resumed = sample(known, rng, 1000), Sample(known)
    packed = msgspec.msgpack.encode(counted.encode())
    resumed.decode(msgspec.msgpack.decode(packed))
    assert resumed.drift() == counted.drift()
    assert len(packed) <= counted.size_max
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(known), type=Reference) == known


def test_distances_of_distribution_functions_are_held_against_chance() -> None:
    rng, drifted = random.Random(6), 0
    for _ in range(300):
        one, other = [rng.gauss(0, 1) for _ in range(150)], [rng.gauss(0, 1) for _ in range(60)]
        drifted += kolmogorov_smirnov(one, other, 0.05).drifted
    assert 0.02 <= drifted / 300 <= 0.08
    assert kolmogorov_smirnov(one, [x + 1 for x in other]).drifted
    assert kolmogorov_smirnov([1.0, 2.0], [1.0, 2.0]).distance == 0
    assert kolmogorov_smirnov([1.0], [2.0]).distance == 1


def test_a_threshold_is_where_the_p_value_is() -> None:
    assert ks_p_value(ks_threshold(50, 0.01), 50) == pytest.approx(0.01)
    assert ks_p_value(1.36 / 1000, 1e6) == pytest.approx(0.05, rel=0.02)  # the textbook's 1.36
    assert ks_threshold(0.5, 0.001) == 1


@pytest.mark.parametrize("x", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(x: float) -> None:
    known = reference([float(number) for number in range(100)])
    for wrong in (
        lambda: Sample(known).add(x),
        lambda: reference([x] * 100),
        lambda: kolmogorov_smirnov([x], [1.0]),
    ):
        with pytest.raises(ValueError, match="finite"):
            wrong()
