"""The effect ledger: taken in once, fenced by generation, written together, in each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from config.errors import FencedError, StoreError
from sinks.chain import GENESIS, link
from sinks.ledger import Ledger
from sinks.ledger_rows import BreakerRow, Reject
from sinks.ledger_schema import actions, effects, metadata, outcomes, rejects, shards
from sinks.ledger_shard import OUTCOME
from sinks.schema import metadata as store_metadata
from sinks.store import Store
from tests.support.ledgers import effect, new, outcome, progress
from tests.support.playbooks import AT
from tests.support.stores import filled

SOURCE = "store/part-000"


@pytest.fixture
def ledger(empty_url: str) -> Iterator[Ledger]:
    with Ledger.open(empty_url, create=True) as made:
        yield made


def rows(ledger: Ledger, *columns: Any) -> list[tuple[Any, ...]]:
    with ledger.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(*columns))]


def taken(ledger: Ledger, *ids: str) -> None:
    position = ledger.position(SOURCE)
    ledger.take_in(SOURCE, position, position + len(ids), [new(action_id) for action_id in ids])


def test_actions_are_taken_in_once_and_in_order(ledger: Ledger) -> None:
    assert ledger.position(SOURCE) == 0
    fresh = ledger.take_in(SOURCE, 0, 3, [new("b"), new("a"), new("b")], [Reject(1, "no action", b"{")])
    assert [action.action_id for action in fresh] == ["b", "a"]
    assert ledger.position(SOURCE) == 3
    assert [action.action_id for action in ledger.take_in(SOURCE, 3, 5, [new("a"), new("c")])] == ["c"]
    assert rows(ledger, actions.c.action_id, actions.c.state, actions.c.open) == [
        (name, "intended", True) for name in "abc"
    ]
    assert rows(ledger, rejects.c.source, rejects.c.position, rejects.c.reason) == [(SOURCE, 1, "no action")]
    assert ledger.position("another") == 0


def test_a_flow_that_was_overtaken_takes_nothing_in(ledger: Ledger) -> None:
    taken(ledger, "a")
    with pytest.raises(FencedError, match="FENCED: store/part-000 was read from 0 on, the ledger has it up to 1"):
        ledger.take_in(SOURCE, 0, 1, [new("b")])
    assert rows(ledger, actions.c.action_id) == [("a",)]


def test_an_answer_that_was_lost_does_not_fence_oneself(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, lost = ledger._take_in, list[int]()

    def commits_and_loses(*arguments: Any) -> Any:
        result = inner(*arguments)
        if not lost:
            lost.append(1)
            arguments[0].commit()
            raise StoreError("the answer was lost")
        return result

    monkeypatch.setattr(ledger, "_take_in", commits_and_loses)
    monkeypatch.setattr(ledger, "_database", ledger._database.__class__(**vars(ledger._database) | TRANSIENT))
    assert [action.action_id for action in ledger.take_in(SOURCE, 0, 1, [new("a")])] == ["a"]
    assert (ledger.position(SOURCE), len(rows(ledger, actions.c.action_id))) == (1, 1)


TRANSIENT = {"is_transient": lambda error: "lost" in str(error)}


def test_what_became_of_actions_is_written_together(ledger: Ledger) -> None:
    taken(ledger, "a", "b")
    writer = ledger.open_shard("s0")
    writer.commit([progress("a"), progress("b", "refused", open=False)], [effect("a")], [outcome("b")])
    writer.commit(
        [progress("a", "settled", open=False, verdict="verified", collateral=False, ended_at=AT)],
        [effect("a", status="done", done_at=AT)],
        [outcome("a"), outcome("a", 2)],
    )
    assert rows(ledger, actions.c.action_id, actions.c.state, actions.c.verdict, actions.c.generation) == [
        ("a", "settled", "verified", 1),
        ("b", "refused", None, 1),
    ]
    assert rows(ledger, effects.c.action_id, effects.c.status, effects.c.done_at) == [("a", "done", AT)]
    assert rows(ledger, outcomes.c.n, outcomes.c.action_id, outcomes.c.seq) == [(1, "b", 1), (2, "a", 1), (3, "a", 2)]


def test_outcomes_are_chained_over_restarts(ledger: Ledger) -> None:
    taken(ledger, "a")
    ledger.open_shard("s0").commit(told=[outcome("a")])
    ledger.open_shard("s0").commit(told=[outcome("a", 2)])
    head = GENESIS
    for n, chain in rows(ledger, outcomes.c.n, outcomes.c.chain):
        told = outcome("a", n)
        head = link(head, "s0", n, OUTCOME, f"a-{n}", told.at, told.key, told.body)
        assert chain == head


def test_a_ledger_of_before_outcomes_were_published_is_brought_to_today(ledger: Ledger) -> None:
    taken(ledger, "a")
    ledger.open_shard("s0").commit(told=[outcome("a")])
    with ledger.begin() as connection:
        connection.execute(sa.text("ALTER TABLE ledger_shards DROP COLUMN published"))
        connection.execute(sa.text("UPDATE ledger_version SET version_num = '0001'"))
    with Ledger.open(ledger.url.render_as_string(hide_password=False)) as upgraded:
        writer = upgraded.open_shard("s0")
        assert (writer.generation, writer.told, writer.published) == (2, 1, 0)
        assert [(entry.seq, entry.id, entry.body) for entry in writer.unpublished(9)] == [(1, "a-1", b'{"seq":1}')]
        writer.note_published(1)
        assert (upgraded.open_shard("s0").published, writer.unpublished(9)) == (1, [])


def test_a_writer_of_an_older_generation_is_refused_and_writes_nothing(ledger: Ledger) -> None:
    taken(ledger, "a")
    old = ledger.open_shard("s0")
    newer, other = ledger.open_shard("s0"), ledger.open_shard("s1")
    assert (old.generation, newer.generation, other.generation) == (1, 2, 1)
    with pytest.raises(FencedError, match="FENCED: shard s0 was opened as generation 1, the ledger is at 2"):
        old.commit([progress("a")], [effect("a")], [outcome("a")], [BreakerRow("crm/x", "open", 1, b"")])
    assert rows(ledger, actions.c.state) == [("intended",)]
    assert rows(ledger, effects.c.step) == rows(ledger, outcomes.c.n) == []
    newer.commit([progress("a")])
    newer.commit([progress("a")])


def test_open_actions_are_those_with_something_left(ledger: Ledger) -> None:
    ledger.take_in(SOURCE, 0, 3, [new("late", at=AT + 1), new("early"), new("done"), new("other", "s1")])
    writer = ledger.open_shard("s0")
    writer.commit([progress("done", "settled", open=False), progress("late", saga=b"x")])
    assert [(one.action_id, one.saga) for one in writer.open_actions()] == [("early", b""), ("late", b"x")]
    assert [one.action_id for one in writer.actions(["done", "other", "none"])] == ["done"]


def test_unbegun_is_what_was_taken_in_and_nothing_more(ledger: Ledger) -> None:
    all_of_them = [new("fresh"), new("begun"), new("over"), new("other", "s1")]
    ledger.take_in(SOURCE, 0, 4, all_of_them)
    writer = ledger.open_shard("s0")
    writer.commit([progress("begun", saga=b"x"), progress("over", "settled", open=False)])
    assert [one.action_id for one in writer.unbegun([*all_of_them, new("unknown")])] == ["fresh"]
    assert writer.unbegun([]) == []


def test_breakers_are_kept_by_shard_and_told_to_others(ledger: Ledger) -> None:
    one, two = ledger.open_shard("s0"), ledger.open_shard("s1")
    one.commit(breaker_rows=[BreakerRow("crm/a", "open", 7, b"x"), BreakerRow("crm/b", "closed", 0, b"y")])
    one.commit(breaker_rows=[BreakerRow("crm/a", "open", 9, b"z")])
    assert one.breakers() == [BreakerRow("crm/a", "open", 9, b"z"), BreakerRow("crm/b", "closed", 0, b"y")]
    assert two.breakers() == []
    assert two.hear(9) == ([], [BreakerRow("crm/a", "open", 9, b"z")])
    assert one.hear(9) == ([], [])


def test_wishes_are_heeded_once(ledger: Ledger) -> None:
    taken(ledger, "a", "b")
    writer = ledger.open_shard("s0")
    assert ledger.wish_undone(["a", "a", "b"], "rolled back", AT) == 2
    assert ledger.wish_undone(["a"], "again", AT) == 0
    assert writer.hear(9) == ([("a", "rolled back"), ("b", "rolled back")], [])
    assert writer.hear(1)[0] == [("a", "rolled back")]
    assert ledger.open_shard("s1").hear(9) == ([], [])
    writer.commit(taken=["a"])
    assert writer.hear(9) == ([("b", "rolled back")], [])
    assert ledger.wish_undone(["a"], "once more", AT) == 1


def test_it_is_remembered_since_when_actions_are_observed(ledger: Ledger) -> None:
    assert ledger.observed_since(AT) == AT
    assert ledger.observed_since(AT + 5) == AT


def test_migrations_make_the_tables_that_the_code_knows(ledger: Ledger) -> None:
    with ledger.read() as connection:
        options = {"compare_type": True, "version_table": "ledger_version"}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_a_ledger_lies_beside_a_store_and_both_are_opened_again(empty_url: str) -> None:
    filled(empty_url)
    with pytest.raises(StoreError, match="no ledger of Forestall"):
        Ledger.open(empty_url)
    with Ledger.open(empty_url, create=True) as ledger, Store.open(empty_url) as store:
        taken(ledger, "a")
        assert store.counts()["action"] == 1
        assert {table.name for table in metadata.sorted_tables} & set(store_metadata.tables) == set()
    with Ledger.open(empty_url) as again:
        assert rows(again, actions.c.action_id) == [("a",)]
        with again.begin() as connection:
            connection.execute(sa.text("UPDATE ledger_version SET version_num = '9000'"))
    with pytest.raises(StoreError, match=r"Ledger .* has version 9000"):
        Ledger.open(empty_url)


def test_two_that_open_a_new_shard_at_once_are_not_both_its_owner(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find that it is new before either writes."""
    both, begin = Barrier(2), ledger.begin

    @contextmanager
    def begin_together() -> Iterator[sa.Connection]:
        with begin() as connection:
            assert connection.execute(sa.select(shards)).all() in ([], [("s0", 1, 0)])
            with suppress(BrokenBarrierError):
                both.wait(1)  # where they cannot write at once, the second one looks later
            yield connection

    monkeypatch.setattr(ledger, "begin", begin_together)
    with ThreadPoolExecutor(2) as pool:
        writers = list(pool.map(ledger.open_shard, ["s0", "s0"]))
    assert sorted(writer.generation for writer in writers) == [1, 2]
