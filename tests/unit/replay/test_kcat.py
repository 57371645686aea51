import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from config.errors import RecordingError
from replay import kcat
from replay.kcat import import_dumps
from replay.recording import Recording
from replay.writer import RecordingWriter
from tests.support.recordings import MADE_AT, records_of


def line(offset: Any = 0, **changes: Any) -> bytes:
    envelope: dict[str, Any] = {
        "topic": "orders",
        "partition": 0,
        "offset": offset,
        "tstype": "create",
        "ts": 1_000 + offset if isinstance(offset, int) else 0,
        "broker": 1,
        "headers": ["content-type", "application/cloudevents+json; charset=utf-8"],
        "key": "k",
        "payload": '{"a":1}',
    }
    envelope.update(changes)
    return json.dumps({name: value for name, value in envelope.items() if value is not ...}).encode() + b"\n"


def dump(folder: Path, *lines: bytes, name: str = "dump.jsonl") -> Path:
    path = folder / name
    body = b"".join(lines)
    path.write_bytes(gzip.compress(body) if name.endswith(".gz") else body)
    return path


def imported(folder: Path, *paths: Path) -> Recording:
    with RecordingWriter(folder / "R", created_at=MADE_AT) as writer:
        import_dumps(paths, writer)
        writer.finish()
    return Recording.open(folder / "R")


def refusal(folder: Path, *paths: Path) -> RecordingError:
    with pytest.raises(RecordingError) as refused:
        imported(folder, *paths)
    assert refused.value.remedy
    assert not (folder / "R").exists()
    return refused.value


@pytest.mark.parametrize("name", ["dump.jsonl", "dump.jsonl.gz"])
def test_a_dump_becomes_a_recording(tmp_path: Path, name: str) -> None:
    path = dump(tmp_path, line(3), line(0, topic="crm", partition=1, key=None), line(7, payload=None), name=name)
    recording = imported(tmp_path, path)
    assert recording.manifest.topics == {"crm": 1, "orders": 2}
    assert records_of(recording.reader("orders", 0)) == [(3, 1_003, b"k", b'{"a":1}'), (7, 1_007, b"k", None)]
    assert records_of(recording.reader("crm", 1)) == [(0, 1_000, None, b'{"a":1}')]


def test_a_gzip_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "dump.jsonl"
    path.write_bytes(gzip.compress(line(0)) + gzip.compress(line(1)))
    assert imported(tmp_path, path).manifest.topics == {"orders": 2}


def test_a_topic_goes_on_from_file_to_file(tmp_path: Path) -> None:
    first, second = dump(tmp_path, line(0), name="a"), dump(tmp_path, line(1), name="b")
    assert imported(tmp_path, first, second).manifest.topics == {"orders": 2}


def test_a_topic_in_files_out_of_order_is_refused(tmp_path: Path) -> None:
    first, second = dump(tmp_path, line(0), name="a"), dump(tmp_path, line(1), name="b")
    assert "a:1: offset 0 of orders/0 follows offset 1" in refusal(tmp_path, second, first).message


def test_strange_text_comes_back_as_bytes(tmp_path: Path) -> None:
    texts = ["größer", "\u0000", "\U0001f600", '"\\\n']
    path = dump(tmp_path, *(line(o, key=text, payload=text) for o, text in enumerate(texts)))
    found = records_of(imported(tmp_path, path).reader("orders", 0))
    assert [key for _, _, key, _ in found] == [text.encode() for text in texts]
    assert [value for _, _, _, value in found] == [text.encode() for text in texts]


def test_bytes_that_are_not_utf8_are_kept(tmp_path: Path) -> None:
    strange = b"\xff\x80caf\xc3\xa9\xe2\x82"
    path = dump(tmp_path, line(0, key="KEY", headers=["h", "KEY"]).replace(b"KEY", strange))
    recording = imported(tmp_path, path)
    batch = recording.reader("orders", 0).read(0, 1)
    assert batch is not None
    assert list(batch.keys) == [strange]
    assert batch.headers == [[("h", strange)]]


def test_a_record_without_timestamp_or_headers_is_read(tmp_path: Path) -> None:
    path = dump(tmp_path, line(0, tstype="unknown", ts=0, headers=...), line(1, tstype="logappend"))
    found = records_of(imported(tmp_path, path).reader("orders", 0))
    assert [stamp for _, stamp, _, _ in found] == [-1, 1_001]


def test_headers_are_kept_with_null_values_and_repeats(tmp_path: Path) -> None:
    path = dump(tmp_path, line(0, headers=["a", "1", "a", None]))
    batch = imported(tmp_path, path).reader("orders", 0).read(0, 1)
    assert batch is not None
    assert batch.headers == [[("a", b"1"), ("a", None)]]


