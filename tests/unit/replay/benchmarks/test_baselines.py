"""The detectors to compare with: what they score, and that they see nothing of what comes later."""

from __future__ import annotations

import random
from math import erfc, sqrt
from statistics import fmean, pstdev

import pytest

from replay.benchmarks.baselines import BASELINES, Metronome, RelativeEntropy, WindowedGaussian

ONLINE = [name for name in BASELINES if name not in ("relative_entropy", "metronome")]


def noise(seed: int, length: int) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(10, 2) for _ in range(length)]


def scores(name: str, values: list[float]) -> list[float]:
    detector = BASELINES[name].build(values)
    return [detector.score_then_learn(x) for x in values]


@pytest.mark.parametrize("name", BASELINES)
def test_scores_lie_between_0_and_1(name: str) -> None:
    assert all(0 <= score <= 1 for score in scores(name, [*noise(1, 300), 1e9, -1e9]))


@pytest.mark.parametrize("name", ONLINE)
def test_what_comes_later_changes_nothing_before(name: str) -> None:
    past = noise(2, 200)
    assert scores(name, [*past, *noise(3, 100)])[:200] == scores(name, [*past, 1e6, -1e6])[:200]


def test_the_null_detector_never_detects() -> None:
    assert max(scores("null", noise(4, 50))) < BASELINES["null"].threshold


def test_the_metronome_detects_at_a_fixed_pace() -> None:
    beat = Metronome(5)
    assert [beat.score_then_learn(x) for x in noise(5, 12)] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0]


def test_the_windowed_gaussian_gives_the_chance_of_a_value_nearer_to_the_mean() -> None:
    values = noise(6, 40)
    detector = WindowedGaussian()
    for x in values:
        detector.score_then_learn(x)
    tail = 0.5 * erfc((15 - fmean(values)) / pstdev(values) / sqrt(2))
    assert detector.score_then_learn(15.0) == pytest.approx(1 - tail, abs=1e-11)


def test_the_window_of_the_gaussian_moves_on_in_steps_when_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WindowedGaussian, "WINDOW", 10)
    monkeypatch.setattr(WindowedGaussian, "STEP", 4)
    values = noise(7, 24)
    detector = WindowedGaussian()
    for x in values:
        detector.score_then_learn(x)
    seen = values[12:22]  # full at 10, moved on at 14, 18 and 22
    tail = 0.5 * erfc(abs(20 - fmean(seen)) / pstdev(seen) / sqrt(2))
    assert detector.score_then_learn(20.0) == pytest.approx(1 - tail, abs=1e-11)


def test_relative_entropy_flags_a_shape_once_and_then_knows_it() -> None:
    detector = RelativeEntropy(0.0, 100.0)
    low = [detector.score_then_learn(float(10 + n % 3)) for n in range(100)]
    high = [detector.score_then_learn(float(90 + n % 3)) for n in range(100)]
    again = [detector.score_then_learn(float(90 + n % 3)) for n in range(100)]
    assert sum(low) == 0
    assert sum(high) >= 1
    assert sum(again) == 0


def test_relative_entropy_of_a_flat_line_is_silent() -> None:
    assert max(scores("relative_entropy", [5.0] * 100)) == 0
