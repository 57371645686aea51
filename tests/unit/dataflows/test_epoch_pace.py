"""How many records fit into what is left of an epoch."""

from __future__ import annotations

from dataflows.epoch_pace import RECORDS_MIN, EpochPace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_first_batch_is_whole() -> None:
    assert EpochPace(1.0, Clock()).limit(50_000) == 50_000


def test_batches_are_cut_to_what_is_left_of_the_epoch() -> None:
    clock = Clock()
    pace = EpochPace(1.0, clock)
    pace.took(50_000, 0.2)
    assert pace.limit(50_000) == 50_000
    clock.now += 0.9
    assert 24_000 < pace.limit(50_000) < 26_000


def test_what_is_left_of_an_epoch_that_is_over_is_a_small_batch() -> None:
    clock = Clock()
    pace = EpochPace(1.0, clock)
    pace.took(50_000, 0.2)
    clock.now += 5
    assert pace.limit(50_000) == RECORDS_MIN
    assert pace.limit(10) == 10


def test_the_next_epoch_begins_with_whole_batches_again() -> None:
    clock = Clock()
    pace = EpochPace(1.0, clock)
    pace.took(50_000, 0.2)
    clock.now += 1
    pace.begin()
    assert pace.limit(50_000) == 50_000


def test_who_waits_for_nobody_takes_whole_batches() -> None:
    clock = Clock()
    pace = EpochPace(None, clock)
    pace.took(50_000, 0.2)
    clock.now += 5
    assert pace.limit(50_000) == 50_000


def test_small_and_empty_batches_tell_nothing() -> None:
    clock = Clock()
    pace = EpochPace(1.0, clock)
    pace.took(50_000, 0.2)
    pace.took(1, 0.5)
    pace.took(0, 0.1)
    assert pace.limit(50_000) == 50_000