def test_blank_lines_are_passed_over(tmp_path: Path) -> None:
    assert imported(tmp_path, dump(tmp_path, line(0), b"\n", line(1), b"\r\n")).manifest.topics == {"orders": 2}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"% Reached end of topic\n", "malformed"),
        (b"[1]\n", "Expected `object`"),
        (line(offset="12"), r"$.offset"),
        (line(offset=-1), r"$.offset"),
        (line(1, partition=2**31), r"$.partition"),
        (line(1, topic=...), "missing required field `topic`"),
        (line(1, key=...), "missing required field `key`"),
        (line(1, payload={"decoded": True}), r"$.payload"),
        (line(1, ts=10**15), r"$.ts"),
        (line(1, ts=1.5), r"$.ts"),
        (line(1, ts=1.5, key="KEY").replace(b"KEY", b"\xff"), r"$.ts"),
        (line(1, headers=["odd"]), "headers are not a list of names and values"),
        (line(1, headers=[None, "v"]), "headers are not a list of names and values"),
        (line(1, topic="../up"), "cannot be a topic partition"),
        (line(0), "offset 0 of orders/0 follows offset 0"),
        (b'{"\xff\n', "neither UTF-8 nor as kcat writes it"),
        (b"\xff" + b"[" * 100_000 + b"\n", "neither UTF-8 nor as kcat writes it"),
        (line(1, key="\\ud800").replace(b"\\\\u", b"\\u"), "not an envelope"),
        (line("\xff").replace(b"\\u00ff", b"\xff"), "neither UTF-8 nor as kcat writes it"),
    ],
)
def test_a_broken_line_is_refused_with_file_and_line(tmp_path: Path, bad: bytes, why: str) -> None:
    path = dump(tmp_path, line(0), bad, line(2))
    message = refusal(tmp_path, path).message
    assert message.startswith(f"{path}:2: ")
    assert why in message


def test_messages_hold_no_values(tmp_path: Path) -> None:
    error = refusal(tmp_path, dump(tmp_path, line(0, key=["jane@example.com"])))
    assert "jane" not in str(error)


def test_a_dump_cut_off_in_a_line_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, dump(tmp_path, line(0), line(1)[:40]))
    assert ":2: " in error.message
    assert "last line is cut off" in error.remedy


def test_a_last_line_without_line_break_is_read(tmp_path: Path) -> None:
    assert imported(tmp_path, dump(tmp_path, line(0), line(1).rstrip())).manifest.topics == {"orders": 2}


def test_a_gzip_file_cut_off_is_refused_with_the_line(tmp_path: Path) -> None:
    path = dump(tmp_path, *(line(o, key=str(o * 7919 % 10_007)) for o in range(5_000)), name="dump.gz")
    path.write_bytes(path.read_bytes()[:-2_000])
    message = refusal(tmp_path, path).message
    assert f"{path}: the gzip file is cut off or damaged after line" in message
    assert "after line 0" not in message


@pytest.mark.parametrize("position", [2, 40, -6])
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, position: int) -> None:
    path = dump(tmp_path, *(line(o, key=str(o * 7919 % 10_007)) for o in range(5_000)), name="dump.gz")
    body = bytearray(path.read_bytes())
    body[position] ^= 0xFF
    path.write_bytes(body)
    assert str(path) in refusal(tmp_path, path).message


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kcat, "LINE_BYTES", 1_000)
    assert ":1: longer than 1000 bytes" in refusal(tmp_path, dump(tmp_path, line(0, payload="x" * 2_000))).message


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "cannot be read: Is a directory" in refusal(tmp_path, tmp_path / "folder").message


@pytest.mark.parametrize("name", ["dump.jsonl", "dump.gz"])
def test_progress_adds_up_to_the_size_of_the_files(tmp_path: Path, name: str) -> None:
    path = dump(tmp_path, *(line(o) for o in range(10_000)), name=name)
    told: list[int] = []
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        assert import_dumps([path], writer, told.append) == 10_000
        writer.finish()
    assert sum(told) == path.stat().st_size
    assert len(told) > 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "topics"),
    [
        ("olist/*.gz", {"crm": 8_246, "orders": 43_931, "telemetry": 16_685}),
        ("nezha/2022-08-22/*.gz", {"telemetry": 13_299}),
        ("nezha/2023-01-30/*.gz", {"telemetry": 34_827}),
    ],
)
def test_the_recorded_topics_are_imported_whole(
    tmp_path: Path, shared_data: Path, pattern: str, topics: dict[str, int]
) -> None:
    paths = sorted(shared_data.glob(pattern))
    recording = imported(tmp_path, *paths)
    assert recording.manifest.topics == topics
    expected: dict[tuple[str, int], list[bytes]] = {}
    for path in paths:
        for text in gzip.decompress(path.read_bytes()).splitlines():
            envelope = json.loads(text)
            expected.setdefault((envelope["topic"], envelope["partition"]), []).append(envelope["payload"].encode())
    assert expected == {
        (part.topic, part.partition): [value for *_, value in records_of(recording.reader(part.topic, part.partition))]
        for part in recording.partitions
    }
