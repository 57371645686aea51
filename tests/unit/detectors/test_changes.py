"""ADWIN, Page-Hinkley and KSWIN: when they tell a change."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from detectors.adwin import AdwinParameters
from detectors.kswin import KswinParameters
from detectors.page_hinkley import PageHinkleyParameters

METHODS = {"adwin": AdwinParameters, "page-hinkley": PageHinkleyParameters, "kswin": KswinParameters}
each = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
Method = Callable[..., Any]


def changes(detector: Any, values: Iterable[float]) -> tuple[list[int], list[int]]:
    """Return at which values a change was flagged, and at which the detector began anew."""
    flagged, adapted = [], []
    for number, x in enumerate(values):
        if detector.score_one(x).flagged:
            flagged.append(number)
        if detector.learn_one(x):
            adapted.append(number)
    return flagged, adapted


def step(by: float, *, seed: int = 1, before: int = 200, after: int = 200) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(100 + (number >= before) * by, 5) for number in range(before + after)]


@each
def test_a_step_is_told_once_and_soon(method: Method) -> None:
    flagged, adapted = changes(method(direction="up").build(), step(15))
    assert flagged == adapted
    assert len(flagged) == 1
    assert 200 <= flagged[0] <= 240


@each
def test_a_change_for_the_better_is_not_flagged_but_becomes_normal(method: Method) -> None:
    flagged, adapted = changes(method(direction="up").build(), step(-15))
    assert flagged == []
    assert len(adapted) == 1


@each
def test_nothing_is_told_where_nothing_changes(method: Method) -> None:
    for seed in range(3):
        assert changes(method(direction="both").build(), step(0, seed=seed)) == ([], [])


@each
def test_a_single_spike_is_no_change(method: Method) -> None:
    values = step(0)
    values[250] = 1e6
    assert changes(method(direction="both").build(), values) == ([], [])


@each
def test_a_change_is_told_again_from_the_new_level(method: Method) -> None:
    values = [*step(15), *step(30, seed=2, before=0)]
    flagged, _ = changes(method(direction="up").build(), values)
    assert len(flagged) == 2
    assert flagged[1] >= 400


@each
def test_the_explanation_says_where_the_level_was(method: Method) -> None:
    detector = method(direction="up").build()
    assert "too new" in detector.explain(1.0)
    for x in step(15):
        if detector.score_one(x).flagged:
            assert "moved away from a level of 1" in detector.explain(x)
            return
        detector.learn_one(x)
    pytest.fail("no change told")


def test_adwin_tells_a_slow_drift() -> None:
    rng = random.Random(4)
    values = [rng.gauss(100 + max(0, number - 200) * 0.05, 5) for number in range(600)]
    assert changes(AdwinParameters(direction="up").build(), values)[0]


def test_kswin_tells_a_change_of_spread() -> None:
    rng = random.Random(5)
    values = [rng.gauss(100, 5 if number < 200 else 30) for number in range(400)]
    assert changes(KswinParameters(direction="both", window=160, latest=80).build(), values)[0]


def test_a_page_hinkley_p_value_is_the_chance_of_so_high_a_sum() -> None:
    rng, low = random.Random(6), 0
    detector = PageHinkleyParameters(direction="up", limit=1e6).build()
    for number in range(6000):
        x = rng.gauss(0, 1)
        if number >= 1000:
            low += detector.score_one(x).p_value <= 0.01
        detector.learn_one(x)
    assert low / 5000 <= 0.02


def test_after_so_many_suspect_values_it_begins_anew() -> None:
    detector = PageHinkleyParameters(direction="up", grace=10, adapt_after=20).build()
    for x in step(0):
        detector.learn_one(x)
    adapted = [detector.learn_one(500.0, suspect=True) for _ in range(20)]
    assert adapted == [False] * 19 + [True]
    assert detector.usual(500.0).expected == pytest.approx(500)


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        (AdwinParameters, {"delta": 0.0}),
        (AdwinParameters, {"clock": 0}),
        (PageHinkleyParameters, {"limit": 0.0}),
        (PageHinkleyParameters, {"alpha": 2.0}),
        (KswinParameters, {"alpha": 1.0}),
        (KswinParameters, {"latest": 60}),
        (KswinParameters, {"reach": 0.0}),
    ],
)
def test_parameters_out_of_bounds_are_refused(method: Method, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        method(direction="up", **wrong)
