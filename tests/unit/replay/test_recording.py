import re
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from config.errors import RecordingError
from replay.manifest import content_id, decode, encode
from replay.recording import Recording
from replay.writer import RecordingWriter
from tests.support.recordings import MADE_AT, numbered, record

FILE = "topic=orders/partition=0/00000.parquet"
ROWS = 105_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "R"
    with RecordingWriter(folder, created_at=MADE_AT) as writer:
        for o, stamp, key, value in numbered(ROWS):
            writer.write("orders", 0, o, stamp, key, value)
        writer.declare("crm", 1)
        (folder / "labels.json").write_text('{"late":3}')
        writer.finish(labels="labels.json")
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "R"))


def refusal(folder: Path, *, verify: bool = True) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        Recording.open(folder, verify=verify)
    assert refused.value.remedy
    return refused.value


def change_byte(path: Path, position: int) -> None:
    body = bytearray(path.read_bytes())
    body[position] ^= 0x10
    path.write_bytes(body)


def test_a_recording_tells_what_it_holds(whole: Path) -> None:
    recording = Recording.open(whole)
    orders = recording.partition("orders", 0)
    assert recording.manifest.topics == {"crm": 0, "orders": ROWS}
    assert (orders.records, orders.first_offset, orders.end_offset) == (ROWS, 0, ROWS)
    assert (orders.min_timestamp, orders.max_timestamp) == (0, (ROWS - 1) * 1_000)
    assert recording.recorded_until == ((ROWS - 1) * 1_000 + 1) * 1_000
    assert recording.manifest.recorded_until_text == "1970-01-02T05:09:59.001000Z"
    assert recording.labels == whole / "labels.json"
    assert orders.bytes == (whole / FILE).stat().st_size
    assert list(recording.problems()) == []


def test_row_groups_fill_their_file_up_to_its_footer(whole: Path) -> None:
    footer = pq.read_metadata(whole / FILE).serialized_size + 8
    assert Recording.open(whole).reader("orders", 0).index[-1].end_byte == (whole / FILE).stat().st_size - footer


def test_an_unknown_partition_is_refused(whole: Path) -> None:
    with pytest.raises(RecordingError, match="no partition orders/7"):
        Recording.open(whole).reader("orders", 7)


def test_the_same_records_have_the_same_id(tmp_path: Path) -> None:
    ids = [record(tmp_path / name, {("orders", 0): numbered(n)}).id for name, n in (("a", 9), ("b", 9), ("c", 8))]
    assert ids[0] == ids[1] != ids[2]


def test_another_end_of_time_gives_another_id(tmp_path: Path) -> None:
    first = record(tmp_path / "a", {("orders", 0): numbered(9)}, recorded_until=10_000_000)
    second = record(tmp_path / "b", {("orders", 0): numbered(9)}, recorded_until=11_000_000)
    assert first.id != second.id


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "nothing-here does not exist" in refusal(tmp_path / "nothing-here").message


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "is empty" in refusal(tmp_path).message


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "has no manifest.json" in refusal(tmp_path).message


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "R").write_text("hello")
    assert "is a file" in refusal(tmp_path / "R").message


@pytest.mark.parametrize("verify", [True, False])
def test_a_missing_file_is_refused(folder: Path, verify: bool) -> None:
    (folder / FILE).unlink()
    assert f"{FILE} is missing" in refusal(folder, verify=verify).message


@pytest.mark.parametrize("verify", [True, False])
def test_half_a_file_is_refused_with_the_row_where_it_breaks(folder: Path, verify: bool) -> None:
    groups = Recording.open(folder).reader("orders", 0).index
    body = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(body[: groups[0].end_byte + 100])
    message = refusal(folder, verify=verify).message
    assert FILE in message
    assert "cut off in row group 1, row 50000 (offset 50000) and on" in message


def test_a_file_without_its_footer_is_refused(folder: Path) -> None:
    body = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(body[:-4])
    assert re.search(rf"has {len(body) - 4} bytes where {len(body)} were written", refusal(folder).message)


def test_a_changed_byte_is_refused_with_the_row_group_where_it_lies(folder: Path) -> None:
    groups = Recording.open(folder).reader("orders", 0).index
    change_byte(folder / FILE, groups[1].end_byte - 10)
    message = refusal(folder).message
    assert "damaged in row group 1 (rows 50000…99999, offsets 50000…99999)" in message


