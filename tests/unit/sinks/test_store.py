"""The store: fences, sequences, projections, digest, and what it says when it cannot."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from config.errors import FencedError, SequenceError, StoreError, UsageError
from sinks.audit import verify_chain
from sinks.chain import GENESIS, Entry, canonical, link
from sinks.migrations.run import upgrade
from sinks.part_writer import ChannelStats, PartWriter
from sinks.schema import cases, channels, metadata, outputs
from sinks.store import Store

PARTS = ["part-000", "part-001"]


SQLITE = pytest.mark.parametrize("backend", ["sqlite"])
"""For tests of what only a file can be or do."""


@pytest.fixture
def url(empty_url: str) -> str:
    return empty_url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url, create=True) as made:
        made.begin_run(PARTS, "job")
        yield made


def chained(*events: tuple[str, str, Any], part: str = "part-000", seq: int = 0, head: bytes = GENESIS) -> list[Entry]:
    entries = []
    for type_, id_, data in events:
        seq += 1
        body = canonical(data)
        head = link(head, part, seq, type_, id_, 7, "key", body)
        entries.append(Entry(seq, type_, id_, 7, "key", body, head))
    return entries


def opened(store: Store, part: str = "part-000") -> PartWriter:
    return store.open_part(part, 0, [GENESIS])


def rows(store: Store, query: Any) -> list[Any]:
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_release_writes_entries_in_their_place(store: Store) -> None:
    opened(store).release(chained(("finding", "a", {"x": 1}), ("case.opened.x", "b", CASE)))
    query = sa.select(outputs.c.seq, outputs.c.kind, outputs.c.type, outputs.c.id, outputs.c.event_at)
    assert rows(store, query) == [(1, "finding", "finding", "a", 7), (2, "case", "case.opened.x", "b", 7)]


def test_release_again_writes_only_what_is_new(store: Store) -> None:
    writer = opened(store)
    entries = chained(("finding", "a", {}), ("finding", "b", {}), ("finding", "c", {}))
    writer.release(entries[:2])
    writer.release(entries)
    writer.release(entries)
    assert store.counts() == {"finding": 3}
    assert verify_chain(store) == {"part-000": 3, "part-001": 0}


def test_release_with_a_hole_is_refused_and_writes_nothing(store: Store) -> None:
    writer = opened(store)
    entries = chained(*(("finding", str(number), {}) for number in range(4)))
    with pytest.raises(SequenceError, match="part-000: the store is at 0, the release goes on at 2"):
        writer.release(entries[1:])
    with pytest.raises(SequenceError):
        writer.release([entries[0], entries[2]])
    assert store.counts() == {}


def test_writer_of_an_older_fence_is_refused(store: Store) -> None:
    old = opened(store)
    new = opened(store)
    assert new.fence > old.fence
    with pytest.raises(FencedError, match="FENCED: sink part part-000"):
        old.release(chained(("finding", "a", {})))
    with pytest.raises(FencedError):
        old.mark_done()
    new.release(chained(("finding", "a", {})))


def test_a_new_run_fences_all_writers_of_the_run_before(store: Store) -> None:
    old = opened(store)
    store.begin_run(PARTS, "job")
    with pytest.raises(FencedError):
        old.mark_done()
    assert not store.all_done()


def test_all_parts_must_be_done(store: Store) -> None:
    assert not store.all_done()
    for part in PARTS:
        assert not store.all_done()
        opened(store, part).mark_done()
    assert store.all_done()
    store.begin_run(PARTS, "job")
    assert not store.all_done()


def test_store_without_a_run_is_not_done(url: str) -> None:
    with Store.open(url, create=True) as empty:
        assert not empty.all_done()
        assert not empty.has_run()


def test_recovered_state_behind_the_store_is_time_travel(store: Store) -> None:
    entries = chained(("finding", "a", {}), ("finding", "b", {}))
    opened(store).release(entries)
    with pytest.raises(SequenceError, match=r"TIME TRAVEL: sink part part-000 is at 2 in the store.* only at 1"):
        store.open_part("part-000", 1, [entries[0].chain])


def test_recovered_state_that_begins_after_the_store_is_a_gap(store: Store) -> None:
    entries = chained(("finding", "a", {}), ("finding", "b", {}))
    opened(store).release(entries[:1])
    with pytest.raises(SequenceError, match=r"GAP: sink part part-000 is at 1 in the store.* begins after 2"):
        store.open_part("part-000", 2, [entries[1].chain])


def test_recovered_state_of_another_history_breaks_the_chain(store: Store) -> None:
    opened(store).release(chained(("finding", "a", {})))
    other = chained(("finding", "z", {}))
    with pytest.raises(SequenceError, match="CHAIN: sink part part-000, entry 1"):
        store.open_part("part-000", 0, [GENESIS, other[0].chain])


def test_refused_opening_leaves_the_writer_before_in_place(store: Store) -> None:
    writer = opened(store)
    with pytest.raises(SequenceError):
        store.open_part("part-000", 5, [bytes(32)])
    writer.release(chained(("finding", "a", {})))


@pytest.mark.parametrize("there", [0, 1, 2])
def test_store_anywhere_within_the_recovered_entries_is_accepted(store: Store, there: int) -> None:
    entries = chained(("finding", "a", {}), ("finding", "b", {}))
    if there:
        opened(store).release(entries[:there])
    writer = store.open_part("part-000", 0, [GENESIS, *(entry.chain for entry in entries)])
    writer.release(entries)
    assert store.counts() == {"finding": 2}


def test_unknown_part_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="no sink part part-009"):
        opened(store, "part-009")


def test_same_output_from_another_part_counts_as_repeat(store: Store) -> None:
    opened(store).release(chained(("finding", "a", {"x": 1}), ("finding", "b", {})))
    again = chained(("finding", "a", {"x": 1}), ("finding", "c", {}), ("finding", "c", {}), part="part-001")
    opened(store, "part-001").release(again)
    assert store.counts() == {"finding": 3}
    assert store.totals()["repeats"] == 2
    assert verify_chain(store) == {"part-000": 2, "part-001": 3}


def test_text_with_any_character_comes_back_as_it_was(store: Store) -> None:
    key = "a\0b\x1a\x1a0c\x1a0 \0\0 \x1a1 é 😀"
    body = canonical({"key": key})
    head = link(GENESIS, "part-000", 1, "finding", "a", 7, key, body)
    opened(store).release([Entry(1, "finding", "a", 7, key, body, head)])
    assert rows(store, sa.select(outputs.c.key).where(outputs.c.key == key)) == [(key,)]
    assert verify_chain(store) == {"part-000": 1, "part-001": 0}


def test_same_id_with_another_content_halts_and_writes_nothing(store: Store) -> None:
    opened(store).release(chained(("finding", "a", {"x": 1})))
    other = chained(("finding", "new", {}), ("finding", "a", {"x": 2}), part="part-001")
    with pytest.raises(SequenceError, match="part-001, entry 2: finding a is there with another content"):
        opened(store, "part-001").release(other)
    assert store.counts() == {"finding": 1}


def test_one_id_may_name_outputs_of_two_kinds(store: Store) -> None:
    opened(store).release(chained(("late", "t/0/1", {}), ("dead_letter", "t/0/1", {})))
    assert store.counts() == {"dead_letter": 1, "late": 1}


def test_digest_does_not_depend_on_part_order_and_database(tmp_path: Path, url: str) -> None:
    digests = set()
    one: tuple[str, str, Any] = ("finding", "a", {"x": 1, "y": 2})
    two: tuple[str, str, Any] = ("decision", "b", {})
    plans = {
        f"sqlite:///{tmp_path}/other.db": {"part-000": [one, two]},
        url: {"part-000": [two], "part-001": [one]},
    }
    for place, plan in plans.items():
        with Store.open(place, create=True) as store:
            store.begin_run(PARTS, "job")
            for part, events in plan.items():
                opened(store, part).release(chained(*events, part=part))
            digests.add(store.digest())
    assert len(digests) == 1


@pytest.mark.parametrize("column", ["type", "id", "event_at", "key", "body"])
def test_digest_and_chain_notice_a_change_of(store: Store, column: str) -> None:
    opened(store).release(chained(("finding", "a", {}), ("finding", "b", {})))
    before = store.digest()
    value: Any = {"event_at": 8, "body": b"[]"}.get(column, "other")
    with store.begin() as connection:
        connection.execute(outputs.update().where(outputs.c.seq == 1).values({column: value}))
    assert store.digest() != before
    with pytest.raises(SequenceError, match="chain breaks at entry 1"):
        verify_chain(store)


def test_missing_last_entry_is_noticed(store: Store) -> None:
    opened(store).release(chained(("finding", "a", {}), ("finding", "b", {})))
    with store.begin() as connection:
        connection.execute(outputs.delete().where(outputs.c.seq == 2))
    with pytest.raises(SequenceError, match="1 entries are there, its progress says 2"):
        verify_chain(store)


def test_statistics_of_a_channel_are_the_last_said(store: Store) -> None:
    writer = opened(store)
    writer.release([], [ChannelStats("t/0", 5, 100, records=5, accepted=4, late=1)])
    writer.release([], [ChannelStats("t/0", 9, 200, records=9, accepted=8, late=1), ChannelStats("t/1", 1, 1, 1, 1)])
    said = rows(store, sa.select(channels.c.channel, channels.c.next_offset).order_by(channels.c.channel))
    assert said == [("t/0", 9), ("t/1", 1)]
    totals = store.totals()
    assert (totals["records"], totals["accepted"], totals["late"]) == (10, 9, 1)


CASE = {"case_id": "c1", "seq": 1, "at": 7, "change": {"status": "open", "agent": "billing", "findings": 1}}
UPDATE = {"case_id": "c1", "seq": 2, "at": 8, "change": {"findings": 2, "severity": "high"}}
SOLVED = {"case_id": "c1", "seq": 3, "at": 9, "change": {"status": "resolved"}}
STATE = sa.select(cases.c.case_id, cases.c.seq, cases.c.status, cases.c.agent, cases.c.findings, cases.c.severity)


def test_cases_are_what_their_events_add_up_to(store: Store) -> None:
    writer = opened(store)
    entries = chained(("case.opened", "e1", CASE), ("case.updated", "e2", UPDATE), ("case.resolved", "e3", SOLVED))
    writer.release(entries[:1])
    assert rows(store, STATE) == [("c1", 1, "open", "billing", 1, None)]
    writer.release(entries)
    assert rows(store, STATE) == [("c1", 3, "resolved", "billing", 2, "high")]
    assert store.rebuild()


@pytest.mark.parametrize("damage", [cases.delete(), cases.update().values(findings=99)])
def test_rebuild_says_so_and_repairs_what_differed(store: Store, damage: Any) -> None:
    opened(store).release(chained(("case.opened", "e1", CASE), ("case.updated", "e2", UPDATE)))
    with store.begin() as connection:
        connection.execute(damage)
    assert not store.rebuild()
    assert rows(store, STATE) == [("c1", 2, "open", "billing", 2, "high")]
    assert store.rebuild()


def test_rebuild_of_an_empty_store_removes_what_no_event_made(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(cases.insert().values(case_id="ghost", seq=1))
    assert not store.rebuild()
    assert rows(store, STATE) == []


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"case_id": "c1", "seq": 2, "change": {}}, "event 2 follows event 0"),
        ({"case_id": "c1", "seq": 1, "change": {"colour": "red"}}, "unknown columns colour"),
    ],
)
def test_case_event_that_does_not_fit_halts(store: Store, event: Any, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        opened(store).release(chained(("case.opened", "e1", event)))
    assert store.counts() == {}


def test_migrations_make_the_tables_that_the_code_knows(store: Store) -> None:
    with store.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []


def test_store_whose_making_was_cut_short_is_made_anew(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_short(connection: sa.Connection, versions: str, version_table: str) -> None:
        upgrade(connection, versions, version_table)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sinks.migrations.run.upgrade", cut_short)
        with pytest.raises(KeyboardInterrupt):
            Store.open(url, create=True)
    with pytest.raises(StoreError, match="no store of Forestall"):
        Store.open(url)
    with Store.open(url, create=True) as made:
        assert made.counts() == {}


def test_store_of_a_newer_version_is_refused(url: str, store: Store) -> None:
    with store.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9000'"))
    with pytest.raises(StoreError, match=r"has version 9000.*Use the newer Forestall"):
        Store.open(url)


@SQLITE
def test_store_that_is_not_there_is_not_made_for_reading(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no store at"):
        Store.open(url)
    assert list(tmp_path.iterdir()) == []


def test_another_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    for create in (False, True):
        with pytest.raises(StoreError, match="no store of Forestall"):
            Store.open(f"sqlite:///{tmp_path}/other.db", create=create)


def test_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database" * 100)
    with pytest.raises(StoreError, match=r"notes\.txt: file is not a database.*Check the URL"):
        Store.open(f"sqlite:///{tmp_path}/notes.txt")


@pytest.mark.parametrize("address", ["store.db", "sqlite://", "sqlite:///:memory:"])
def test_url_without_a_file_is_misuse(address: str) -> None:
    with pytest.raises(UsageError, match="sqlite:///path"):
        Store.open(address, create=True)


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=re.escape(f"{tmp_path}/file/store.db")):
        Store.open(f"sqlite:///{tmp_path}/file/store.db", create=True)


@SQLITE
def test_full_disk_is_said_plainly_and_nothing_is_half_written(store: Store) -> None:
    writer = opened(store)
    writer.release(chained(("finding", "a", {})))
    with store.begin() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    head = rows(store, sa.select(outputs.c.chain))[0][0]
    big = chained(*(("finding", f"b{n}", {"x": "y" * 4000}) for n in range(50)), seq=1, head=head)
    with pytest.raises(StoreError, match=r"store\.db: database or disk is full.*Free space") as raised:
        writer.release(big)
    assert "yyy" not in str(raised.value)
    assert store.counts() == {"finding": 1}


@SQLITE
def test_locked_store_is_said_plainly(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.engine.BUSY_TIMEOUT_S", 0.05)
    with Store.open(url) as other, store.begin(), pytest.raises(StoreError, match=r"locked.*Stop the other process"):
        other.begin_run(PARTS, "job")


def test_readers_do_not_wait_for_the_writer(store: Store, url: str) -> None:
    with Store.open(url) as other, store.begin() as connection:
        connection.execute(channels.delete())
        assert other.counts() == {}


@pytest.mark.parametrize(("parts", "job", "named"), [(PARTS, "other", "job"), (["part-000"], "job", "parts")])
def test_store_of_another_job_is_refused(store: Store, parts: list[str], job: str, named: str) -> None:
    with pytest.raises(StoreError, match=f"filled by another job: its {named} is"):
        store.begin_run(parts, job)


def test_store_knows_whether_it_has_run(store: Store) -> None:
    assert not store.has_run()
    opened(store).release(chained(("finding", "a", {})))
    assert store.has_run()


@SQLITE
def test_commits_are_durable(store: Store) -> None:
    with store.read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
