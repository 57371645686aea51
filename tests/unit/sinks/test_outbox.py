"""The outbox of one part, apart from Bytewax and from the store."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from config.errors import RecoveryError
from config.events import Event
from sinks.chain import GENESIS, Entry, canonical
from sinks.outbox import ENTRY_BYTES, Outbox, OutboxSink, Release, part_names, part_of
from sinks.outlets import StoreOutlet
from sinks.part_writer import ChannelStats

SENDERS = frozenset({"a", "b"})


class Ledger:
    """Remembers what was released."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.stats: list[ChannelStats] = []
        self.done = 0
        self.opened: tuple[str, int, list[bytes]] | None = None

    def open_part(self, part: str, base_seq: int, heads: list[bytes]) -> Ledger:
        self.opened = (part, base_seq, heads)
        return self

    def release(self, entries: Sequence[Entry], stats: Sequence[ChannelStats]) -> bool:
        self.entries += [entry for entry in entries if entry.seq > len(self.entries)]
        self.stats += stats
        return True

    def mark_done(self) -> None:
        self.done += 1

    @property
    def ids(self) -> list[str]:
        return [entry.id for entry in self.entries]


def outbox(ledger: Ledger, state: bytes | None = None) -> Outbox:
    return Outbox("part-000", SENDERS, ledger.open_part, state)


def said(*ids: str, sender: str = "a") -> Release:
    return Release(sender, [Event(1, id_, "key", "finding", {"b": 1, "a": 2}) for id_ in ids])


def end() -> list[Release]:
    return [Release(sender, ended=True) for sender in sorted(SENDERS)]


def test_nothing_leaves_before_it_is_durable() -> None:
    ledger = Ledger()
    box = outbox(ledger)
    box.write([said("x")])
    _, durable = box.snapshot()
    assert ledger.ids == []
    durable()
    assert ledger.ids == ["x"]


def test_what_was_written_after_the_snapshot_waits_for_the_next() -> None:
    ledger = Ledger()
    box = outbox(ledger)
    box.write([said("x")])
    _, durable = box.snapshot()
    box.write([said("y")])
    durable()
    assert ledger.ids == ["x"]
    box.snapshot()[1]()
    assert [(entry.seq, entry.id) for entry in ledger.entries] == [(1, "x"), (2, "y")]


def test_callbacks_of_two_snapshots_may_come_together() -> None:
    ledger = Ledger()
    box = outbox(ledger)
    box.write([said("x")])
    first = box.snapshot()[1]
    box.write([said("y")])
    second = box.snapshot()[1]
    second()
    first()
    assert ledger.ids == ["x", "y"]


def test_recovered_entries_are_released_when_the_part_is_opened() -> None:
    box = outbox(Ledger())
    box.write([said("x", "y")])
    state, _ = box.snapshot()
    ledger = Ledger()
    resumed = outbox(ledger, state)
    assert ledger.ids == ["x", "y"]
    assert ledger.opened == ("part-000", 0, [GENESIS, *(entry.chain for entry in ledger.entries)])
    assert resumed.seq == 2


def test_numbers_and_chain_go_on_after_a_resume() -> None:
    whole, cut = Ledger(), Ledger()
    box = outbox(whole)
    for id_ in ("x", "y"):
        box.write([said(id_)])
        box.snapshot()[1]()
    first = outbox(cut)
    first.write([said("x")])
    state, _ = first.snapshot()
    second = outbox(cut, state)
    second.write([said("y")])
    second.snapshot()[1]()
    assert cut.entries == whole.entries


def test_snapshot_is_the_same_bytes_while_nothing_changes() -> None:
    box = outbox(Ledger())
    box.write([said("x")])
    state, durable = box.snapshot()
    assert box.snapshot()[0] is state
    durable()
    assert len(box.snapshot()[0]) < len(state)


def test_snapshot_holds_what_was_written_since_the_last_one() -> None:
    box = outbox(Ledger())
    box.write([said("x")])
    box.snapshot()
    box.write([said("y")])
    ledger = Ledger()
    outbox(ledger, box.snapshot()[0])
    assert ledger.ids == ["x", "y"]
    box.write([Release("a", stats=[ChannelStats("t/0", 1, 0)])])
    outbox(ledger, box.snapshot()[0])
    assert len(ledger.stats) == 1


def test_failed_release_is_tried_again_with_the_next_one() -> None:
    class Failing(Ledger):
        fails = True

        def release(self, entries: Sequence[Entry], stats: Sequence[ChannelStats]) -> bool:
            if self.fails and entries:
                raise OSError
            return super().release(entries, stats)

    ledger = Failing()
    box = outbox(ledger)
    box.write([said("x")])
    with pytest.raises(OSError):  # noqa: PT011
        box.snapshot()[1]()
    ledger.fails = False
    box.snapshot()[1]()
    assert ledger.ids == ["x"]


