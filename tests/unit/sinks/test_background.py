"""Releasing in a thread: asked again and again, and an outbox that waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.errors import SequenceError
from config.events import Event
from sinks import outbox as outboxes
from sinks.background import BackgroundWriter
from sinks.chain import GENESIS, Entry
from sinks.outbox import Outbox, Release
from sinks.outlets import topic_part
from sinks.store import Store


class Slow:
    """Releases as soon as it may."""

    def __init__(self) -> None:
        self.may_open, self.may = threading.Event(), threading.Event()
        self.may_open.set()
        self.seq = 0
        self.calls: list[int] = []
        self.fails: Exception | None = None

    def open(self, base_seq: int, heads: Sequence[bytes]) -> None:
        assert self.may_open.wait(10)
        if self.fails is not None:
            raise self.fails

    def release(self, entries: Sequence[Entry]) -> None:
        assert self.may.wait(10)
        self.calls.append(len(entries))
        self.seq = entries[-1].seq


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


def settled(box: Outbox) -> None:
    deadline = time.monotonic() + 10
    while not box.advance():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def said(*ids: str, ended: bool = False) -> Release:
    return Release("a", [Event(1, id_, "key", "finding", {}) for id_ in ids], ended)


class Boxed:
    """An outbox over a slow releaser."""

    def __init__(self, pool: ThreadPoolExecutor, slow: Slow, state: bytes | None = None) -> None:
        self.done: list[bool] = []

        def open_part(part: str, base_seq: int, heads: Sequence[bytes]) -> BackgroundWriter:
            self.writer = BackgroundWriter(pool, slow, base_seq, heads, lambda: self.done.append(True))
            return self.writer

        self.box = Outbox("part-000", frozenset("a"), open_part, state)


def test_outbox_keeps_what_is_being_released_until_that_is_certain(pool: ThreadPoolExecutor) -> None:
    slow = Slow()
    boxed = Boxed(pool, slow)
    box = boxed.box
    settled(box)
    box.write([said("x", "y")])
    state, durable = box.snapshot()
    durable()
    assert not box.advance()
    assert boxed.writer.busy
    assert box.snapshot()[0] == state
    slow.may.set()
    settled(box)
    assert not boxed.writer.busy
    assert slow.calls == [2]
    assert len(box.snapshot()[0]) < len(state)


def test_what_becomes_durable_meanwhile_goes_with_the_next_release(pool: ThreadPoolExecutor) -> None:
    slow = Slow()
    box = Boxed(pool, slow).box
    settled(box)
    for id_ in ("x", "y", "z"):
        box.write([said(id_)])
        box.snapshot()[1]()
    slow.may.set()
    settled(box)
    assert slow.seq == 3
    assert slow.calls == [1, 2]


def test_what_is_certain_is_forgotten_though_more_is_always_due(pool: ThreadPoolExecutor) -> None:
    slow = Slow()
    slow.may.set()
    box = Boxed(pool, slow).box
    settled(box)
    for number in range(50):
        box.write([said(str(number))])
        box.snapshot()[1]()
        time.sleep(0.002)
        box.advance()
    assert max(slow.calls) < 25
    settled(box)
    assert sum(slow.calls) == 50


def test_part_is_done_only_when_all_is_certain(pool: ThreadPoolExecutor) -> None:
    slow = Slow()
    slow.may_open.clear()
    boxed = Boxed(pool, slow)
    boxed.box.write([said(ended=True)])
    assert boxed.done == []
    slow.may_open.set()
    settled(boxed.box)
    assert boxed.done == [True]


def test_recovered_entries_are_released_without_being_asked_for(pool: ThreadPoolExecutor) -> None:
    slow = Slow()
    first = Boxed(pool, slow).box
    settled(first)
    first.write([said("x")])
    state, _ = first.snapshot()
    slow.may.set()
    resumed = Boxed(pool, slow, state)
    settled(resumed.box)
    assert slow.calls == [1]


def test_what_a_release_fails_of_comes_to_who_asks(pool: ThreadPoolExecutor) -> None:
    slow = Slow()
    slow.fails = SequenceError("TIME TRAVEL")
    with pytest.raises(SequenceError, match="TIME TRAVEL"):
        settled(Boxed(pool, slow).box)


def test_who_writes_too_much_waits_for_the_release_under_way(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outboxes, "HELD_MAX", 3)
    slow = Slow()
    box = Boxed(pool, slow).box
    settled(box)
    box.write([said("1", "2", "3")])
    box.snapshot()[1]()
    timer = threading.Timer(0.2, slow.may.set)
    timer.start()
    began = time.monotonic()
    box.write([said("4")])
    assert time.monotonic() - began >= 0.15
    assert slow.seq == 3
    timer.join()


def test_store_waits_for_parts_that_release_elsewhere(tmp_path: Path) -> None:
    beside = [topic_part("part-000")]
    with Store.open(f"sqlite:///{tmp_path}/store.db", create=True) as store:
        store.begin_run(["part-000"], "job", beside)
        store.open_part("part-000", 0, [GENESIS]).mark_done()
        assert not store.all_done()
        store.open_beside(beside[0]).mark_done()
        assert store.all_done()
        store.begin_run(["part-000"], "job")
        store.open_part("part-000", 0, [GENESIS]).mark_done()
        assert store.all_done()
        store.begin_run(["part-000"], "job", beside)
        assert not store.all_done()
