"""What every detector promises: `detectors/base.py`."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from math import isfinite, isnan
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detectors.base import DetectorOf
from detectors.methods import METHODS, VECTOR_METHODS
from tests.support.detectors import CASES, LEVEL, Case, run, stream

ROOT = Path(__file__).resolve().parents[2]
LONG = 200
"""Values after which every detector of `CASES` has warmed up."""


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def able(ability: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(c, id=n) for n, c in CASES.items() if getattr(c, ability)])


def trained(case: Case, seed: int = 11, count: int = LONG) -> DetectorOf[Any]:
    rng, detector = random.Random(seed), case.build()
    run(detector, [case.value(rng) for _ in range(count)], step=case.step)
    return detector


def packed(detector: DetectorOf[Any]) -> bytes:
    return msgspec.msgpack.encode(detector.encode())


def test_every_method_is_under_contract() -> None:
    assert {type(case.parameters) for case in CASES.values()} >= {*METHODS.values(), *VECTOR_METHODS.values()}


def test_the_same_values_give_the_same_scores(case: Case) -> None:
    assert run(case.build(), stream(case, 1), step=case.step) == run(case.build(), stream(case, 1), step=case.step)


@pytest.mark.slow
def test_another_process_gives_the_same_scores() -> None:
    """Python hashes texts in another way in each: no score may depend on the order of a set."""

    def digest(seed: str) -> str:
        command = [sys.executable, "-m", "tests.support.detectors"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert digest("1") == digest("2") != ""


def test_scoring_changes_nothing(case: Case) -> None:
    detector = case.build()
    run(detector, stream(case, 2), step=case.step)
    before = packed(detector)
    for number, x in enumerate(stream(case, 3), 1000):
        detector.score_one(x, at=number * case.step)
        detector.usual(x, at=number * case.step)
        detector.explain(x, at=number * case.step)
    assert packed(detector) == before


def test_it_scores_before_it_learns(case: Case) -> None:
    detector, unasked = case.build(), case.build()
    for number, x in enumerate(stream(case, 3)):
        first = detector.score_one(x, at=number * case.step)
        assert detector.score_one(x, at=number * case.step) == first
        detector.learn_one(x, at=number * case.step)
        unasked.learn_one(x, at=number * case.step)
    assert packed(unasked) == packed(detector)


def test_state_survives_at_any_point_bit_by_bit(case: Case) -> None:
    values = stream(case, 4)
    whole = run(case.build(), values, step=case.step)
    pieces: list[object] = []
    state = packed(case.build())
    detector = case.build()
    for number, x in enumerate(values):
        detector = case.build() if number % 10 == 0 else detector
        detector.decode(msgspec.msgpack.decode(state))
        pieces += run(detector, [x], number, step=case.step)
        state = packed(detector)
    assert pieces == whole


def test_state_stays_within_its_declared_size_while_all_is_held_back(case: Case) -> None:
    detector = case.build()
    for number, x in enumerate(stream(case, 5, 600)):
        detector.learn_one(x, suspect=number > 300, at=number * case.step)
        assert len(packed(detector)) <= detector.size_max


@pytest.mark.slow
def test_state_stays_within_its_declared_size_for_ten_thousand_values(case: Case) -> None:
    rng, detector = random.Random(12), case.build()
    for number in range(10_000):
        detector.learn_one(case.value(rng, LEVEL + number % 3000), at=number * case.step)
        if number % 100 == 0:
            assert len(packed(detector)) <= detector.size_max
    assert len(packed(detector)) <= detector.size_max


def test_decoding_leaves_nothing_of_the_state_before(case: Case) -> None:
    used, fresh = case.build(), case.build()
    state = fresh.encode()
    run(used, stream(case, 8), step=case.step)
    used.decode(state)
    assert run(used, stream(case, 9), step=case.step) == run(fresh, stream(case, 9), step=case.step)


def test_a_decoded_state_is_a_copy(case: Case) -> None:
    origin = trained(case)
    state = origin.encode()
    before = msgspec.msgpack.encode(state)
    detector = case.build()
    detector.decode(state)
    run(detector, stream(case, 6), step=case.step)
    run(origin, stream(case, 7), step=case.step)
    assert msgspec.msgpack.encode(state) == before


@pytest.mark.parametrize("x", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused(case: Case, x: float) -> None:
    for detector in (case.build(), trained(case)):
        before = packed(detector)
        with pytest.raises(ValueError, match="finite"):
            detector.score_one(case.all(x))
        with pytest.raises(ValueError, match="finite"):
            detector.learn_one(case.all(x))
        assert packed(detector) == before


def test_scores_are_sound(case: Case) -> None:
    detector = case.build()
    for number, x in enumerate(stream(case, 7)):
        score = detector.score_one(x, at=number * case.step)
        assert 0 <= score.p_value <= 1
        assert isinstance(score.flagged, bool)
        assert score.strength >= 0
        assert not (score.flagged and (score.value <= 0 or score.strength < 1))
        assert isfinite(score.value)
        detector.learn_one(x, at=number * case.step)


@pytest.mark.parametrize("seed", [1, 2])
def test_numbers_of_any_size_give_sound_scores_and_a_bounded_state(case: Case, seed: int) -> None:
    rng, detector, x = random.Random(seed), case.build(), LEVEL
    for number in range(80):
        if rng.random() < 0.4:
            x = rng.choice([0.0, -0.0, 5e-324, 1e100, -1e100, rng.uniform(-1, 1) * 10 ** rng.uniform(-300, 100)])
        elif rng.random() < 0.7:
            x = rng.gauss(LEVEL, 5)
        value = [x + place for place in range(case.features)] if case.features else x
        score = detector.score_one(value, at=number * case.step)
        assert isfinite(score.value)
        assert isfinite(score.strength)
        assert 0 <= score.p_value <= 1
        assert not score.flagged or (score.value > 0 and score.strength >= 1)
        assert detector.explain(value, at=number * case.step)
        detector.learn_one(value, suspect=rng.random() < 0.2, at=number * case.step)
        state = packed(detector)
        assert len(state) <= detector.size_max
        detector.decode(msgspec.msgpack.decode(state))


EXTREME = [1e308, -1e308, 5e-324, 0.0, -0.0, 1.7976931348623157e308, -1.7976931348623157e308, 1e154, 1e155]


@pytest.mark.parametrize("learned", [0, LONG], ids=["fresh", "trained"])
@pytest.mark.parametrize("seed", range(3))
def test_the_largest_and_smallest_finite_numbers_give_sound_scores(case: Case, seed: int, learned: int) -> None:
    """Among themselves, at once and after normal values: a square of 1e155 is no finite number any more."""
    rng, detector = random.Random(seed), trained(case, count=learned)
    for number in range(learned, learned + 120):
        value = [rng.choice(EXTREME) for _ in range(case.features)] if case.features else rng.choice(EXTREME)
        assert_sound(detector, value, number * case.step)
        detector.learn_one(value, suspect=rng.random() < 0.2, at=number * case.step)
        state = packed(detector)
        assert len(state) <= detector.size_max
        assert not any(map(isnan, numbers_in(msgspec.msgpack.decode(state))))
        detector.decode(msgspec.msgpack.decode(state))


def test_one_extreme_number_spoils_no_later_score(case: Case) -> None:
    detector, rng = trained(case), random.Random(17)
    for number, x in enumerate(EXTREME, LONG):
        detector.learn_one(case.all(x), at=number * case.step)
    scores = []
    for number in range(LONG + len(EXTREME), 2 * LONG):
        value = case.value(rng)
        assert_sound(detector, value, number * case.step)
        scores.append(detector.score_one(value, at=number * case.step))
        detector.learn_one(value, at=number * case.step)
    assert sum(score.flagged for score in scores) <= 0.1 * len(scores)


@pytest.mark.parametrize("x", [0.0, LEVEL, -1e308])
def test_a_metric_that_does_not_move_gives_sound_scores(case: Case, x: float) -> None:
    detector = case.build()
    for number in range(LONG):
        assert_sound(detector, case.all(x), number * case.step)
        assert not (case.cold and detector.score_one(case.all(x), at=number * case.step).flagged)
        detector.learn_one(case.all(x), at=number * case.step)


def assert_sound(detector: DetectorOf[Any], value: Any, at: int) -> None:
    score, usual = detector.score_one(value, at=at), detector.usual(value, at=at)
    assert isfinite(score.value)
    assert isfinite(score.strength)
    assert 0 <= score.p_value <= 1
    assert not score.flagged or (score.value > 0 and score.strength >= 1)
    assert not any(known is not None and isnan(known) for known in (usual.expected, usual.limit))
    assert detector.explain(value, at=at)
    assert "nan" not in detector.explain(value, at=at)


def numbers_in(state: Any) -> Iterator[float]:
    """Yield the floats of a state, however deep."""
    if isinstance(state, float):
        yield state
    elif isinstance(state, list | dict):
        for part in state.values() if isinstance(state, dict) else state:
            yield from numbers_in(part)


@able("cold")
def test_nothing_is_certain_before_anything_was_learned(case: Case) -> None:
    score = case.build().score_one(case.all(LEVEL), at=0)
    assert (score.p_value, score.flagged) == (1.0, False)


def test_a_value_far_off_is_flagged_and_explained(case: Case) -> None:
    detector = trained(case)
    x, at = case.all(1e5), LONG * case.step
    assert detector.score_one(x, at=at).flagged is (case.spikes or case.novelty)
    assert detector.explain(x, at=at)
    if case.spikes:
        usual = detector.usual(x, at=at)
        assert usual.limit is not None
        assert usual.limit < 1e5


@able("spikes")
def test_what_is_flagged_is_not_learned(case: Case) -> None:
    """However far off it was, it leaves the same detector behind."""
    near, far, rng = trained(case), trained(case), random.Random(13)
    near.learn_one(case.all(1e5), at=LONG * case.step)
    far.learn_one(case.all(1e7), at=LONG * case.step)
    after = [case.value(rng) for _ in range(40)]
    assert run(near, after, LONG + 1, step=case.step) == run(far, after, LONG + 1, step=case.step)


def test_a_suspect_value_is_not_learned(case: Case) -> None:
    near, far, rng = trained(case), trained(case), random.Random(14)
    near.learn_one(case.all(LEVEL), suspect=True, at=LONG * case.step)
    far.learn_one(case.all(LEVEL + 2), suspect=True, at=LONG * case.step)
    after = [case.value(rng) for _ in range(40)]
    assert run(near, after, LONG + 1, step=case.step) == run(far, after, LONG + 1, step=case.step)


@able("changes")
def test_a_lasting_change_of_level_is_flagged_and_becomes_normal(case: Case) -> None:
    detector, rng = trained(case), random.Random(15)
    flags, adapted = [], []
    for number in range(LONG, 4 * LONG):
        x = case.value(rng, 3 * LEVEL)
        flags.append(detector.score_one(x, at=number * case.step).flagged)
        adapted.append(detector.learn_one(x, at=number * case.step))
    assert any(flags[:LONG])
    assert any(adapted[:LONG])
    assert sum(flags[LONG:]) <= 0.05 * len(flags[LONG:])


@able("novelty")
def test_a_lasting_change_is_new_once(case: Case) -> None:
    detector, rng = trained(case), random.Random(16)
    flags = []
    for number in range(LONG, 4 * LONG):
        x = case.value(rng, 3 * LEVEL)
        flags.append(detector.score_one(x, at=number * case.step).flagged)
        detector.learn_one(x, at=number * case.step)
    assert any(flags[:5])
    assert sum(flags) <= 0.02 * len(flags)
