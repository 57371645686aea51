from __future__ import annotations

import random
from math import log

import msgspec
import pytest

from detectors.classifier import Platt, RecursiveLogistic, RecursiveLogisticParameters, sigmoid

Example = tuple[list[float], bool]


def examples(count: int, seed: int = 1) -> list[Example]:
    """Positive by chance, of log odds 1.5 x0 - 1 x1 - 1."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        x = [rng.gauss(0, 1), float(rng.random() < 0.5), 1.0]
        made.append((x, rng.random() < sigmoid(1.5 * x[0] - x[1] - 1)))
    return made


def learned(given: list[Example], model: RecursiveLogistic | None = None) -> RecursiveLogistic:
    model = model or RecursiveLogistic(3, RecursiveLogisticParameters(prior=3.0, start=0.5))
    for x, positive in given:
        model.learn(x, positive)
    return model


def test_one_pass_comes_to_the_weights_that_made_the_examples() -> None:
    model = learned(examples(4_000))
    assert model.contributions([1.0, 1.0, 1.0]) == pytest.approx([1.5, -1.0, -1.0], abs=0.25)


def test_it_says_the_prior_before_it_has_learned() -> None:
    model = RecursiveLogistic(2, RecursiveLogisticParameters(start=0.2))
    assert sigmoid(model.log_odds([5.0, -3.0])) == pytest.approx(0.2)


def test_weights_start_where_they_are_told_and_are_learned_from_there() -> None:
    parameters = RecursiveLogisticParameters(prior=3.0, start=0.5)
    model = RecursiveLogistic(3, parameters, means=(0.0, 2.0, 0.0))
    assert model.log_odds([5.0, 1.0, 1.0]) == pytest.approx(2.0)
    weights = learned(examples(4_000), model).contributions([1.0, 1.0, 1.0])
    assert weights == pytest.approx([1.5, -1.0, -1.0], abs=0.25)


def test_it_goes_on_bit_by_bit_from_what_it_encoded() -> None:
    before, after = examples(200), examples(100, seed=2)
    whole = learned(before + after)
    stored = msgspec.msgpack.encode(learned(before).encode())
    resumed = RecursiveLogistic(3, RecursiveLogisticParameters(prior=3.0, start=0.5))
    resumed.decode(msgspec.msgpack.decode(stored))
    assert learned(after, resumed).encode() == whole.encode()


def test_its_state_is_no_larger_than_it_says() -> None:
    model = learned(examples(50))
    assert len(msgspec.msgpack.encode(model.encode())) <= model.size_max


def test_an_example_of_half_the_weight_twice_counts_about_as_one() -> None:
    once, twice = learned(examples(300)), RecursiveLogistic(3, RecursiveLogisticParameters(prior=3.0, start=0.5))
    for x, positive in examples(300):
        twice.learn(x, positive, 0.5)
        twice.learn(x, positive, 0.5)
    assert twice.examples == pytest.approx(once.examples)
    assert twice.contributions([1.0] * 3) == pytest.approx(once.contributions([1.0] * 3), abs=0.1)


def test_calibration_learns_that_odds_were_too_bold() -> None:
    platt, rng = Platt(prior=1.0), random.Random(5)
    assert platt.probability(2.0) == pytest.approx(sigmoid(2.0))
    for _ in range(3_000):
        said = rng.choice([-3.0, 3.0])
        platt.learn(said, rng.random() < sigmoid(said / 3))
    assert platt.probability(3.0) == pytest.approx(sigmoid(1.0), abs=0.05)
    assert platt.probability(-3.0) == pytest.approx(sigmoid(-1.0), abs=0.05)


def test_what_was_corrected_is_as_if_it_had_been_learned_so() -> None:
    right, wrong, corrected = (learned(examples(600)) for _ in range(3))
    for x, positive in examples(60, seed=3):
        right.learn(x, positive)
        wrong.learn(x, False)
        corrected.learn(x, False)
        if positive:
            corrected.correct(x)
    weights, missed, back = (model.contributions([1.0] * 3) for model in (right, wrong, corrected))
    assert missed != pytest.approx(weights, abs=0.15)
    assert back == pytest.approx(weights, abs=0.05)


def test_calibration_follows_odds_that_become_true() -> None:
    drifting, rigid, rng = Platt(), Platt(drift=(0.0, 0.0)), random.Random(6)
    for turn in range(6_000):
        said = rng.choice([-3.0, 3.0])
        truth = rng.random() < sigmoid(said / 3 if turn < 3_000 else said)
        for platt in (drifting, rigid):
            platt.learn(said, truth)
    off = [abs(platt.probability(3.0) - sigmoid(3.0)) for platt in (drifting, rigid)]
    assert off[0] < 0.06 < off[1]


def test_parameters_out_of_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="prior"):
        RecursiveLogisticParameters(prior=0)


def test_odds_have_an_end() -> None:
    assert sigmoid(1e9) < 1
    assert log(sigmoid(-1e9)) == pytest.approx(-30.0)
