from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from benchmarks.soak_report import Sample, faults, plot

RATE = 1_000.0
KILLS = [60.0 * minute for minute in range(1, 30)]


def soak(change: Callable[[Sample], Sample] = lambda sample: sample) -> list[Sample]:
    """Half an hour: memory falls with each kill, the lag rises after it and is made up for."""
    samples = []
    for at in range(0, 1800, 5):
        since = at % 60
        sample = Sample(
            at=float(at),
            memory_bytes=300_000_000 + since * 2_000_000 - (150_000_000 if at < 300 else 0),
            files=60 + at % 3,
            recovery_bytes=20_000_000 + at * 7919 % 3_000_000,
            lag_records=20_000 - since * 400 if since < 50 else 300,
            workers=0 if since == 5 else 1,
        )
        samples.append(change(sample))
    return samples


def test_a_job_that_stays_as_it_is_has_no_faults() -> None:
    assert faults(soak(), KILLS, RATE) == []


@pytest.mark.parametrize("name", ["memory_bytes", "files", "recovery_bytes"])
def test_what_grows_is_told(name: str) -> None:
    grown = soak(lambda each: replace(each, **{name: int(getattr(each, name) * (1 + each.at / 1800))}))
    (found,) = faults(grown, KILLS, RATE)
    assert found.startswith(f"{name} grew from ")


def test_growth_while_warming_up_does_not_count() -> None:
    filling = soak(lambda each: replace(each, memory_bytes=int(each.memory_bytes * min(each.at / 500, 1))))
    assert faults(filling, KILLS, RATE) == []


def test_instants_without_workers_do_not_hide_growth() -> None:
    gone = soak(
        lambda each: (
            replace(each, workers=0, memory_bytes=0)
            if each.at > 1200 and each.at % 60 < 40
            else replace(each, memory_bytes=int(each.memory_bytes * (1 + each.at / 1800)))
        )
    )
    assert faults(gone, KILLS, RATE)


def test_a_kill_that_was_not_made_up_for_is_told() -> None:
    behind = soak(lambda each: replace(each, lag_records=50_000) if 600 < each.at <= 660 else each)
    (found,) = faults(behind, KILLS, RATE)
    assert found.startswith("the kill at 600 s was not made up for: 50,000")


def test_the_picture_has_a_line_for_each_measure_and_kill() -> None:
    tree = ElementTree.fromstring(plot(soak(), KILLS))
    names = [element.tag.rpartition("}")[2] for element in tree.iter()]
    assert (names.count("polyline"), names.count("line")) == (4, 4 * len(KILLS))
    first = next(element for element in tree.iter() if element.tag.endswith("polyline"))
    assert len(first.attrib["points"].split()) == len(soak())
