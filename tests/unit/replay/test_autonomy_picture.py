from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.collections import Collection
from matplotlib.colors import to_hex

from config.clock import DAY, HOUR
from replay.autonomy_picture import PANELS_MAX, STRIP, draw
from replay.pictures import GREEN, YELLOW


def counted(at: int, verified: int, outcomes: int, level: str = "supervised") -> dict[str, Any]:
    share = verified / outcomes
    bounds = {"success_low": share - 0.1, "success_high": share + 0.1, "false_high": 0.2}
    return {"at": at, "level": level, "outcomes": outcomes, "verified": verified} | bounds


def changed(at: int, before: str, level: str, cause: str) -> dict[str, Any]:
    return {"at": at, "before": before, "level": level, "cause": cause}


def history(*points: dict[str, Any], remedy: str = "notify") -> dict[str, Any]:
    return {"agent": "fulfilment", "remedy": remedy, "segment": "other", "points": list(points)}


def colour(strip: Collection) -> str:
    return to_hex(tuple(np.asarray(strip.get_facecolor(), float)[0]))


EARNED = history(
    counted(HOUR, 1, 2),
    changed(2 * HOUR, "supervised", "autonomous", "earned"),
    counted(3 * HOUR, 3, 4, "autonomous"),
    counted(DAY, 1, 4, "autonomous"),
    changed(2 * DAY, "autonomous", "supervised", "failures"),
)


def test_each_level_is_shown_as_long_as_it_held_and_each_change_with_its_cause() -> None:
    (axes,) = draw([EARNED]).axes
    assert axes.get_title(loc="left") == "fulfilment notify other"
    assert [text.get_text() for text in axes.texts] == ["earned", "failures"]
    strips = [each for each in axes.collections if each.get_alpha() == STRIP]
    assert [colour(each) for each in strips] == [YELLOW, GREEN]
    ends = [each.get_paths()[0].get_extents().intervalx for each in strips]
    assert [[round(at * 24) for at in both] for both in ends] == [[1, 2], [2, 48]]
    lines = [line for line in axes.lines if line.get_linestyle() == "-" and line.get_color() == "#30475e"]
    # What counted before a change is not joined to what counted after it.
    assert [list(np.asarray(line.get_ydata(), float)) for line in lines] == [[0.5], [0.75, 0.25]]


def test_a_drift_is_a_level_without_evidence() -> None:
    drift = [changed(HOUR, "", "supervised", "drift"), changed(DAY, "supervised", "", "drift-over")]
    (axes,) = draw([history(*drift, remedy="*")]).axes
    assert [text.get_text() for text in axes.texts] == ["drift", "drift-over"]
    (strip,) = axes.collections
    assert colour(strip) == YELLOW


def test_those_in_which_most_happened_are_drawn() -> None:
    many = [history(counted(HOUR, 1, 1), remedy=f"r{number}") for number in range(PANELS_MAX)]
    panels = draw([*many, EARNED]).axes
    assert len(panels) == PANELS_MAX
    assert panels[0].get_title(loc="left") == "fulfilment notify other"


def test_of_nothing_it_says_so() -> None:
    assert "Nothing was earned" in draw([]).get_suptitle()