def test_a_changed_byte_in_the_footer_is_refused(folder: Path) -> None:
    change_byte(folder / FILE, (folder / FILE).stat().st_size - 100)
    assert "footer, after row 104999" in refusal(folder).message


def test_changed_labels_are_refused(folder: Path) -> None:
    (folder / "labels.json").write_text('{"late":4}')
    assert "labels.json is damaged" in refusal(folder).message


def test_missing_labels_are_refused(folder: Path) -> None:
    (folder / "labels.json").unlink()
    assert "labels.json is missing" in refusal(folder).message


def test_a_manifest_that_cannot_be_read_is_refused(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()
    assert "manifest.json cannot be read: Is a directory" in refusal(folder).message


def test_a_file_that_cannot_be_looked_at_is_refused(folder: Path) -> None:
    shutil.rmtree(folder / "topic=orders")
    (folder / "topic=orders").write_text("")
    assert f"{FILE} cannot be read: Not a directory" in refusal(folder).message


def edited(folder: Path, edit: Callable[[dict[str, object]], object], *, seal: bool = False) -> RecordingError:
    path = folder / "manifest.json"
    document = msgspec.json.decode(path.read_bytes())
    edit(document)
    if seal:
        manifest = msgspec.convert(document, type(Recording.load(folder).manifest))
        document["id"] = content_id(manifest)
    path.write_bytes(msgspec.json.encode(document))
    return refusal(folder)


def test_a_newer_format_is_refused_by_its_version(folder: Path) -> None:
    error = edited(folder, lambda m: m.update(version=2, news=True))
    assert "format version 2" in error.message
    assert "later" in error.remedy


def test_a_manifest_of_something_else_is_refused(folder: Path) -> None:
    assert "not the manifest of a recording" in edited(folder, lambda m: m.update(format="other")).message


def test_an_edited_manifest_is_refused(folder: Path) -> None:
    assert "was changed" in edited(folder, lambda m: m.update(recorded_until=5)).message


def test_a_manifest_of_the_wrong_shape_is_refused_with_the_field(folder: Path) -> None:
    assert "$.recorded_until" in edited(folder, lambda m: m.update(recorded_until="soon")).message


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff"])
def test_a_manifest_that_is_no_json_object_is_refused(folder: Path, text: bytes) -> None:
    (folder / "manifest.json").write_bytes(text)
    assert "is not a manifest" in refusal(folder).message


def test_a_manifest_whose_names_lead_out_of_the_folder_is_refused(folder: Path) -> None:
    def lead_out(manifest: dict[str, object]) -> None:
        manifest["partitions"][1]["files"][0]["name"] = "../../secret"  # type: ignore[index]

    assert "not named as a recording's" in edited(folder, lead_out, seal=True).message


def test_labels_that_lie_elsewhere_are_refused(folder: Path) -> None:
    def lead_out(manifest: dict[str, object]) -> None:
        manifest["labels"]["name"] = "../labels.json"  # type: ignore[index]

    assert "is not in the folder" in edited(folder, lead_out, seal=True).message


def test_a_manifest_is_read_as_it_was_written(whole: Path) -> None:
    manifest = Recording.load(whole).manifest
    assert decode(encode(manifest), "manifest") == manifest


def test_checking_names_every_file_at_fault(tmp_path: Path) -> None:
    recording = record(tmp_path / "R", {("orders", p): numbered(100) for p in range(3)})
    change_byte(tmp_path / "R" / FILE, 50)
    (tmp_path / "R" / "topic=orders/partition=2/00000.parquet").unlink()
    problems = list(recording.problems())
    assert len(problems) == 2
    assert "partition=0/00000.parquet is damaged in row group 0" in problems[0]
    assert "partition=2/00000.parquet is missing" in problems[1]


def test_checking_looks_at_the_labels(folder: Path) -> None:
    change_byte(folder / "labels.json", 3)
    assert [problem.split("/")[-1] for problem in Recording.load(folder).problems()] == [
        "labels.json is damaged: its checksum is wrong."
    ]
