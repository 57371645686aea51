"""One partition as Bytewax calls it: what it hands over, when it waits, and what it promises at its end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from config.clock import DAY, MINUTE, SECOND, TIME_MAX, TIME_MIN, to_text
from config.contracts import BUILT_IN, load_contracts
from config.events import Event
from dataflows.alignment import AlignmentBoard
from dataflows.overload import Sampling
from dataflows.sources import Pace, PartitionTicks, Reader, SourceSettings
from dataflows.stages import StageItem
from operators.batch import RawBatch
from operators.channel import Channel, Position
from operators.control import ControlChannel
from operators.decode import Decoder
from tests.support.cloudevents import cloud_event

DECODER = Decoder(load_contracts(BUILT_IN))
CHANNELS = ["orders/0", "orders/1"]
START = 1_700_000_000 * SECOND
LATENESS = 5 * SECOND
EPOCH = timedelta(seconds=1)


class Records:
    """A reader of deliveries at given seconds, complete until `until`; idle as told by offset."""

    def __init__(self, seconds: list[int], until: int, idle: dict[int, int] | None = None) -> None:
        self.seconds, self.until, self.idle = seconds, START + until * SECOND, idle or {}

    def read(self, next_offset: int, limit: int) -> RawBatch | None:
        chosen = self.seconds[next_offset : next_offset + limit]
        if not chosen:
            return None
        offsets = list(range(next_offset, next_offset + len(chosen)))
        times = [to_text(START + second * SECOND) for second in chosen]
        data = {"order_id": "o1", "customer_id": "c1"}
        values: list[bytes | None] = [
            cloud_event("shipment.delivered", data, id=str(o), time=t) for o, t in zip(offsets, times, strict=True)
        ]
        stamps = [START // 1000 + second * 1000 for second in chosen]
        return RawBatch("orders", 0, offsets, stamps, [None] * len(chosen), values)

    def open(self, left: Position) -> Position:
        return left

    def silent_until(self, next_offset: int) -> int | None:
        return None

    def publish(self, next_offset: int) -> None:
        pass

    def close(self) -> None:
        pass

    def idle_until(self, next_offset: int) -> int | None:
        return self.idle.get(next_offset)

    def next_idle(self, next_offset: int) -> int | None:
        return min((offset for offset in self.idle if offset > next_offset), default=None)

    def behind(self, next_offset: int) -> int:
        return max(len(self.seconds) - next_offset, 0)


class Live(Records):
    """A reader of a partition that may grow; `silent` is the instant up to which nothing followed."""

    def __init__(self, seconds: list[int]) -> None:
        super().__init__(seconds, until=0)
        self.silent: int | None = None
        self.published: list[int] = []

    def read(self, next_offset: int, limit: int) -> RawBatch:
        return super().read(next_offset, limit) or RawBatch("orders", 0, [], [], [], [])

    def silent_until(self, next_offset: int) -> int | None:
        return self.silent

    def publish(self, next_offset: int) -> None:
        self.published.append(next_offset)


class Due:
    """A pace by which so many records are due."""

    def __init__(self, count: int) -> None:
        self.count = count

    def limit(self, reader: Reader, next_offset: int, limit: int) -> int:
        return min(limit, self.count - next_offset)


Open = Callable[..., PartitionTicks]


@pytest.fixture
def open_partition(tmp_path: Path) -> Open:
    AlignmentBoard.create(tmp_path / "board", CHANNELS)
    board = AlignmentBoard(tmp_path / "board", CHANNELS)
    board.leave("orders/1")

    def opened(
        reader: Reader,
        *,
        state: bytes | None = None,
        batch: int = 3,
        drain: bool = False,
        pace: Pace | None = None,
        stopping: bool = False,
        other: int = TIME_MAX,
        sampling: Sampling | None = None,
        is_full: Callable[[], bool] = lambda: False,
    ) -> PartitionTicks:
        board.tell("orders/1", other)
        settings = SourceSettings(batch, DAY, timedelta(0), EPOCH, {"telemetry": 1, "journey": 2}, 2, {}, drain)
        channel = Channel("orders", 0, DECODER, LATENESS, 30 * DAY, state)
        return PartitionTicks(settings, channel, reader, board, lambda: stopping, pace, sampling, is_full)

    return opened


def offsets(items: list[StageItem]) -> list[int]:
    return [event.seq for item in items for frame in item.frames["journey"] for event in frame.events]


def watermark(items: list[StageItem]) -> int:
    (mark,) = {frame.watermark for item in items for frames in item.frames.values() for frame in frames}
    return mark


def released(items: list[StageItem]) -> list[Event]:
    return [event for item in items for _, release in item.releases for event in release.events]


def ended(items: list[StageItem]) -> set[bool]:
    return {frame.ended for item in items for frames in item.frames.values() for frame in frames}


def test_records_come_in_batches_then_the_end_with_the_time_until_which_all_was_recorded(open_partition: Open) -> None:
    ticks = open_partition(Records([0, 1, 2, 3], until=60))
    first, second, end = ticks.next_batch(), ticks.next_batch(), ticks.next_batch()
    assert [offsets(items) for items in (first, second, end)] == [[0, 1, 2], [3], []]
    assert [watermark(items) - START for items in (first, second, end)] == [-3 * SECOND, -2 * SECOND, 60 * SECOND]
    assert [ended(items) for items in (first, second, end)] == [{False}, {False}, {True}]
    assert [release.ended for _, release in end[0].releases] == [False, True, True]
    with pytest.raises(StopIteration):
        ticks.next_batch()


def test_a_recording_that_continues_another_keeps_the_promise_made_at_its_end(open_partition: Open) -> None:
    ticks = open_partition(Records([0, 1], until=60))
    ticks.next_batch()
    ticks.next_batch()
    ticks = open_partition(Records([0, 1, 58, 61], until=100), state=ticks.snapshot())
    items = ticks.next_batch()
    assert offsets(items) == [3]
    assert [e.id for _, release in items[0].releases for e in release.events if e.type == "late"] == ["orders/0/2"]


def test_draining_lets_time_run_out(open_partition: Open) -> None:
    ticks = open_partition(Records([0], until=60), drain=True)
    ticks.next_batch()
    assert watermark(ticks.next_batch()) == TIME_MAX


def test_an_idle_partition_promises_at_the_offset_where_it_was_idle(open_partition: Open) -> None:
    ticks = open_partition(Records([0, 1, 2, 3], until=9, idle={2: START + 2 * SECOND + 1}))
    first, second = ticks.next_batch(), ticks.next_batch()
    assert (offsets(first), watermark(first)) == ([0, 1], START + 2 * SECOND + 1)
    assert offsets(second) == [3]


def test_a_live_partition_at_its_end_waits_then_promises_what_the_silence_allows(open_partition: Open) -> None:
    live = Live([0, 1])
    ticks = open_partition(live)
    assert offsets(ticks.next_batch()) == [0, 1]
    assert offsets(ticks.next_batch()) == []
    assert ticks.next_awake() is not None
    live.silent = START + 60 * SECOND
    assert watermark(ticks.next_batch()) == START + 55 * SECOND


def test_an_idle_partition_holds_no_other_back(open_partition: Open, tmp_path: Path) -> None:
    live = Live([])
    ticks = open_partition(live)
    board = AlignmentBoard(tmp_path / "board", CHANNELS)
    ticks.next_batch()
    assert board.slowest() == TIME_MIN
    live.silent = START
    ticks.next_batch()
    assert board.slowest() == TIME_MAX
    live.seconds.append(61)
    ticks.next_batch()
    assert board.slowest() == START + 56 * SECOND


def test_live_and_replay_release_the_same_of_an_idle_time(open_partition: Open) -> None:
    live = Live([0, 1])
    ticks = open_partition(live)
    ticks.next_batch()
    for second in (30, 60):
        live.silent = START + second * SECOND
        ticks.next_batch()
    live.seconds += [58, 54]
    played = ticks.next_batch()
    replay = open_partition(Records([0, 1, 58, 54], until=0, idle={2: START + 55 * SECOND}), batch=2)
    replay.next_batch()
    replayed = replay.next_batch()
    assert released(played) == released(replayed)
    assert [event.type for event in released(played)] == ["idle", "late"]


def test_a_partition_that_was_idle_before_its_first_record_is_so_in_replay(open_partition: Open) -> None:
    replay = open_partition(Records([58, 54], until=0, idle={0: START + 55 * SECOND}), batch=2)
    assert [event.id for event in released(replay.next_batch())] == ["orders/0/0", "orders/0/1"]


def test_only_what_is_durable_is_published(open_partition: Open) -> None:
    live = Live([0, 1, 2, 3])
    ticks = open_partition(live)
    ticks.next_batch()
    ticks.snapshot()
    assert set(live.published) == {0}  # where it was opened
    ticks.next_batch()
    assert live.published[-1] == 3
    ticks.next_batch()
    assert live.published[-1] == 3


def test_a_partition_too_far_ahead_of_the_others_waits(open_partition: Open) -> None:
    ticks = open_partition(Records([0, 90_000, 90_001], until=200_000), batch=2, other=START)
    assert offsets(ticks.next_batch()) == [0, 1]
    assert offsets(ticks.next_batch()) == []
    assert ticks.next_awake() is not None


def test_records_that_are_not_due_are_not_read(open_partition: Open) -> None:
    pace = Due(2)
    ticks = open_partition(Records([0, 1, 2], until=9), pace=pace)
    assert offsets(ticks.next_batch()) == [0, 1]
    assert offsets(ticks.next_batch()) == []
    assert ticks.next_awake() is not None
    pace.count = 3
    assert offsets(ticks.next_batch()) == [2]


def test_a_partition_that_is_asked_to_stop_reads_no_more_and_does_not_say_that_it_ended(open_partition: Open) -> None:
    with pytest.raises(StopIteration):
        open_partition(Records([0], until=9), stopping=True).next_batch()


class Telemetry(Records):
    """A reader of requests a second apart, with holes where `gone`; sampled as told."""

    def __init__(self, count: int, gone: range = range(0)) -> None:
        super().__init__([], until=count)
        self.offsets = [offset for offset in range(count) if offset not in gone]

    def read(self, next_offset: int, limit: int) -> RawBatch | None:
        chosen = [offset for offset in self.offsets if offset >= next_offset][:limit]
        if not chosen:
            return None
        data = {"service": "checkout", "route": "/", "status": 200, "duration_ms": 1.0}
        values: list[bytes | None] = [
            cloud_event("request.completed", data, id=f"r{o}", time=to_text(START + o * SECOND)) for o in chosen
        ]
        return RawBatch("orders", 0, chosen, [START // 1000] * len(chosen), [None] * len(chosen), values)

    def behind(self, next_offset: int) -> int:
        return len(self.offsets) - next_offset


class Told:
    """Rates by offset, as decided before."""

    def __init__(self, rates: dict[int, int]) -> None:
        self.rates = rates
        self.asked: list[tuple[int, int]] = []

    def one_in(self, next_offset: int, behind: int, current: int) -> int:
        self.asked.append((next_offset, behind))
        return [rate for offset, rate in sorted({0: 1, **self.rates}.items()) if offset <= next_offset][-1]

    def next_change(self, next_offset: int) -> int | None:
        return min((offset for offset in self.rates if offset > next_offset), default=None)


def counted(ticks: PartitionTicks) -> tuple[dict[int, int], list[Event]]:
    """Read to the end; return the count of each pane, and what was released."""
    counts: dict[int, int] = {}
    events: list[Event] = []
    while not ticks._ended:
        items = ticks.next_batch()
        events += released(items)
        for item in items:
            for frame in item.frames["telemetry"]:
                for partial in frame.partials:
                    counts[partial.start] = counts.get(partial.start, 0) + partial.count
    return counts, events


@pytest.mark.parametrize("batch", [7, 1_000])
@pytest.mark.parametrize("gone", [range(0), range(150, 350), range(190, 200), range(200, 210)])
def test_sampling_decided_before_is_repeated_at_its_offset(open_partition: Open, batch: int, gone: range) -> None:
    told = Told({200: 10, 400: 1})
    counts, events = counted(open_partition(Telemetry(600, gone), batch=batch, sampling=told))
    assert [(event.type, event.data["next_offset"], event.data["one_in"]) for event in events] == [
        ("sampling", 200, 10),
        ("sampling", 400, 1),
    ]
    assert (counts, events) == counted(open_partition(Telemetry(600, gone), batch=50, sampling=Told({200: 10, 400: 1})))
    assert told.asked[0] == (0, 600 - len(gone))
    panes = range(START // MINUTE * MINUTE, START + 600 * SECOND, MINUTE)
    everything, _ = counted(open_partition(Telemetry(600, gone), batch=batch))
    whole = [pane for pane in panes if pane + MINUTE <= START + 200 * SECOND or pane > START + 400 * SECOND]
    assert len(whole) >= 5
    assert {pane: counts.get(pane, 0) for pane in whole} == {pane: everything.get(pane, 0) for pane in whole}


def test_an_idle_time_before_a_hole_is_repeated_at_its_offset(open_partition: Open) -> None:
    reader = Telemetry(100, gone=range(40, 60))
    reader.idle = {50: START + 1_000 * SECOND}
    _, events = counted(open_partition(reader, batch=1_000))
    assert events[0].data["next_offset"] == 50
    late = [event.data["offset"] for event in events if event.type == "late"]
    assert late == list(range(60, 100))


def test_how_many_records_were_shed_is_told_with_the_channels_counts(open_partition: Open) -> None:
    ticks = open_partition(Telemetry(500), batch=500, sampling=Told({0: 10}))
    (item,) = ticks.next_batch()
    (stats,) = item.releases[0][1].stats
    assert stats.records == 500
    assert stats.shed == 500 - stats.accepted > 400


def test_nothing_is_read_while_too_much_waits_to_be_released(open_partition: Open) -> None:
    full = [True, True, False, True]
    ticks = open_partition(Records([0, 1, 2, 3], until=60), is_full=lambda: full.pop(0) if full else False)
    assert [offsets(ticks.next_batch()) for _ in range(2)] == [[], []]
    assert ticks.next_awake() is not None
    assert [offsets(ticks.next_batch()) for _ in range(3)] == [[0, 1, 2], [], [3]]


CONTROL = Decoder(load_contracts(BUILT_IN), control_topics={"flags"})


class Flags(Live):
    """A reader of flags at given seconds, live; with `idle`, of a recording of them."""

    def read(self, next_offset: int, limit: int) -> RawBatch | None:  # type: ignore[override]
        chosen = self.seconds[next_offset : next_offset + limit]
        if not chosen and self.idle:
            return None
        data = {"scope": "*", "mode": "observe-only", "set_by": "on-call", "reason": "drill"}
        values: list[bytes | None] = [
            cloud_event("flag.set", data, id=str(second), time=to_text(START + second * SECOND)) for second in chosen
        ]
        offsets = list(range(next_offset, next_offset + len(chosen)))
        return RawBatch("flags", 0, offsets, [0] * len(chosen), [None] * len(chosen), values)


@pytest.fixture
def open_control(tmp_path: Path) -> Callable[..., tuple[PartitionTicks, AlignmentBoard]]:
    def opened(reader: Reader, *, follow: bool) -> tuple[PartitionTicks, AlignmentBoard]:
        channels = ["flags/0", "orders/0"]
        AlignmentBoard.create(tmp_path / "board", channels)
        board = AlignmentBoard(tmp_path / "board", channels)
        settings = SourceSettings(
            3, DAY, timedelta(0), EPOCH, {"telemetry": 1}, 2, {}, control_receivers={"case": 2}, follow=follow
        )
        channel = ControlChannel("flags", 0, CONTROL)
        return PartitionTicks(settings, channel, reader, board, lambda: False, None), board

    return opened


def effective(items: list[StageItem]) -> list[list[int]]:
    """Return the seconds at which flags take effect, by key group of the case stage."""
    (item,) = items
    return [[(event.at - START) // SECOND for event in frame.events] for frame in item.frames["case"]]


def test_a_live_control_partition_follows_the_slowest_and_holds_nobody(open_control: Callable[..., Any]) -> None:
    live = Flags([])
    ticks, board = open_control(live, follow=True)
    assert ticks.next_batch() == []
    assert board.slowest() == TIME_MIN, "the orders have not spoken"
    board.tell("orders/0", START + 30 * SECOND)
    (item,) = ticks.next_batch()
    assert {frame.watermark for frame in item.frames["case"]} == {START + 30 * SECOND}
    assert board.slowest() == START + 30 * SECOND
    live.seconds = [2, 40]
    items = ticks.next_batch()
    assert effective(items) == [[30, 40], [30, 40]]
    promised, *noted = sorted(released(items), key=lambda event: event.type != "idle")
    assert (promised.data["next_offset"], promised.data["watermark"]) == (0, START + 30 * SECOND)
    assert [event.at - START for event in noted] == [30 * SECOND, 40 * SECOND]


def test_a_control_partition_follows_an_idle_partition_by_what_that_promised(open_control: Callable[..., Any]) -> None:
    ticks, board = open_control(Flags([]), follow=True)
    board.leave("orders/0", START + 50 * SECOND)
    (item,) = ticks.next_batch()
    assert {frame.watermark for frame in item.frames["case"]} == {START + 50 * SECOND}


def test_a_recorded_control_partition_promises_what_it_promised_live(open_control: Callable[..., Any]) -> None:
    recorded = Flags([2, 3, 40])
    recorded.idle = {0: START + 30 * SECOND, 2: START + 35 * SECOND}
    recorded.until = START + 60 * SECOND
    ticks, board = open_control(recorded, follow=False)
    board.tell("orders/0", START)
    first, second, end = ticks.next_batch(), ticks.next_batch(), ticks.next_batch()
    assert (effective(first), effective(second)) == ([[30, 30], [30, 30]], [[40], [40]])
    assert {frame.watermark for frame in first[0].frames["case"]} == {START + 35 * SECOND}
    assert ended(end) == {True}
    assert {frame.watermark for frame in end[0].frames["case"]} == {START + 60 * SECOND}
