"""The frame economy, and how what a stage emits finds its way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from config.events import BROADCAST, RELEASE, Event
from config.identity import key_group
from dataflows.stages import Emitter, release_frames, route
from sinks.outbox import part_names

START = datetime(2026, 1, 1, tzinfo=UTC)
INTERVAL = timedelta(milliseconds=50)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def event(key: str) -> Event:
    return Event(1, f"id-{key}", key, "t", None)


def emitter(clock: Clock) -> Emitter:
    return Emitter("@up/0", {"down": 4}, INTERVAL, clock)


def test_the_first_frame_tells_every_group() -> None:
    frames = emitter(Clock()).frames(10, {}, {})["down"]
    assert [(f.to, f.watermark, f.events) for f in frames] == [(g, 10, []) for g in range(4)]


def test_within_the_interval_only_groups_with_content_get_a_frame() -> None:
    clock = Clock()
    economy = emitter(clock)
    economy.frames(10, {}, {})
    frames = economy.frames(11, {"down": {2: [event("a")]}}, {})["down"]
    assert [f.to for f in frames] == [2]
    assert economy.due_at == START + INTERVAL


def test_after_the_interval_everyone_hears_of_the_watermark_again() -> None:
    clock = Clock()
    economy = emitter(clock)
    economy.frames(10, {}, {})
    economy.frames(11, {}, {})
    clock.now += INTERVAL
    assert len(economy.overdue()["down"]) == 4
    assert economy.due_at is None


def test_a_watermark_that_stands_still_is_not_repeated() -> None:
    clock = Clock()
    economy = emitter(clock)
    economy.frames(10, {}, {})
    clock.now += INTERVAL
    assert economy.frames(10, {}, {})["down"] == []


def test_the_end_is_told_to_all_at_once_and_only_once() -> None:
    economy = emitter(Clock())
    economy.frames(10, {}, {})
    assert [f.ended for f in economy.frames(10, {}, {}, ended=True)["down"]] == [True] * 4
    assert economy.frames(10, {}, {}, ended=True)["down"] == []


def test_events_go_to_the_group_of_their_key_and_broadcasts_to_all() -> None:
    emitted = [("down", event("a")), ("down", event(BROADCAST)), (RELEASE, event("b"))]
    routed = route(emitted, {"down": 4})
    assert routed["down"][key_group("a", 4)] == [event("a"), event(BROADCAST)]
    assert sorted(routed["down"]) == [0, 1, 2, 3]


def test_an_end_reaches_every_sink_part_and_events_their_own() -> None:
    releases = dict(release_frames("@case/1", 1, 3, [event("a")], True))
    names = part_names(3)
    assert [releases[name].ended for name in names] == [True] * 3
    assert [len(releases[name].events) for name in names] == [0, 1, 0]


def test_nothing_to_release_makes_no_item() -> None:
    assert release_frames("@case/1", 1, 3, [], False) == []
