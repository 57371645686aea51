"""The order of processing, timers, duplicates and durability of a key group."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from config.clock import TIME_MIN
from config.errors import RecoveryError
from config.events import BROADCAST, Event
from operators.frame import Frame
from operators.keyed import STALE_TIMERS_MAX, KeyedGroup
from operators.logic import Context


class Tally(msgspec.Struct, array_like=True):
    seen: list[str] = []
    total: int = 0


class TallyLogic:
    """Records what it is called with; `data` of an event is a list of commands."""

    name = "tally"
    state_type = Tally
    state_version = 2
    dedupe_ttl = 0

    def new_state(self, key: str) -> Tally:
        return Tally()

    def on_event(self, key: str, state: Tally, event: Event, context: Context) -> None:
        state.seen.append(event.id)
        for command, *arguments in event.data or []:
            if command == "timer":
                context.set_timer(*arguments)
            elif command == "cancel":
                context.cancel_timer(*arguments)
            elif command == "forget":
                context.forget()
        self._emit(key, f"{event.id} after {len(state.seen)}", context)

    def on_timer(self, key: str, state: Tally, timer: str, context: Context) -> None:
        state.seen.append(timer)
        self._emit(key, f"{timer} after {len(state.seen)}", context)

    def on_partial(self, key: str, state: Tally, partial: Any, context: Context) -> None:
        state.total += partial.amount
        context.set_timer("close", partial.at)

    def migrate(self, version: int, state: Any) -> Tally:
        if version == 1:
            return Tally(seen=state[0])
        raise RecoveryError(f"version {version}")

    @staticmethod
    def _emit(key: str, text: str, context: Context) -> None:
        context.emit("next", Event(context.now, text, key, "tally", None))


class Partial(msgspec.Struct):
    key: str
    at: int
    amount: int


def event(at: int, identity: str, key: str = "k", *commands: tuple[Any, ...], channel: str = "a") -> Event:
    return Event(at, identity, key, "t", [list(c) for c in commands], channel)


def ids(emitted: list[tuple[str, Event]]) -> list[str]:
    return [e.id for _, e in emitted]


@pytest.fixture
def group() -> KeyedGroup[Tally]:
    return KeyedGroup(TallyLogic(), ["a", "b"])


def test_nothing_is_processed_before_every_channel_has_spoken(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 100, [event(1, "x")]))
    assert group.advance() == []
    assert group.open_events == 1


def test_an_event_at_the_watermark_waits_for_its_equals(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 10, [event(10, "y")]))
    group.receive(Frame(0, "b", 10, []))
    assert group.advance() == []
    group.receive(Frame(0, "b", 11, [event(10, "x", channel="b")]))
    group.receive(Frame(0, "a", 11))
    assert ids(group.advance()) == ["x after 1", "y after 2"]


def test_channels_are_merged_by_time_then_id(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 20, [event(5, "c"), event(3, "z")]))
    group.receive(Frame(0, "b", 20, [event(5, "b", channel="b"), event(4, "m", channel="b")]))
    assert ids(group.advance()) == ["z after 1", "m after 2", "b after 3", "c after 4"]


def test_a_timer_fires_before_events_of_its_time(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 20, [event(1, "x", "k", ("timer", "t", 5)), event(5, "a")]))
    group.receive(Frame(0, "b", 20))
    assert ids(group.advance()) == ["x after 1", "t after 2", "a after 3"]


def test_a_timer_at_the_watermark_does_not_fire(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 5, [event(1, "x", "k", ("timer", "t", 5))]))
    group.receive(Frame(0, "b", 5))
    assert ids(group.advance()) == ["x after 1"]
    assert group.open_timers == 1


def test_a_timer_in_the_past_fires_at_once_with_the_time_unchanged(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 20, [event(8, "x", "k", ("timer", "t", 2)), event(8, "y")]))
    group.receive(Frame(0, "b", 20))
    emitted = group.advance()
    assert ids(emitted) == ["x after 1", "t after 2", "y after 3"]
    assert emitted[1][1].at == 8


def test_one_finding_for_two_keys_of_a_group_is_two_events(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 20, [event(1, "x", "l"), event(1, "x", "k"), event(1, "x", "k")]))
    group.receive(Frame(0, "b", 20))
    assert [(e.key, e.id) for _, e in group.advance()] == [("k", "x after 1"), ("k", "x after 2"), ("l", "x after 1")]


def test_setting_a_timer_again_moves_it(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 20, [event(1, "x", "k", ("timer", "t", 4)), event(2, "y", "k", ("timer", "t", 9))]))
    group.receive(Frame(0, "b", 20))
    assert ids(group.advance()) == ["x after 1", "y after 2", "t after 3"]


def test_a_cancelled_timer_stays_silent(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 20, [event(1, "x", "k", ("timer", "t", 4)), event(2, "y", "k", ("cancel", "t"))]))
    group.receive(Frame(0, "b", 20))
    assert ids(group.advance()) == ["x after 1", "y after 2"]
    assert group.open_timers == 0


def test_forgetting_a_key_drops_state_and_timers(group: KeyedGroup[Tally]) -> None:
    commands = (("timer", "t", 9), ("forget",))
    group.receive(Frame(0, "a", 20, [event(1, "x", "k", *commands), event(2, "y")]))
    group.receive(Frame(0, "b", 20))
    assert ids(group.advance()) == ["x after 1", "y after 1"]
    assert (group.keys, group.open_timers) == (1, 0)


def test_replaced_timers_do_not_pile_up(group: KeyedGroup[Tally]) -> None:
    many = 5 * STALE_TIMERS_MAX
    events = [event(at, f"{at:06}", "k", ("timer", "t", many + at)) for at in range(many)]
    group.receive(Frame(0, "a", many, events))
    group.receive(Frame(0, "b", many))
    group.advance()
    assert len(group._timers) <= 2 + STALE_TIMERS_MAX
    assert group.open_timers == 1


def test_a_duplicate_id_is_dropped_within_its_ttl_and_not_after() -> None:
    logic = TallyLogic()
    logic.dedupe_ttl = 10
    group = KeyedGroup(logic, ["a"])
    group.receive(Frame(0, "a", 100, [event(1, "x"), event(3, "x"), event(40, "x"), event(41, "x", "other")]))
    assert ids(group.advance()) == ["x after 1", "x after 2", "x after 1"]
    state = group.state_of("k")
    assert state is not None
    assert len(group._entries["k"].seen) == 1


def test_a_broadcast_event_is_state_that_every_key_can_read() -> None:
    class Reader(TallyLogic):
        def on_event(self, key: str, state: Tally, event: Event, context: Context) -> None:
            if key == BROADCAST:
                state.total = event.seq
            else:
                self._emit(key, f"sees {context.shared().total}", context)

    group = KeyedGroup(Reader(), ["a"])
    signal = Event(5, "s", BROADCAST, "signal", None, "a", 7)
    group.receive(Frame(0, "a", 100, [event(9, "late"), signal, event(1, "early")]))
    assert ids(group.advance()) == ["sees 0", "sees 7"]


def test_partials_merge_at_once_and_close_in_order(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 4, partials=[Partial("k", 6, 2)]))
    group.receive(Frame(0, "b", 20, partials=[Partial("k", 6, 40)]))
    assert group.advance() == []
    group.receive(Frame(0, "a", 20))
    assert ids(group.advance()) == ["close after 1"]
    state = group.state_of("k")
    assert state is not None
    assert state.total == 42


def test_emitting_at_another_time_is_refused() -> None:
    class Wrong(TallyLogic):
        def on_event(self, key: str, state: Tally, event: Event, context: Context) -> None:
            context.emit("next", Event(event.at + 1, "x", key, "t", None))

    group = KeyedGroup(Wrong(), ["a"])
    group.receive(Frame(0, "a", 10, [event(1, "x")]))
    with pytest.raises(ValueError, match="emits t at 2 while it is 1"):
        group.advance()


def test_an_undeclared_channel_is_refused(group: KeyedGroup[Tally]) -> None:
    with pytest.raises(KeyError):
        group.receive(Frame(0, "c", 10))


def test_a_watermark_never_falls(group: KeyedGroup[Tally]) -> None:
    for watermark in (50, 20):
        group.receive(Frame(0, "a", watermark))
    group.receive(Frame(0, "b", 40))
    group.advance()
    assert group.cut == 40


def test_ended_means_every_channel_and_is_told_anew_after_a_restore(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 9, ended=True))
    assert not group.ended
    group.receive(Frame(0, "b", 9, ended=True))
    assert group.ended
    again = KeyedGroup(TallyLogic(), ["a", "b"])
    again.restore([group.whole()])
    assert not again.ended


def test_a_restored_group_goes_on_where_it_was(group: KeyedGroup[Tally]) -> None:
    deltas = []
    group.receive(Frame(0, "a", 5, [event(1, "x", "k", ("timer", "t", 9)), event(7, "y")], [Partial("p", 8, 1)]))
    group.receive(Frame(0, "b", 4))
    group.advance()
    deltas.append(group.delta())
    group.receive(Frame(0, "b", 6, [event(6, "w", "k", ("forget",), channel="b")]))
    group.advance()
    deltas.append(group.delta())
    other = KeyedGroup(TallyLogic(), ["a", "b"])
    other.restore(deltas)
    assert (other.cut, other.open_events, other.open_timers) == (group.cut, 2, 2)
    for each in (group, other):
        each.receive(Frame(0, "a", 30))
        each.receive(Frame(0, "b", 30))
    assert group.advance() == other.advance()
    assert group.whole() == other.whole()


def test_what_was_processed_after_it_was_saved_is_not_processed_again(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 9, [event(5, "x"), event(6, "y")]))
    deltas = [group.delta()]
    group.receive(Frame(0, "b", 6))
    assert ids(group.advance()) == ["x after 1"]
    deltas.append(group.delta())
    other = KeyedGroup(TallyLogic(), ["a", "b"])
    other.restore(deltas)
    other.receive(Frame(0, "b", 9))
    assert ids(other.advance()) == ["y after 2"]


def test_a_key_forgotten_since_stays_forgotten(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 9, [event(1, "x"), event(7, "y", "k", ("forget",))]))
    group.receive(Frame(0, "b", 5))
    group.advance()
    deltas = [group.delta()]
    group.receive(Frame(0, "b", 9))
    group.advance()
    deltas.append(group.delta())
    other = KeyedGroup(TallyLogic(), ["a", "b"])
    other.restore(deltas)
    assert other.keys == 0


def test_an_id_is_remembered_for_just_its_ttl() -> None:
    logic = TallyLogic()
    logic.dedupe_ttl = 10
    group = KeyedGroup(logic, ["a"])
    group.receive(Frame(0, "a", 100, [event(1, "x"), event(11, "x"), event(12, "x")]))
    assert [e.at for _, e in group.advance()] == [1, 12]


def test_a_delta_holds_only_what_changed(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 50, [event(at, str(at), f"key-{at}") for at in range(40)]))
    group.receive(Frame(0, "b", 50))
    group.advance()
    assert len(group.delta()) > 500
    assert len(group.delta()) < 60


def test_an_older_state_is_migrated(group: KeyedGroup[Tally]) -> None:
    class Old(TallyLogic):
        state_version = 1

    old = KeyedGroup(Old(), ["a", "b"])
    old.receive(Frame(0, "a", 5, [event(1, "x")]))
    old.receive(Frame(0, "b", 5))
    old.advance()
    group.restore([old.whole()])
    assert group.state_of("k") == Tally(["x"], 0)


def test_a_newer_state_is_refused() -> None:
    class Newer(TallyLogic):
        state_version = 3

    newer = KeyedGroup(Newer(), ["a"])
    newer.receive(Frame(0, "a", 5, [event(1, "x")]))
    newer.advance()
    with pytest.raises(RecoveryError, match="version 3, this program knows 2"):
        KeyedGroup(TallyLogic(), ["a"]).restore([newer.whole()])


def test_garbage_in_place_of_a_delta_is_refused(group: KeyedGroup[Tally]) -> None:
    with pytest.raises(RecoveryError, match="stage tally: recovered state cannot be read"):
        group.restore([b"\xff\x00garbage"])


def test_a_channel_added_since_holds_the_watermark(group: KeyedGroup[Tally]) -> None:
    group.receive(Frame(0, "a", 9))
    group.receive(Frame(0, "b", 9))
    group.advance()
    wider = KeyedGroup(TallyLogic(), ["a", "b", "c"])
    wider.restore([group.whole()])
    wider.receive(Frame(0, "a", 20, [event(12, "x")]))
    wider.receive(Frame(0, "b", 20))
    assert wider.advance() == []
    assert wider._watermarks.minimum == TIME_MIN


def test_a_channel_that_breaks_its_promise_is_refused_before_anything_is_lost() -> None:
    group = KeyedGroup(TallyLogic(), ["a"])
    group.receive(Frame(0, "a", 10))
    group.advance()
    with pytest.raises(ValueError, match="a brings 9 after 10 was promised"):
        group.receive(Frame(0, "a", 11, [event(9, "x")]))
