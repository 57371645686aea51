"""Preflight on real recovery files: what it purges, what it refuses."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.errors import RecoveryError
from sinks.preflight import Preflight, forget, preflight
from sinks.recovery_files import CUT, IDENTITY

JOB = {"parts": ["part-000"], "key_groups": {"journey": 16}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "store.db.recovery"
    assert preflight(made, JOB, store_has_run=False) == Preflight(1, 0, new=True)
    return made


def sql(folder: Path, *statements: str, values: tuple[Any, ...] = ()) -> list[Any]:
    connection = sqlite3.connect(folder / "part-0.sqlite3")
    try:
        with connection:
            return [row for statement in statements for row in connection.execute(statement, values)]
    finally:
        connection.close()


def execution(folder: Path, number: int, workers: int, resume: int, fronts: dict[int, int]) -> None:
    sql(folder, f"INSERT INTO exs (ex_num, worker_count, resume_epoch) VALUES ({number}, {workers}, {resume})")
    for worker, frontier in fronts.items():
        columns = "(ex_num, worker_index, worker_frontier)"
        sql(folder, f"INSERT INTO fronts {columns} VALUES ({number}, {worker}, {frontier})")


def snapshot(folder: Path, key: str, epoch: int, state: bytes | None = None) -> None:
    columns = "(step_id, state_key, snap_epoch, ser_change)"
    blob = pickle.dumps(b"state") if state is None else state
    sql(folder, f"INSERT INTO snaps {columns} VALUES ('flow.step', ?, ?, ?)", values=(key, epoch, blob))


def again(folder: Path, identity: dict[str, Any] = JOB, *, store_has_run: bool = True) -> Preflight:
    return preflight(folder, identity, store_has_run=store_has_run)


def test_new_folder_is_private_and_only_for_its_owner(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in folder.iterdir()) == [IDENTITY, "part-0.sqlite3"]


def test_new_folder_may_be_checked_again_before_its_first_run(folder: Path) -> None:
    assert again(folder, store_has_run=False) == Preflight(1, 0, new=False)


def test_half_made_folder_is_made_anew(folder: Path) -> None:
    (folder / "part-0.sqlite3").unlink()
    (folder / ".new").mkdir()
    assert preflight(folder, JOB, store_has_run=False).new


@pytest.mark.parametrize(
    ("executions", "resume"),
    [
        ([(0, 1, 1, {0: 7})], 7),
        ([(0, 2, 1, {0: 7, 1: 5})], 5),
        ([(0, 2, 3, {0: 7})], 3),
        ([(0, 1, 1, {0: 9}), (1, 2, 9, {})], 9),
        ([(0, 3, 1, {0: 20, 1: 20, 2: 20}), (1, 1, 20, {0: 22})], 22),
    ],
)
def test_resume_epoch_is_the_least_frontier_of_the_newest_execution(
    folder: Path, executions: list[Any], resume: int
) -> None:
    for each in executions:
        execution(folder, *each)
    assert again(folder).resume_epoch == resume


def test_zombie_snapshots_are_purged_and_committed_ones_kept(folder: Path) -> None:
    execution(folder, 0, 1, 1, {0: 5})
    for epoch in (3, 4, 5, 6):
        snapshot(folder, "key", epoch)
    assert again(folder) == Preflight(5, 2, new=False, states=frozenset({("flow.step", "key")}))
    assert sql(folder, "SELECT snap_epoch FROM snaps ORDER BY snap_epoch") == [(3,), (4,)]
    assert again(folder).purged == 0


def test_folder_that_is_gone_though_the_store_has_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecoveryError, match=r"store holds outputs, but .* holds no state") as raised:
        preflight(tmp_path / "gone", JOB, store_has_run=True)
    assert "backup" in raised.value.remedy
    assert not (tmp_path / "gone").exists()


def test_lost_write_ahead_log_is_noticed(folder: Path) -> None:
    with pytest.raises(RecoveryError, match="write-ahead log was lost"):
        again(folder, store_has_run=True)


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        ({**JOB, "key_groups": {"journey": 8}}, "key_groups was {'journey': 16}, is {'journey': 8}"),
        ({"parts": ["part-000"]}, "is None"),
        ({**JOB, "contracts": "abc"}, "contracts was None, is 'abc'"),
    ],
)
def test_folder_of_another_job_is_refused_naming_what_differs(
    folder: Path, identity: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecoveryError, match=message):
        again(folder, identity, store_has_run=False)


def test_what_the_hash_of_an_identity_is_made_of_tells_what_differs(tmp_path: Path) -> None:
    made = {"layout": "a1", CUT: {"sink_parts": "4", "key_groups": "16"}}
    preflight(tmp_path / "cut", made, store_has_run=False)
    again(tmp_path / "cut", {"layout": "a1"}, store_has_run=False)
    with pytest.raises(RecoveryError, match=r"another job: sink_parts was '4', is '5'\."):
        again(tmp_path / "cut", {"layout": "b2", CUT: {"sink_parts": "5", "key_groups": "16"}}, store_has_run=False)


def test_an_identity_of_a_former_release_tells_the_hash(folder: Path) -> None:
    with pytest.raises(RecoveryError, match=r"another job: parts was \['part-000'\], is None"):
        again(folder, {"key_groups": JOB["key_groups"], CUT: {"sink_parts": "5"}}, store_has_run=False)
    again(folder, JOB | {CUT: {"sink_parts": "5"}}, store_has_run=False)


def test_identity_is_compared_as_json(folder: Path) -> None:
    assert again(folder, {"key_groups": {"journey": 16}, "parts": ("part-000",)}, store_has_run=False)


def damage_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / IDENTITY).unlink(), "is no recovery folder of Forestall"),
        (lambda folder: (folder / IDENTITY).write_text("[]"), "is damaged"),
        (lambda folder: (folder / IDENTITY).write_text("{"), "is damaged"),
        (lambda folder: (folder / "part-0.sqlite3").write_bytes(b"garbage" * 1000), "file is not a database"),
        (lambda folder: (folder / "part-0.sqlite3").write_bytes(b""), "no such table"),
        (lambda folder: damage_middle(folder / "part-0.sqlite3"), "damaged|malformed"),
        (lambda folder: sql(folder, "UPDATE parts SET part_count = 3"), r"holds the parts \['1 of 3'\], not 1 of 1"),
        (lambda folder: sql(folder, "DELETE FROM parts"), r"holds the parts \[\]"),
    ],
    ids=["no-identity", "identity-shape", "identity-json", "garbage", "empty", "middle", "count", "parts"],
)
def test_damaged_folder_is_refused(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(RecoveryError, match=message):
        again(folder, store_has_run=False)


def test_files_of_different_moments_are_refused(folder: Path) -> None:
    columns = "INSERT INTO commits (part_index, commit_epoch) VALUES"
    sql(folder, f"{columns} (0, 4)", f"{columns} (1, 9)")
    with pytest.raises(RecoveryError, match="different moments: epochs 4 and 9"):
        again(folder, store_has_run=False)


def test_snapshot_that_would_run_code_is_refused_and_not_loaded(folder: Path, tmp_path: Path) -> None:
    class Exploit:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    execution(folder, 0, 1, 1, {0: 5})
    snapshot(folder, "part-000", 4, pickle.dumps(Exploit()))
    with pytest.raises(RecoveryError, match=r"snapshot of flow\.step, 'part-000', is not plain data"):
        again(folder)
    assert not (tmp_path / "ran").exists()


def test_forgotten_keys_have_no_pickle_and_pass(folder: Path) -> None:
    execution(folder, 0, 1, 1, {0: 5})
    sql(folder, "INSERT INTO snaps (step_id, state_key, snap_epoch, ser_change) VALUES ('flow.step', 'k', 4, NULL)")
    assert again(folder).resume_epoch == 5


def test_recovery_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecoveryError, match=r"file/recovery: Not a directory"):
        preflight(tmp_path / "file" / "recovery", JOB, store_has_run=False)


def test_state_that_will_be_recovered_is_listed(folder: Path) -> None:
    execution(folder, 0, 1, 1, {0: 7})
    snapshot(folder, "orders/0", 3)
    snapshot(folder, "crm/0", 9)  # a zombie
    assert again(folder).states == {("flow.step", "orders/0")}


def test_a_place_that_cannot_be_written_is_not_taken_for_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(sqlite3.OperationalError):
        sqlite_errorcode = sqlite3.SQLITE_FULL

    def refuse(connection: sqlite3.Connection, resume_epoch: int) -> int:
        raise Full("database or disk is full")

    monkeypatch.setattr("sinks.preflight._purge", refuse)
    with pytest.raises(RecoveryError, match="database or disk is full") as raised:
        again(folder, store_has_run=False)
    assert "Free space" in raised.value.remedy
    assert "backup" not in raised.value.remedy


def test_what_is_forgotten_is_not_recovered_and_all_else_is(folder: Path) -> None:
    execution(folder, 0, 1, 1, {0: 7})
    for key in ("crm/0", "crm/1", "orders/0"):
        snapshot(folder, key, 3)
    forget(folder, "flow.step", ["crm/0", "crm/1"])
    assert again(folder).states == {("flow.step", "orders/0")}