def test_statistics_are_released_with_their_snapshot_the_last_of_each_channel() -> None:
    ledger = Ledger()
    box = outbox(ledger)
    old, new, later = (ChannelStats("t/0", offset, 0) for offset in (1, 2, 3))
    box.write([Release("a", stats=[old]), Release("a", stats=[new])])
    state, durable = box.snapshot()
    box.write([Release("a", stats=[later])])
    durable()
    assert ledger.stats == [new]
    box.snapshot()[1]()
    assert ledger.stats == [new, later]
    resumed = Ledger()
    outbox(resumed, state)
    assert resumed.stats == [new]


def test_part_is_done_once_when_all_senders_ended_and_nothing_waits() -> None:
    ledger = Ledger()
    box = outbox(ledger)
    box.write([said("x"), Release("a", ended=True)])
    box.snapshot()[1]()
    assert ledger.done == 0
    box.write([Release("b", [Event(1, "y", "key", "finding", {})], ended=True)])
    assert ledger.done == 0
    box.snapshot()[1]()
    assert ledger.done == 1
    box.write([Release("b", ended=True)])
    box.snapshot()[1]()
    assert ledger.done == 1


def test_part_is_not_done_while_statistics_wait() -> None:
    ledger = Ledger()
    box = outbox(ledger)
    box.write([Release("a", stats=[ChannelStats("t/0", 1, 0)]), *end()])
    assert ledger.done == 0
    box.snapshot()[1]()
    assert ledger.done == 1


def test_part_with_nothing_to_say_is_done_at_once() -> None:
    ledger = Ledger()
    outbox(ledger).write(end())
    assert ledger.done == 1


def test_end_markers_of_an_earlier_run_do_not_count() -> None:
    box = outbox(Ledger())
    box.write([Release("a", ended=True), said("x", sender="b")])
    state, _ = box.snapshot()
    ledger = Ledger()
    resumed = outbox(ledger, state)
    resumed.write([Release("b", ended=True)])
    assert ledger.done == 0


def test_unknown_sender_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody is not among its senders"):
        outbox(Ledger()).write([Release("nobody", ended=True)])


def test_sender_that_goes_on_after_its_end_is_refused() -> None:
    box = outbox(Ledger())
    box.write([Release("a", ended=True)])
    with pytest.raises(ValueError, match="a goes on after it has ended"):
        box.write([said("x")])


def test_body_is_canonical() -> None:
    ledger = Ledger()
    box = outbox(ledger)
    box.write([said("x")])
    box.snapshot()[1]()
    assert ledger.entries[0].body == b'{"a":2,"b":1}'


def test_state_of_another_version_is_refused() -> None:
    with pytest.raises(RecoveryError, match="part-000: its state has version 99, this program reads 1"):
        outbox(Ledger(), msgspec.msgpack.encode([99, "whatever"]))


@pytest.mark.parametrize(
    "state", [b"", b"\xc1", msgspec.msgpack.encode({}), msgspec.msgpack.encode([1]), msgspec.msgpack.encode([])]
)
def test_damaged_state_is_refused(state: bytes) -> None:
    with pytest.raises(RecoveryError, match=r"part-000: its .*state is damaged"):
        outbox(Ledger(), state)


def test_every_part_name_is_its_own_route() -> None:
    sink = OutboxSink(StoreOutlet("sqlite:///x.db"), part_names(12), SENDERS)
    assert [sink.list_parts()[sink.part_fn(name)] for name in part_names(12)] == part_names(12)
    with pytest.raises(ValueError, match="part-999"):
        sink.part_fn("part-999")


def test_key_groups_spread_over_the_parts() -> None:
    names = part_names(3)
    assert [part_of(group, names) for group in range(4)] == ["part-000", "part-001", "part-002", "part-000"]


def test_an_outbox_tells_how_much_it_holds_until_it_is_released() -> None:
    told: list[int] = []
    box = Outbox("part-000", SENDERS, Ledger().open_part, None, None, told.append)
    assert set(told) == {0}
    told.clear()
    box.write([said("x")])
    box.write([said("y", "z")])
    one = len(canonical({"b": 1, "a": 2})) + ENTRY_BYTES
    assert told == [one, 3 * one]
    state, durable = box.snapshot()
    box.write([said("w")])
    durable()
    assert told[-1] == one
    told.clear()
    Outbox("part-000", SENDERS, Busy().open_part, state, None, told.append)
    assert told == [3 * one]  # recovered, and not released before the store is there


class Busy(Ledger):
    """Takes nothing for now."""

    def release(self, entries: Sequence[Entry], stats: Sequence[ChannelStats]) -> bool:
        return False
