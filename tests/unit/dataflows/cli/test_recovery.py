"""`forestall recovery check` and the start of a job, on what a killed job left: what is told, and what is refused."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from click.testing import CliRunner, Result

from config.errors import ForestallError
from dataflows.cli.main import main
from dataflows.recovered import STAGES
from operators.journey import JourneyLogic
from replay.play import Job, prepared
from sinks.lock import lock_recovery
from sinks.statelog import Token

ARCHIVE = Path(__file__).parents[3] / "golden" / "recovery" / "0.1.0.tar.xz"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture
def killed(unpacked: Path, tmp_path: Path) -> Path:
    """A folder with a recording, and `store.db` and `store.db.recovery` of a job that was killed amid a commit."""
    return shutil.copytree(unpacked, tmp_path / "killed")


def recovery(killed: Path) -> Path:
    return killed / "store.db.recovery"


def run(killed: Path, *arguments: str, code: int = 0) -> Result:
    store = f"sqlite:///{killed / 'store.db'}"
    result = CliRunner().invoke(main, ["recovery", "check", str(recovery(killed)), "--store", store, *arguments])
    assert result.exit_code == code, result.output
    return result


def document(killed: Path, *arguments: str, code: int = 0) -> Any:
    return orjson.loads(run(killed, "--json", *arguments, code=code).stdout)


def messages(killed: Path) -> list[str]:
    return [fault["message"] for fault in document(killed, code=1)["faults"]]


def start(killed: Path) -> None:
    """Do all that a start does before there are workers."""
    store = killed / "store.db"
    job = Job(recording=str(killed / "recording"), store_url=f"sqlite:///{store}", recovery=str(recovery(killed)))
    with prepared(job):
        pass


def sql(file: Path, statement: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection, connection:
        return connection.execute(statement, values).fetchall()


def snapshots(killed: Path, statement: str, *values: Any) -> list[Any]:
    return sql(recovery(killed) / "part-0.sqlite3", statement, *values)


def content(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest() for path in files}


# -- what is told ------------------------------------------------------------------------------------------------------


def test_positions_state_and_what_a_start_would_delete_are_told(killed: Path) -> None:
    told = document(killed)
    assert told["faults"] == []
    assert told["resume_epoch"] > 10
    assert told["versions"]["channels"] == told["versions"]["outboxes"] == told["versions"]["state_logs"] == [1]
    assert told["versions"]["stages"].keys() == set(STAGES)
    offsets = {channel["channel"]: channel["next_offset"] for channel in told["channels"]}
    assert offsets["telemetry/0"] > 0
    assert sum(offsets.values()) == sum(channel["records"] for channel in told["channels"])
    journey = next(stage for stage in told["stages"] if stage["stage"] == "journey")
    assert journey["keys"] == told["versions"]["stages"]["journey"]["1"] > 0
    assert journey["bytes"] >= journey["log_bytes"] > 0
    assert {row["epoch"] for row in told["purge"]} == {told["resume_epoch"]}
    purged = sum(row["snapshots"] for row in told["purge"])
    assert purged == snapshots(killed, "SELECT count(*) FROM snaps WHERE snap_epoch >= ?", told["resume_epoch"])[0][0]
    assert {part["store_is"] for part in told["store"]} <= {"level", "behind"}


def test_people_are_told_the_same(killed: Path) -> None:
    (recovery(killed) / "holiday.jpg").touch()
    (recovery(killed) / "state" / "old.log").touch()
    shown = run(killed).output
    for words in ("telemetry/0", "journey", "part-003", "A start deletes", "A job can go on with it."):
        assert words in shown
    assert "Not of Forestall: holiday.jpg, state/old.log" in shown


def test_nothing_is_changed(killed: Path) -> None:
    before = content(recovery(killed))
    run(killed)
    (recovery(killed) / "state" / "journey-0.0.log").write_bytes(b"altered")
    altered = content(recovery(killed))
    run(killed, code=1)
    assert altered == content(recovery(killed)) != before


def test_what_is_told_is_what_a_start_finds_and_does(killed: Path) -> None:
    told = document(killed)
    start(killed)
    after = document(killed)
    assert after["purge"] == []
    assert after["resume_epoch"] == told["resume_epoch"]
    assert after["channels"] == told["channels"]


def test_settings_that_cut_state_up_otherwise_are_told_when_given(killed: Path, tmp_path: Path) -> None:
    settings = tmp_path / "other.toml"
    settings.write_text("[runtime]\nsink_parts = 5\n")
    told = document(killed, "--config", str(settings), code=1)
    assert "holds the state of another job" in told["faults"][0]["message"]
    settings.write_text("[runtime]\nbatch_records = 5\n")
    assert document(killed, "--config", str(settings))["faults"] == []


# -- what cannot be looked at ------------------------------------------------------------------------------------------


def test_a_folder_that_a_job_holds_is_not_looked_at(killed: Path) -> None:
    with lock_recovery(recovery(killed)):
        assert "is in use by a job" in run(killed, code=3).output
    run(killed)


def test_a_job_does_not_start_while_its_folder_is_looked_at(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []

    def start_meanwhile(folder: Path, identity: object = None) -> Any:
        try:
            start(killed)
        except ForestallError as error:
            refused.append(error.message)
        raise KeyError  # nothing else is wanted of it

    monkeypatch.setattr("dataflows.cli.recovery.inspect", start_meanwhile)
    run(killed, code=3)
    assert len(refused) == 1
    assert "is in use by another job" in refused[0]


def test_a_place_without_a_recovery_folder_is_named(killed: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere", killed / "recording"):
        result = CliRunner().invoke(main, ["recovery", "check", str(place)])
        assert result.exit_code == 3
        assert f"{place} is no recovery folder" in result.output
    assert not (tmp_path / "nowhere").exists()


def test_a_store_that_is_not_there_is_not_made(killed: Path) -> None:
    (killed / "store.db").unlink()
    assert "There is no store" in run(killed, code=3).output
    assert not (killed / "store.db").exists()


# -- what is wrong, by the check and at a start ------------------------------------------------------------------------


class Exploit:
    def __reduce__(self) -> Any:
        return print, ("loaded",)


def move(killed: Path, **columns: str) -> None:
    changes = ", ".join(f"{name} = {value}" for name, value in columns.items())
    sql(killed / "store.db", f"UPDATE progress SET {changes} WHERE part = 'part-001'")


def token(killed: Path, **changes: Any) -> None:
    """Change where the state of journey group 0 is said to be."""
    where = "WHERE step_id = 'detection.journey' AND state_key = '000'"
    for epoch, state in snapshots(killed, f"SELECT snap_epoch, ser_change FROM snaps {where}"):
        number, encoded = msgspec.msgpack.decode(pickle.loads(state), type=tuple[int, bytes])
        told = msgspec.structs.replace(msgspec.msgpack.decode(encoded, type=Token), **changes)
        altered = pickle.dumps(msgspec.msgpack.encode((number, msgspec.msgpack.encode(told))))
        snapshots(killed, f"UPDATE snaps SET ser_change = ? {where} AND snap_epoch = ?", altered, epoch)


def log(killed: Path) -> Path:
    """The log that journey group 0 goes on with."""
    return max((recovery(killed) / "state").glob("journey-0.*.log"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    altered = bytearray(path.read_bytes())
    altered[20] ^= 1
    path.write_bytes(altered)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "store-ahead": (lambda killed: move(killed, seq="seq + 1000"), "TIME TRAVEL: sink part part-001 is at 10"),
    "store-behind": (lambda killed: move(killed, seq="0"), "GAP: sink part part-001 is at 0 in the store"),
    "store-other": (lambda killed: move(killed, head="zeroblob(32)"), "CHAIN: sink part part-001"),
    "outbox-gone": (
        lambda killed: snapshots(killed, "DELETE FROM snaps WHERE state_key = 'part-001'"),
        "TIME TRAVEL: sink part part-001",
    ),
    "log-gone": (lambda killed: log(killed).unlink(), "journey-0.0.log: No such file"),
    "log-short": (lambda killed: cut(log(killed)), "the recovered snapshot refers to"),
    "log-altered": (lambda killed: flip(log(killed)), "wrong checksum"),
    "log-elsewhere": (lambda killed: token(killed, name="../../store"), "its snapshot is of '../../store'"),
    "log-of-another": (lambda killed: token(killed, name="journey-1"), "key group 000: its snapshot is of 'journey-1'"),
    "log-format": (lambda killed: token(killed, format=2), "is of format 2, this program knows 1"),
    "step": (
        lambda killed: snapshots(killed, "UPDATE snaps SET step_id = 'detection.x' WHERE step_id = 'detection.cause'"),
        "of a step detection.x, which this job does not have",
    ),
    "partition": (
        lambda killed: snapshots(
            killed, "UPDATE snaps SET ser_change = ? WHERE step_id = 'detection.source'", pickle.dumps(b"\x92\x07")
        ),
        "recovered state cannot be read",
    ),
    "pickle": (
        lambda killed: snapshots(
            killed, "UPDATE snaps SET ser_change = ? WHERE state_key = 'part-001'", pickle.dumps(Exploit())
        ),
        "is not plain data (STACK_GLOBAL)",
    ),
    "object": (
        lambda killed: snapshots(
            killed, "UPDATE snaps SET ser_change = ? WHERE state_key = 'part-001'", pickle.dumps(["list"])
        ),
        "is not plain data (list)",
    ),
    "wal-gone": (lambda killed: (recovery(killed) / "part-0.sqlite3-wal").unlink(), "write-ahead log was lost"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_told_by_the_check_and_refused_at_the_start(
    killed: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    damage, words = DAMAGES[name]
    damage(killed)
    assert words in "\n".join(messages(killed))
    held = snapshots(killed, "SELECT count(*) FROM snaps")
    fences = sql(killed / "store.db", "SELECT fence FROM progress")
    with pytest.raises(ForestallError) as raised:
        start(killed)
    assert words in raised.value.message
    assert raised.value.remedy
    assert not raised.value.retry
    assert snapshots(killed, "SELECT count(*) FROM snaps") == held  # zombies, too: refused is untouched
    assert sql(killed / "store.db", "SELECT fence FROM progress") == fences
    assert "loaded" not in capfd.readouterr().out


def test_all_that_is_wrong_is_told_at_once(killed: Path) -> None:
    for name in ("log-gone", "store-ahead"):
        DAMAGES[name][0](killed)
    move(killed, seq="seq + 1000")
    assert [message.partition(":")[0] for message in messages(killed)] == [
        str(recovery(killed) / "state" / "journey-0.0.log"),
        "TIME TRAVEL",
    ]
    with pytest.raises(ForestallError, match=r"2 faults:\n- .*journey-0\.0\.log: No such file.*\n- TIME TRAVEL"):
        start(killed)
    shown = run(killed, code=1).output
    assert shown.count("fault: ") == shown.count("remedy: ") == 2


def topics_outbox(killed: Path) -> None:
    """Let every outbox of the store stand beside as one of topics."""
    columns = "state_key, snap_epoch, ser_change"
    select = f"SELECT 'detection.topics', {columns} FROM snaps WHERE step_id = 'detection.outbox'"
    snapshots(killed, f"INSERT INTO snaps (step_id, {columns}) {select}")


def test_what_is_to_go_onto_topics_is_told(killed: Path) -> None:
    topics_outbox(killed)
    told = document(killed)
    assert told["faults"] == []
    assert {row["outbox"] for row in told["outboxes"]} == {"detection.outbox", "detection.topics"}
    assert sum(row["held"] for row in told["outboxes"] if row["outbox"] == "detection.topics") > 0
    assert "detection.topics" in run(killed).output


def test_state_of_a_newer_release_is_told(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JourneyLogic, "state_version", 0)
    assert set(messages(killed)) == {"stage journey: recovered state is of version 1, this program knows 0"}


def test_state_that_can_no_longer_be_migrated_is_told(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JourneyLogic, "state_version", 2)
    assert any("version 1" in message for message in messages(killed))


def test_keys_of_an_older_version_are_counted_and_no_fault_when_they_can_be_migrated(
    killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = document(killed)["versions"]["stages"]["journey"]["1"]
    monkeypatch.setattr(JourneyLogic, "state_version", 2)
    monkeypatch.setattr(JourneyLogic, "migrate", lambda logic, version, state: logic.new_state("any"))
    told = document(killed)
    assert (told["faults"], told["versions"]["stages"]["journey"]) == ([], {"1": keys})
