import fcntl
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from config.errors import EnvironmentFault, RecordingError, UsageError
from dataflows.schema_folder import SchemaFolder
from operators.wire import Schema
from replay.manifest import Idle
from replay.partition_writer import ROW_GROUP_ROWS
from replay.recording import Recording
from replay.writer import RecordingWriter
from tests.support.recordings import MADE_AT, batch_of, numbered, record, records_of


def test_records_and_batches_may_be_mixed(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        for o, stamp, key, value in numbered(10):
            writer.write("orders", 0, o, stamp, key, value)
        writer.append(batch_of(numbered(25_000, first=10)))
        for o, stamp, key, value in numbered(10, first=25_010):
            writer.write("orders", 0, o, stamp, key, value)
        writer.finish()
    assert records_of(Recording.open(tmp_path / "R").reader("orders", 0)) == numbered(25_020)


def test_how_records_were_given_does_not_show(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "singly", created_at=MADE_AT) as writer:
        for o, stamp, key, value in numbered(30_000):
            writer.write("orders", 0, o, stamp, key, value)
        singly = writer.finish()
    assert record(tmp_path / "batch", {("orders", 0): numbered(30_000)}).id == singly.id


def test_other_tools_can_read_the_files(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        writer.write("orders", 2, 5, 7, b"k", None, [("h", b"v")], "logappend")
        writer.finish()
    frame = pl.read_parquet(tmp_path / "R" / "topic=orders" / "partition=2" / "00000.parquet", hive_partitioning=False)
    assert frame.to_dicts() == [
        {
            "partition": 2,
            "offset": 5,
            "timestamp": 7,
            "timestamp_type": "logappend",
            "key": b"k",
            "value": None,
            "headers": [{"name": "h", "value": b"v"}],
        }
    ]


@pytest.mark.parametrize("offset", [4, 3, -1])
def test_offsets_must_rise_record_by_record(tmp_path: Path, offset: int) -> None:
    writer = RecordingWriter(tmp_path / "R", created_at=MADE_AT)
    writer.write("orders", 0, 4, 1, None, None)
    with pytest.raises(RecordingError, match=f"offset {offset} of orders/0 follows offset 4"):
        writer.write("orders", 0, offset, 1, None, None)
    writer.abandon()


def test_offsets_must_rise_within_and_across_batches(tmp_path: Path) -> None:
    rows = numbered(5)
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        with pytest.raises(RecordingError, match="offset 2 of orders/0 follows offset 3"):
            writer.append(batch_of([rows[1], rows[3], rows[2]]))
        with pytest.raises(RecordingError, match="offset 1 of orders/0 follows offset 1"):
            writer.append(batch_of([rows[0], rows[1], rows[1]]))
        writer.append(batch_of(rows[:3]))
        with pytest.raises(RecordingError, match="offset 2 of orders/0 follows offset 2"):
            writer.append(batch_of(rows[2:]))
        writer.append(batch_of(rows[3:]))
        writer.finish()
    assert records_of(Recording.open(tmp_path / "R").reader("orders", 0)) == rows


@pytest.mark.parametrize("stamp", [-2, 253_402_300_800_000])
def test_a_timestamp_that_no_calendar_has_is_refused(tmp_path: Path, stamp: int) -> None:
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        with pytest.raises(RecordingError, match=rf"orders/0/9 has timestamp {stamp} ms"):
            writer.write("orders", 0, 9, stamp, None, None)
        with pytest.raises(RecordingError, match=rf"orders/0/9 has timestamp {stamp} ms"):
            writer.append(batch_of([(9, stamp, None, None)]))
        writer.abandon()


@pytest.mark.parametrize(("topic", "partition"), [("a/b", 0), ("..", 0), ("", 0), ("orders", -1), ("x" * 250, 0)])
def test_names_that_kafka_would_not_allow_are_refused(tmp_path: Path, topic: str, partition: int) -> None:
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        with pytest.raises(RecordingError, match="cannot be a topic partition"):
            writer.write(topic, partition, 0, 1, None, None)
        writer.abandon()


def test_a_record_from_the_future_does_not_decide_the_end(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        writer.append(batch_of([*numbered(3), (3, 253_402_300_799_999, None, None)]))
        with pytest.raises(RecordingError, match=r"orders/0 holds a record stamped 9999-12-31T23:59:59\.999"):
            writer.finish()
        writer.abandon()


def test_times_span_all_that_was_given_in_whatever_order(tmp_path: Path) -> None:
    stamps = [50, 90, 20, 70]
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT, rows_per_file=1) as writer:
        for offset, stamp in enumerate(stamps):
            writer.append(batch_of([(ROW_GROUP_ROWS * offset + o, stamp, None, None) for o in range(ROW_GROUP_ROWS)]))
        manifest = writer.finish()
    assert len(manifest.partitions[0].files) == 4
    assert (manifest.partitions[0].min_timestamp, manifest.partitions[0].max_timestamp) == (20, 90)
    assert manifest.recorded_until == 91_000


def test_when_a_recording_was_made_is_not_part_of_its_id(tmp_path: Path) -> None:
    ids = set()
    for name, created_at in (("a", MADE_AT), ("b", MADE_AT + 1)):
        with RecordingWriter(tmp_path / name, created_at=created_at) as writer:
            writer.append(batch_of(numbered(3)))
            ids.add(writer.finish().id)
    assert len(ids) == 1


def test_a_file_is_synced_before_it_gets_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[tuple[str, Path]] = []
    fsync, rename = os.fsync, Path.rename

    def logged_fsync(handle: int) -> None:
        log.append(("sync", Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    def logged_rename(path: Path, target: Path) -> Path:
        log.append(("rename", path))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(Path, "rename", logged_rename)
    record(tmp_path.resolve() / "R", {("orders", 0): numbered(3)})
    renames = [position for position, (what, _) in enumerate(log) if what == "rename"]
    assert [log[position][1].name for position in renames] == ["00000.parquet.partial", "manifest.json.partial"]
    for position in renames:
        path = log[position][1]
        assert log[position - 1] == ("sync", path)
        assert log[position + 1] == ("sync", path.parent)


def test_without_timestamps_the_end_must_be_said(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        writer.write("orders", 0, 0, -1, None, None)
        with pytest.raises(RecordingError, match="no record has a timestamp"):
            writer.finish()
        writer.finish(5_000)
    assert Recording.open(tmp_path / "R").recorded_until == 5_000


def test_idle_decisions_are_kept_in_order(tmp_path: Path) -> None:
    late, early = Idle("orders", 0, 9, 5), Idle("orders", 0, 4, 3)
    recording = record(tmp_path / "R", {("orders", 0): numbered(10)}, idle=[late, early])
    assert recording.manifest.idle == [early, late]


def test_an_error_takes_away_what_was_written(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    with pytest.raises(Stop), RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:  # noqa: PT012
        writer.append(batch_of(numbered(25_000)))
        raise Stop
    assert not (tmp_path / "R").exists()


def test_a_folder_that_was_there_before_stays_when_the_writer_gives_up(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, created_at=MADE_AT)
    writer.append(batch_of(numbered(25_000)))
    writer.abandon()
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="is not empty"):
        RecordingWriter(tmp_path, created_at=MADE_AT)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_finished_recording_is_not_overwritten(tmp_path: Path) -> None:
    before = record(tmp_path / "R", {("orders", 0): numbered(3)})
    with pytest.raises(UsageError, match="holds a recording already"):
        RecordingWriter(tmp_path / "R", created_at=MADE_AT)
    assert Recording.open(tmp_path / "R").id == before.id


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "R").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        RecordingWriter(tmp_path / "R", created_at=MADE_AT)


def test_two_writers_do_not_share_a_folder(tmp_path: Path) -> None:
    (tmp_path / ".unfinished").touch()
    held = os.open(tmp_path / ".unfinished", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with pytest.raises(UsageError, match="another process is writing"):
            RecordingWriter(tmp_path, created_at=MADE_AT)
    finally:
        os.close(held)


def test_a_folder_that_cannot_be_made_is_a_fault_of_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match=r"file/R cannot be written: Not a directory"):
        RecordingWriter(tmp_path / "file" / "R", created_at=MADE_AT)


def test_a_full_disk_is_a_fault_of_the_place_and_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(EnvironmentFault, match="cannot be written"):
            record(tmp_path / "R", {("orders", 0): [(o, o, None, os.urandom(100_000)) for o in range(400)]})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "R").exists()


KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from replay.writer import RecordingWriter

folder, event, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def kill(name, args):
    global count
    if name == event:
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
with RecordingWriter(folder, created_at=10**15) as writer:
    sys.addaudithook(kill)
    for partition in (0, 1):
        for offset in range(3):
            writer.write("orders", partition, offset, offset, b"k", b"v")
    writer.finish()
"""


def killed_at(folder: Path, event: str, count: int) -> int:
    command = [sys.executable, "-c", KILLED_WRITER, str(folder), event, str(count)]
    return subprocess.run(command, check=False, timeout=60).returncode


@pytest.mark.parametrize("rename", [1, 2, 3])
def test_a_killed_writer_leaves_what_cannot_be_taken_for_whole_and_can_be_made_again(
    tmp_path: Path, rename: int
) -> None:
    assert killed_at(tmp_path / "R", "os.rename", rename) == -signal.SIGKILL
    with pytest.raises(RecordingError, match="unfinished") as refused:
        Recording.open(tmp_path / "R")
    assert "again" in refused.value.remedy
    (tmp_path / "R" / "labels.json").write_text("what the killed run left")
    again = record(tmp_path / "R", {("orders", 0): numbered(4)})
    assert records_of(again.reader("orders", 0)) == numbered(4)
    assert sorted(path.name for path in (tmp_path / "R").iterdir()) == ["manifest.json", "topic=orders"]


def test_a_writer_killed_after_its_manifest_has_made_a_whole_recording(tmp_path: Path) -> None:
    assert killed_at(tmp_path / "R", "os.remove", 1) == -signal.SIGKILL
    assert Recording.open(tmp_path / "R").manifest.topics == {"orders": 6}


def test_stopped_writer_is_gone_on_with_from_its_checkpoint(tmp_path: Path) -> None:
    folder, records = tmp_path / "R", numbered(40)
    first = RecordingWriter(folder, created_at=MADE_AT, resume=True)
    assert first.left is None
    first.append(batch_of(records[:20]))
    first.checkpoint({"from": 7})
    first.append(batch_of(records[20:30]))
    first.leave()
    with pytest.raises(RecordingError, match="unfinished"):
        Recording.open(folder)
    second = RecordingWriter(folder, created_at=MADE_AT, resume=True)
    assert second.left is not None
    assert (second.left.plan, [part.end_offset for part in second.left.partitions]) == ({"from": 7}, [20])
    second.append(batch_of(records[20:]))
    manifest = second.finish(10**15)
    assert [part.records for part in manifest.partitions] == [40]
    assert records_of(Recording.open(folder).reader("orders", 0)) == records
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "topic=orders"]


def test_writer_that_does_not_resume_starts_over(tmp_path: Path) -> None:
    first = RecordingWriter(tmp_path / "R", created_at=MADE_AT, resume=True)
    first.append(batch_of(numbered(5)))
    first.checkpoint({})
    first.leave()
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as second:
        second.append(batch_of(numbered(2)))
        assert second.finish(10**15).topics == {"orders": 2}


def test_file_lost_since_the_checkpoint_is_told(tmp_path: Path) -> None:
    first = RecordingWriter(tmp_path / "R", created_at=MADE_AT, resume=True)
    first.append(batch_of(numbered(5)))
    first.checkpoint({})
    first.leave()
    next((tmp_path / "R").glob("topic=*/*/*")).unlink()
    with pytest.raises(RecordingError, match=r"00000\.parquet is missing"):
        RecordingWriter(tmp_path / "R", created_at=MADE_AT, resume=True)


def test_schemas_are_part_of_a_recording_and_checked_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "R"
    with RecordingWriter(folder, created_at=MADE_AT) as writer:
        writer.append(batch_of(numbered(2)))
        SchemaFolder(folder / "schemas").keep(Schema("7", "JSON", "{}"))
        writer.finish(10**15, schemas=["7"])
    opened = Recording.open(folder)
    assert "7" in opened.schemas()
    assert list(opened.problems()) == []
    (folder / "schemas" / "7.json").write_bytes(b"{}")
    with pytest.raises(RecordingError, match=r"7\.json has 2 bytes"):
        Recording.open(folder)
    assert len(list(opened.problems())) == 1


def test_recording_without_schemas_says_nothing_of_them(tmp_path: Path) -> None:
    record(tmp_path / "R", {("orders", 0): numbered(2)}, recorded_until=10**15)
    assert b"schemas" not in (tmp_path / "R" / "manifest.json").read_bytes()
