"""When a partition begins to sample, by how much, and when it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from config.settings import Overload, load
from dataflows.overload import ByLag

SETTINGS = replace(load().overload, lag_max=1_000, steps=(2, 5, 10), step_interval=timedelta(seconds=10))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Partition:
    """A partition that is asked once a second."""

    def __init__(self, settings: Overload = SETTINGS) -> None:
        self.clock = Clock()
        self.sampling = ByLag(settings, self.clock)
        self.rate = 1

    def after(self, seconds: int, behind: int) -> int:
        for _ in range(seconds):
            self.rate = self.sampling.one_in(0, behind, self.rate)
            self.clock.now += 1
        return self.rate


def test_a_lag_that_lasts_raises_the_rate_step_by_step_up_to_the_last() -> None:
    partition = Partition()
    assert partition.after(10, behind=1_001) == 1
    assert [partition.after(10, behind=5_000) for _ in range(4)] == [2, 5, 10, 10]


def test_a_lag_that_passes_changes_nothing() -> None:
    partition = Partition()
    for _ in range(20):
        assert partition.after(9, behind=9_999) == 1
        assert partition.after(1, behind=900) == 1


def test_the_rate_falls_step_by_step_once_half_of_the_bound_is_kept() -> None:
    partition = Partition()
    partition.after(40, behind=5_000)
    assert partition.rate == 10
    assert partition.after(60, behind=700) == 10
    assert [partition.after(11, behind=500)] == [5]
    assert [partition.after(10, behind=0) for _ in range(3)] == [2, 1, 1]


def test_by_default_nothing_is_ever_sampled() -> None:
    assert Partition(load().overload).after(100, behind=10**9) == 1


def test_sampling_that_was_switched_off_ends_at_once() -> None:
    partition = Partition(replace(SETTINGS, lag_max=0))
    partition.rate = 10
    assert partition.after(1, behind=10**9) == 1


def test_a_rate_of_other_steps_is_gone_on_with() -> None:
    partition = Partition()
    partition.rate = 4
    assert partition.after(11, behind=5_000) == 5
    partition.rate = 4
    assert partition.after(11, behind=0) == 2
