"""`Novelty`: what it takes for new, when it is silent, what it remembers."""

from __future__ import annotations

import random
from math import log10, sin

import msgspec
import pytest

from detectors.novelty import Novelty, NoveltyParameters
from detectors.shapes import EXPONENT_MAX, STEPS, ZERO, Ranks, Shapes, step_of

SMALL = {"windows": (4, 16), "capacity": 64, "memory": 2000, "rarity": 1.0, "quiet": 30}


def alarms(detector: Novelty, values: list[float]) -> list[int]:
    flagged = []
    for number, x in enumerate(values):
        if detector.score_one(x).flagged:
            flagged.append(number)
        detector.learn_one(x)
    return flagged


def noise(seed: int, count: int, level: float = 100.0, spread: float = 5.0) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(level, spread) for _ in range(count)]


def trained(**parameters: object) -> Novelty:
    detector = msgspec.convert(SMALL | parameters, NoveltyParameters).build()
    alarms(detector, noise(1, 600))
    return detector


def test_a_new_level_is_flagged_at_once_and_once() -> None:
    assert alarms(trained(), noise(2, 300, level=200)) == [0]


def test_a_new_spread_about_the_same_level_is_flagged() -> None:
    assert any(number < 16 for number in alarms(trained(), noise(3, 100, spread=40)))


def test_a_line_that_goes_flat_is_flagged() -> None:
    detector = NoveltyParameters().build()
    alarms(detector, noise(1, 1500))
    assert alarms(detector, [100.0] * 50)[0] < 12


def test_a_rhythm_is_not_new() -> None:
    rng = random.Random(4)
    beat = [50 * sin(number / 8) + rng.gauss(0, 1) for number in range(3000)]
    assert len(alarms(NoveltyParameters(**SMALL).build(), beat)) <= 12  # type: ignore[arg-type]


def test_what_came_before_is_not_new_when_it_comes_again() -> None:
    detector = trained()
    episode = [*noise(5, 40, level=300), *noise(6, 60)]
    assert alarms(detector, episode)
    again = noise(7, 40, level=300)
    assert len(alarms(detector, again)) <= 1


def test_unit_and_zero_of_a_metric_do_not_matter() -> None:
    values = [*noise(8, 600), *noise(9, 100, level=160), *noise(10, 200)]
    one, other = NoveltyParameters(**SMALL).build(), NoveltyParameters(**SMALL).build()  # type: ignore[arg-type]
    # A power of two, so that not even rounding differs.
    assert alarms(one, values) == alarms(other, [4096 * x for x in values])


def test_after_an_alarm_it_is_silent_for_a_while() -> None:
    detector = trained(quiet=50, louder=1e9)
    assert alarms(detector, [200.0]) == [0]
    later = alarms(detector, [200.0 + 100 * number for number in range(100)])
    assert later
    assert later[0] >= 50


def test_what_is_rarer_by_far_breaks_the_silence() -> None:
    def second_alarm(louder: float) -> list[int]:
        detector = trained(quiet=50, louder=louder)
        assert alarms(detector, [110.0, 112.0])
        return alarms(detector, [1e6] * 10)

    assert second_alarm(2.0)
    assert not second_alarm(1e9)


def test_silence_does_not_look_like_an_alarm() -> None:
    detector = trained(quiet=50, louder=1e9)
    alarms(detector, [200.0])
    score = detector.score_one(500.0)
    assert not score.flagged
    assert score.strength < 1


def test_the_longer_it_watches_the_rarer_an_alarm_must_be() -> None:
    detector = trained(rarity=2.0)
    limit = 0.5 * log10(600) - log10(2.0)
    for x in (90.0, 110.0, 125.0, 200.0):
        score = detector.score_one(x)
        assert score.flagged is (score.value >= limit)
        assert score.strength == pytest.approx(score.value / limit)


def test_suspect_values_are_learned_when_there_is_no_end_to_them() -> None:
    detector = trained(adapt_after=10)
    learned = [detector.learn_one(100.0, suspect=True) for _ in range(12)]
    assert learned == [False] * 9 + [True] * 3


def test_it_says_how_rare_each_window_is() -> None:
    detector = trained()
    text = detector.explain(1000.0)
    assert "last 4 values (1 in " in text
    assert "last 16 values (1 in " in text
    assert "too new" in NoveltyParameters().build().explain(1.0)
    usual = detector.usual(1000.0)
    assert usual.expected == pytest.approx(100, abs=10)
    assert usual.limit is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"windows": ()},
        {"windows": (12, 4)},
        {"windows": (1, 4)},
        {"points": 1},
        {"capacity": 4},
        {"memory": 10},
        {"rarity": 0.0},
        {"rarity": 10.0},
        {"quiet": -1},
        {"louder": 0.5},
        {"adapt_after": 0},
    ],
    ids=str,
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, NoveltyParameters)


def test_order_within_a_window_does_not_matter() -> None:
    shapes = Shapes(4, 8, 8)
    assert (
        shapes.shape([9.0, 1.0, 2.0, 3.0, 4.0]).tolist() == shapes.shape([4.0, 3.0, 1.0, 2.0]).tolist() == [1, 2, 3, 4]
    )


def test_a_window_is_compared_only_with_those_that_share_no_value_with_it() -> None:
    shapes, distances = Shapes(3, 3, 8), []
    for number in range(8):
        shape = shapes.shape([float(number)] * 3)
        distances.append(shapes.distance(shape))
        shapes.keep(shape)
    assert distances[:3] == [None] * 3
    assert distances[3:] == [3.0] * 5


def test_distant_times_are_remembered_ever_more_sparsely() -> None:
    shapes = Shapes(2, 2, 8)
    for number in range(40):
        shapes.keep(shapes.shape([float(number)] * 2))
    kept = [shape[0] for shape in shapes.encode()[2]]
    assert kept == sorted(kept)
    assert len(kept) <= 8
    assert kept[0] == 0
    assert kept[-1] - kept[-2] == 1
    assert kept[1] - kept[0] > 5


def test_ranks_count_distances_that_are_not_smaller() -> None:
    ranks = Ranks(1000)
    assert ranks.p_value(5.0) == 1
    for distance in (1.0, 2.0, 4.0):
        ranks.learn(distance)
    assert [ranks.p_value(x) for x in (0.0, 1.0, 3.0, 4.0, 9.0)] == [1, 1, 0.5, 0.5, 0.25]


def test_old_distances_fade() -> None:
    ranks = Ranks(10)
    for _ in range(4):
        ranks.learn(8.0)
    for _ in range(200):
        ranks.learn(1.0)
    assert ranks.p_value(8.0) < 0.2
    assert sum(count for _, count in ranks.encode()) < 10


def test_steps_are_finite_whatever_the_distance() -> None:
    steps = [step_of(x) for x in (0.0, 5e-324, 1e-30, 1.0, 1.9, 2.0, 1e30, 1e300)]
    assert steps == sorted(steps)
    assert steps[0] == ZERO
    assert steps[-1] <= STEPS * (EXPONENT_MAX + 1)
    assert step_of(2.0) - step_of(1.0) == STEPS
