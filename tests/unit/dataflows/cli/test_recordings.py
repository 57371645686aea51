import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dataflows.cli import main
from replay.recording import Recording
from replay.writer import RecordingWriter
from tests.support.recordings import MADE_AT, numbered, record

FILE = "topic=orders/partition=0/00000.parquet"


def forestall(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def dump(path: Path, count: int, topic: str = "orders", stamp: int = 1_500_000_000_000) -> Path:
    common = {"topic": topic, "partition": 0, "tstype": "create", "key": None, "payload": "{}"}
    lines = (json.dumps({**common, "offset": offset, "ts": stamp + offset}) for offset in range(count))
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_importing_counts_records_by_topic(tmp_path: Path) -> None:
    files = [dump(tmp_path / "a.gz", 3), dump(tmp_path / "b.gz", 2, topic="crm")]
    result = forestall("import", "kcat", *files, "--into", tmp_path / "R", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "into": str(tmp_path / "R"),
        "topics": {"crm": 2, "orders": 3},
        "recorded_until": "2017-07-14T02:40:00.003000Z",
        "id": Recording.open(tmp_path / "R").id,
    }


def test_importing_shows_people_a_table(tmp_path: Path) -> None:
    result = forestall("import", "kcat", dump(tmp_path / "a.gz", 1_234), "--into", tmp_path / "R")
    assert result.exit_code == 0
    assert "1,234" in result.stdout
    assert "recorded until 2017-07-14T02:40:01.234000Z" in result.stdout


def test_the_end_of_a_dump_can_be_said(tmp_path: Path) -> None:
    result = forestall("import", "kcat", dump(tmp_path / "a.gz", 3), "--into", tmp_path / "R", "--until", "2017-08-01")
    assert result.exit_code == 0
    assert Recording.open(tmp_path / "R").manifest.recorded_until_text == "2017-08-01T00:00:00Z"


@pytest.mark.parametrize("time", ["yesterday", "2017-08-01T00:00:00", "2017-13-01"])
def test_a_time_that_is_none_is_misuse(tmp_path: Path, time: str) -> None:
    result = forestall("import", "kcat", dump(tmp_path / "a.gz", 3), "--into", tmp_path / "R", "--until", time)
    assert result.exit_code == 2
    assert "2018-03-01T00:00:00Z" in result.stderr


def test_a_broken_dump_is_the_inputs_fault(tmp_path: Path) -> None:
    (tmp_path / "dump").write_text("hello\n")
    result = forestall("import", "kcat", tmp_path / "dump", "--into", tmp_path / "R")
    assert result.exit_code == 3
    assert f"{tmp_path / 'dump'}:1: not an envelope" in result.stderr
    assert "remedy: " in result.stderr
    assert not (tmp_path / "R").exists()


def test_a_dump_without_records_is_the_inputs_fault(tmp_path: Path) -> None:
    (tmp_path / "dump").write_text("")
    result = forestall("import", "kcat", tmp_path / "dump", "--into", tmp_path / "R")
    assert result.exit_code == 3
    assert "no record in it" in result.stderr


def test_a_dump_from_the_future_must_say_its_end(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.gz", 1, stamp=253_402_300_000_000)
    result = forestall("import", "kcat", path, "--into", tmp_path / "R")
    assert result.exit_code == 3
    assert "Say it with --until" in result.stderr
    assert forestall("import", "kcat", path, "--into", tmp_path / "R", "--until", "2020-01-01").exit_code == 0


def test_importing_into_a_full_folder_is_misuse(tmp_path: Path) -> None:
    assert forestall("import", "kcat", dump(tmp_path / "a.gz", 1), "--into", tmp_path).exit_code == 2


def test_info_tells_partitions_offsets_and_times(tmp_path: Path) -> None:
    recording = record(tmp_path / "R", {("orders", 0): numbered(5, first=7), ("crm", 1): []})
    document = json.loads(forestall("recording", "info", tmp_path / "R", "--json").stdout)
    assert document["id"] == recording.id
    assert document["topics"] == {"crm": 0, "orders": 5}
    assert document["recorded_until"] == "1970-01-01T00:00:11.001000Z"
    empty, orders = document["partitions"]
    assert (empty["records"], empty["first"], empty["files"]) == (0, None, 0)
    assert (orders["first_offset"], orders["end_offset"]) == (7, 12)
    assert (orders["first"], orders["last"]) == ("1970-01-01T00:00:07Z", "1970-01-01T00:00:11Z")


def test_info_shows_people_a_table(tmp_path: Path) -> None:
    recording = record(tmp_path / "R", {("orders", 0): numbered(5, first=7), ("crm", 1): []})
    shown = forestall("recording", "info", tmp_path / "R").stdout
    for text in (recording.id, "orders/0", "7…11", "none from 0", "1970-01-01T00:00:11.001000Z"):
        assert text in shown


def test_info_names_the_labels(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        (tmp_path / "R" / "labels.json").write_text("{}")
        writer.declare("orders", 0)
        writer.finish(5, labels="labels.json")
    assert "labels: labels.json" in forestall("recording", "info", tmp_path / "R").stdout
    assert json.loads(forestall("recording", "info", tmp_path / "R", "--json").stdout)["labels"] == "labels.json"


def test_info_of_what_is_no_recording_is_the_inputs_fault(tmp_path: Path) -> None:
    result = forestall("recording", "info", tmp_path)
    assert result.exit_code == 3
    assert "is empty" in result.stderr


def test_a_whole_recording_is_verified(tmp_path: Path) -> None:
    record(tmp_path / "R", {("orders", 0): numbered(5)})
    assert "is whole, 5 records" in forestall("recording", "verify", tmp_path / "R").stdout
    assert json.loads(forestall("recording", "verify", tmp_path / "R", "--json").stdout)["ok"] is True


def test_a_damaged_recording_fails_verification_with_each_file(tmp_path: Path) -> None:
    record(tmp_path / "R", {("orders", 0): numbered(5), ("orders", 1): numbered(5)})
    (tmp_path / "R" / FILE).unlink()
    result = forestall("recording", "verify", tmp_path / "R", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["ok"], document["files"], len(document["problems"])) == (False, 2, 1)
    assert f"{FILE} is missing" in result.stderr


def test_cutting_keeps_offsets(tmp_path: Path) -> None:
    record(tmp_path / "R", {("orders", 0): numbered(100)})
    span = ("--from", "1970-01-01T00:00:10Z", "--until", "1970-01-01T00:01:00Z")
    result = forestall("recording", "cut", tmp_path / "R", *span, "--into", tmp_path / "C", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["topics"] == {"orders": 50}
    assert Recording.open(tmp_path / "C").partition("orders", 0).first_offset == 10


def test_cutting_a_damaged_recording_is_the_inputs_fault(tmp_path: Path) -> None:
    record(tmp_path / "R", {("orders", 0): numbered(100)})
    (tmp_path / "R" / FILE).write_bytes(b"PAR1")
    result = forestall("recording", "cut", tmp_path / "R", "--into", tmp_path / "C")
    assert result.exit_code == 3
    assert "has 4 bytes where" in result.stderr


@pytest.mark.parametrize("command", ["import kcat", "recording info", "recording verify", "recording cut"])
def test_help_shows_an_example(command: str) -> None:
    result = forestall(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"forestall {command} " in result.stdout.split("Example:")[1]
