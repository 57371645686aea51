"""What every detector promises: `detectors/base.py`."""

from __future__ import annotations

import random

import msgspec
import pytest

from detectors.base import Detector, Parameters
from detectors.gaussian import GaussianParameters
from detectors.methods import METHODS
from detectors.threshold import ThresholdParameters

DETECTORS: dict[str, Parameters] = {
    "gaussian-up": GaussianParameters(direction="up", grace=10, adapt_after=20, memory=50),
    "gaussian-down": GaussianParameters(direction="down", grace=10, adapt_after=20, memory=50, floor=0.1, change_min=1),
    "gaussian-log": GaussianParameters(direction="both", scale="log", pivot=0.01, grace=10, adapt_after=20, memory=50),
    "threshold": ThresholdParameters(direction="up", limit=150.0),
}


def stream(seed: int, length: int = 400) -> list[float]:
    """Noise, a spike, a change of level, values of every size."""
    rng = random.Random(seed)
    normal = [rng.gauss(100, 5) for _ in range(length)]
    normal[length // 4] = 1e9
    normal[length // 3] = -1e9
    normal[length // 2 :] = [x + 100 for x in normal[length // 2 :]]
    return [*normal, 0.0, 1e-300, 1e300, -1e300]


@pytest.fixture(params=DETECTORS)
def parameters(request: pytest.FixtureRequest) -> Parameters:
    return DETECTORS[request.param]


def run(detector: Detector, values: list[float]) -> list[object]:
    seen: list[object] = []
    for x in values:
        seen += [detector.score_one(x), detector.explain(x)]
        detector.learn_one(x)
    return seen


def test_every_method_is_under_contract() -> None:
    assert {type(parameters) for parameters in DETECTORS.values()} == set(METHODS.values())


def test_the_same_values_give_the_same_scores(parameters: Parameters) -> None:
    assert run(parameters.build(), stream(1)) == run(parameters.build(), stream(1))


def test_scoring_changes_nothing(parameters: Parameters) -> None:
    detector = parameters.build()
    run(detector, stream(2))
    before = detector.encode()
    for x in stream(3):
        detector.score_one(x)
        detector.explain(x)
    assert detector.encode() == before


def test_state_survives_at_any_point_bit_by_bit(parameters: Parameters) -> None:
    values = stream(4)
    whole = run(parameters.build(), values)
    pieces: list[object] = []
    state = parameters.build().encode()
    for x in values:
        detector = parameters.build()
        detector.decode(state)
        pieces += run(detector, [x])
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(detector.encode()))
    assert pieces == whole


def test_state_stays_within_its_declared_size(parameters: Parameters) -> None:
    detector = parameters.build()
    for x in stream(5):
        detector.learn_one(x, suspect=True)
        assert len(msgspec.msgpack.encode(detector.encode())) <= detector.size_max


def test_decoding_leaves_nothing_of_the_state_before(parameters: Parameters) -> None:
    used, fresh = parameters.build(), parameters.build()
    state = fresh.encode()
    run(used, stream(8))
    used.decode(state)
    assert run(used, stream(9)) == run(fresh, stream(9))


def test_a_decoded_state_is_a_copy(parameters: Parameters) -> None:
    state = parameters.build().encode()
    before = msgspec.msgpack.encode(state)
    detector = parameters.build()
    detector.decode(state)
    run(detector, stream(6))
    assert msgspec.msgpack.encode(state) == before


@pytest.mark.parametrize("x", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused(parameters: Parameters, x: float) -> None:
    detector = parameters.build()
    with pytest.raises(ValueError, match="finite"):
        detector.score_one(x)
    with pytest.raises(ValueError, match="finite"):
        detector.learn_one(x)


def test_scores_are_sound(parameters: Parameters) -> None:
    detector = parameters.build()
    for x in stream(7):
        score = detector.score_one(x)
        assert 0 <= score.p_value <= 1
        assert isinstance(score.flagged, bool)
        assert not (score.flagged and score.value <= 0)
        detector.learn_one(x)
