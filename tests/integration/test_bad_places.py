"""Folders, stores, settings and disks that are at fault: one message each, the right exit code, and nothing lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import DEFAULTS
from replay.recording import Recording
from replay.world.model import Spec
from replay.world.record import simulate
from sinks.store import Store
from tests.conftest import absent
from tests.support.commands import end, eventually, forestall, start, store_url
from tests.support.recordings import numbered, record

pytestmark = pytest.mark.slow

SPEC = Spec(3, 3000, 10)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "world"
    simulate(SPEC, folder)
    return folder


@pytest.fixture(scope="module")
def finished(world: Path) -> Path:
    """The file of a store into which the world was replayed, its recovery folder beside it. Copy it; do not write."""
    small = {"FORESTALL_RUNTIME_BATCH_RECORDS": "50", "FORESTALL_RUNTIME_EPOCH_INTERVAL": "50ms"}
    assert forestall("replay", world, **small).code == 0
    return world.with_name("world.db")


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """The file of a copy of the finished store, with a copy of its recovery folder."""
    shutil.copy(finished, tmp_path / "store.db")
    shutil.copytree(f"{finished}.recovery", tmp_path / "store.db.recovery")
    return tmp_path / "store.db"


def digest(path: Path) -> str:
    with Store.open(store_url(path)) as store:
        return store.digest()


# -- recordings --------------------------------------------------------------------------------------------------------


def test_an_empty_folder_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    forestall("replay", tmp_path / "empty").says(3, f"{tmp_path}/empty is empty, not a recording")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_folder_that_is_not_there_or_is_a_file_is_no_recording(tmp_path: Path) -> None:
    forestall("replay", tmp_path / "none").says(3, f"{tmp_path}/none does not exist")
    (tmp_path / "file").write_text("x")
    forestall("replay", tmp_path / "file").says(3, f"{tmp_path}/file is a file")


def test_a_flipped_bit_is_named_with_its_offsets(tmp_path: Path) -> None:
    recording = record(tmp_path / "r", {("orders", 0): numbered(100)})
    file = tmp_path / "r" / next(recording.files()).name
    content = bytearray(file.read_bytes())
    content[60] ^= 1
    file.write_bytes(content)
    forestall("replay", tmp_path / "r").says(3, str(file), "offsets 0…99", "its checksum is wrong")


def test_half_a_parquet_file_is_named_with_where_it_breaks(tmp_path: Path) -> None:
    recording = record(tmp_path / "r", {("orders", 0): numbered(100)})
    file = tmp_path / "r" / next(recording.files()).name
    os.truncate(file, file.stat().st_size // 4)
    forestall("replay", tmp_path / "r").says(3, str(file), "bytes where", "cut off in row group 0")


def test_a_missing_file_and_a_damaged_manifest_are_named(tmp_path: Path) -> None:
    recording = record(tmp_path / "r", {("orders", 0): numbered(100)})
    file = tmp_path / "r" / next(recording.files()).name
    file.unlink()
    forestall("replay", tmp_path / "r").says(3, f"{file} is missing")
    (tmp_path / "r" / "manifest.json").write_text("{")
    forestall("replay", tmp_path / "r").says(3, "manifest.json")


def test_a_recording_without_partitions_is_refused(tmp_path: Path) -> None:
    record(tmp_path / "r", {}, recorded_until=SPEC.until)
    forestall("replay", tmp_path / "r").says(3, "holds no partition")


# -- settings, contracts, policies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[runtime]\nbatch_record = 5\n", ["batch_record"]),
        ('[runtime]\nbatch_records = "many"\n', ["batch_records"]),
        ("[runtime]\nbatch_records = 0\n", ["batch_records"]),
        ('[time]\nlateness_max = "5"\n', ["lateness_max"]),
        ("[runtime\n", ["not TOML"]),
    ],
)
def test_a_bad_setting_is_named_with_its_file(world: Path, tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    forestall("replay", world, "--config", file, "--store", store_url(tmp_path / "s.db")).says(3, str(file), *words)
    assert not (tmp_path / "s.db").exists()


def test_a_missing_settings_file_and_an_unknown_variable_are_named(world: Path, tmp_path: Path) -> None:
    store = store_url(tmp_path / "s.db")
    forestall("replay", world, "--config", tmp_path / "no.toml", "--store", store).says(3, f"{tmp_path}/no.toml")
    forestall("replay", world, "--store", store, FORESTALL_RUNTIME_BATCHES="1").says(3, "FORESTALL_RUNTIME_BATCHES")


def test_a_decision_table_with_a_broken_expression_is_named_with_its_rule(world: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "policy"
    shutil.copytree(DEFAULTS.parent / "policies" / "default", bundle)
    table = bundle / "fulfilment.yaml"
    text = table.read_text()
    first = text.index("when:")
    end_of_line = text.index("\n", first)
    table.write_text(text[:first] + 'when: "confidence >= "' + text[end_of_line:])
    (tmp_path / "s.toml").write_text('[policy]\nbundle = "policy"\n')
    ended = forestall("replay", world, "--config", tmp_path / "s.toml", "--store", store_url(tmp_path / "s.db"))
    ended.says(3, f"{table}:", "rule 'cause'", "broken expression: line 1, column 15")


def test_a_contract_without_an_owner_is_named(world: Path, tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    text = (DEFAULTS.parent / "contracts" / "order.placed.yaml").read_text()
    file = tmp_path / "contracts" / "order.placed.yaml"
    file.write_text(text.replace("team:\n  name: order-platform\n", ""))
    assert "team" not in file.read_text()
    (tmp_path / "s.toml").write_text('[contracts]\nfolders = ["contracts"]\n')
    ended = forestall("replay", world, "--config", tmp_path / "s.toml", "--store", store_url(tmp_path / "s.db"))
    ended.says(3, str(file), "team")


# -- stores ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("world.db", 2, "not a URL"),
        ("sqlite://", 2, "names no file"),
        ("sqlite:///:memory:", 2, "names no file"),
        ("http://localhost:x", 2, "not the URL of a store"),
        ("postgresql://forestall:secret@host/db", 2, "holds a password"),
        ("postgresql://forestall@host/db", 2, "no place for a recovery folder"),
        ("sqlite:////dev/null/store.db", 3, "/dev/null"),
    ],
)
def test_a_store_that_cannot_be_is_refused(world: Path, url: str, code: int, words: str) -> None:
    ended = forestall("replay", world, "--store", url)
    ended.says(code, words)
    assert "secret" not in ended.err


def test_a_store_of_an_unknown_kind_is_refused(world: Path, tmp_path: Path) -> None:
    url = "oracle://forestall:secret@host/db"
    ended = forestall("replay", world, "--store", url, "--recovery", tmp_path / "recovery")
    ended.says(2, "oracle://…", "cannot be kept")
    assert "secret" not in ended.err


COMMANDS = (("report",), ("case", "5f1c"), ("dead-letters",), ("store", "rebuild"), ("store", "verify"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_reader_refuses_a_missing_a_foreign_and_a_newer_store(command: tuple[str, ...], copied: Path) -> None:
    folder = copied.parent
    forestall(*command, "--store", store_url(folder / "none.db")).says(3, f"no store at {folder}/none.db")
    assert not (folder / "none.db").exists()

    (folder / "text.db").write_text("It is a long time ago that this was a store. " * 50)
    forestall(*command, "--store", store_url(folder / "text.db")).says(3, "text.db", "not a database")

    with sqlite3.connect(folder / "foreign.db") as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    connection.close()
    before = (folder / "foreign.db").read_bytes()
    forestall(*command, "--store", store_url(folder / "foreign.db")).says(3, "foreign.db is no store of Forestall")
    assert (folder / "foreign.db").read_bytes() == before

    make_newer(copied)
    forestall(*command, "--store", store_url(copied)).says(3, str(copied), "version 9999, this program knows up to")


def make_newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()


def test_replay_refuses_a_foreign_and_a_newer_store_and_changes_neither(world: Path, copied: Path) -> None:
    foreign = copied.with_name("foreign.db")
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    connection.close()
    before = foreign.read_bytes()
    forestall("replay", world, "--store", store_url(foreign)).says(3, "foreign.db is no store of Forestall")
    assert foreign.read_bytes() == before
    make_newer(copied)
    forestall("replay", world, "--store", store_url(copied)).says(3, "version 9999")


# -- recovery folders --------------------------------------------------------------------------------------------------


def test_a_store_and_a_recovery_folder_that_do_not_belong_together_are_refused(
    world: Path, copied: Path, tmp_path: Path
) -> None:
    recovery = Path(f"{copied}.recovery")
    store = store_url(copied)
    ended = forestall("replay", world, "--store", store, "--recovery", tmp_path / "other")
    ended.says(3, "The store holds outputs", f"{tmp_path}/other holds no state")
    ended = forestall("replay", world, "--store", store, FORESTALL_RUNTIME_KEY_GROUPS_CASE="3")
    ended.says(3, f"{recovery} holds the state of another job")
    ended = forestall("replay", world, "--store", store_url(tmp_path / "new.db"), "--recovery", recovery)
    ended.says(3, "GAP: sink part part-000", "GAP: sink part part-001", "put the newer back")
    (recovery / "part-0.sqlite3").write_bytes(b"SQLite format 3\0" + b"garbage" * 100)
    forestall("replay", world, "--store", store).says(3, str(recovery))


@pytest.mark.parametrize("processes", [1, 2])
def test_another_recording_into_an_old_store_is_refused(copied: Path, tmp_path: Path, processes: int) -> None:
    """The worker finds out; what it says reaches the user as it would have in one process."""
    other = tmp_path / "other"
    simulate(Spec(4, 3000, 10), other)
    before = digest(copied)
    ended = forestall("replay", other, "--store", store_url(copied), "--processes", processes)
    ended.says(3, str(other), "recovery folder", "start with a new store")
    assert digest(copied) == before


def test_an_older_recording_after_a_longer_one_is_refused(world: Path, copied: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    assert forestall("recording", "cut", world, "--until", "2026-03-07T00:00:00Z", "--into", older).code == 0
    before = digest(copied)
    forestall("replay", older, "--store", store_url(copied)).says(3, str(older), "the recovery folder goes on at")
    assert digest(copied) == before


def test_a_recording_that_lacks_a_partition_of_the_one_before_is_refused(copied: Path, tmp_path: Path) -> None:
    record(tmp_path / "r", {("orders", 0): numbered(10)})
    before = digest(copied)
    forestall("replay", tmp_path / "r", "--store", store_url(copied)).says(3, "crm/0", "start with a new store")
    assert digest(copied) == before


# -- two jobs ----------------------------------------------------------------------------------------------------------


def test_a_second_job_on_a_store_or_a_recovery_folder_is_refused(world: Path, tmp_path: Path) -> None:
    store, recovery = tmp_path / "s.db", tmp_path / "s.db.recovery"
    first = start("replay", world, "--store", store_url(store), "--speed", "20000")
    try:
        eventually(lambda: (recovery / "worker-0.log").exists(), "the first job to start its worker")
        ended = forestall("replay", world, "--store", store_url(store), "--recovery", tmp_path / "other")
        ended.says(3, f"The store {store} is in use by another job")
        ended = forestall("replay", world, "--store", store_url(tmp_path / "t.db"), "--recovery", recovery)
        ended.says(3, f"The recovery folder {recovery} is in use by another job")
        assert forestall("report", "--store", store_url(store)).code == 0
    finally:
        first.terminate()
        assert end(first).code == 0


# -- full disks --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a quarter of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "forestall-test", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        made = False
    if not made:
        absent("no right to mount a small tmpfs: run as root, or with CAP_SYS_ADMIN")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("on_disk", ["store", "recovery"])
def test_a_full_disk_stops_the_job_and_nothing_is_lost(
    world: Path, finished: Path, small_disk: Path, tmp_path: Path, on_disk: str
) -> None:
    store = (small_disk if on_disk == "store" else tmp_path) / "s.db"
    recovery = (small_disk if on_disk == "recovery" else tmp_path) / "recovery"
    arguments = ("replay", world, "--store", store_url(store), "--recovery", recovery, "--json")
    forestall(*arguments).says(3, str(small_disk), "full", "Free space")
    forestall(*arguments).says(3, str(small_disk), "Free space")
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    document = forestall(*arguments).document
    assert document["complete"]
    assert document["digest"] == digest(finished)


def test_a_disk_full_from_the_start_is_named(world: Path, small_disk: Path) -> None:
    with (small_disk / "filler").open("wb") as file, pytest.raises(OSError, match="No space"):
        file.write(bytes(1 << 20))
    forestall("replay", world, "--store", store_url(small_disk / "s.db")).says(3, str(small_disk))


def test_the_world_is_not_touched_by_any_of_this(world: Path) -> None:
    assert Recording.open(world).manifest.topics
