from pathlib import Path

import pytest

from config.errors import RecordingError
from replay.partition_writer import ROW_GROUP_BYTES, ROW_GROUP_ROWS
from replay.recording import Recording
from replay.writer import RecordingWriter
from tests.support.recordings import MADE_AT, numbered, record, records_of

MANY = 2 * ROW_GROUP_ROWS + 5_000
STRUCTURED = ("content-type", b"application/cloudevents+json; charset=utf-8")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """105,000 records in three row groups and two files, each second offset a hole."""
    folder = tmp_path_factory.mktemp("many") / "R"
    return record(folder, {("orders", 0): numbered(MANY, first=100, step=2)}, rows_per_file=2 * ROW_GROUP_ROWS)


@pytest.mark.parametrize("limit", [1_777, 20_000, 100_000])
def test_reading_gives_every_record_once_whatever_the_limit(many: Recording, limit: int) -> None:
    assert records_of(many.reader("orders", 0), limit) == numbered(MANY, first=100, step=2)


def test_reading_can_begin_anywhere(many: Recording) -> None:
    reader = many.reader("orders", 0)
    for start in (200_100, 102, 100_098, 100_100, 210_098):
        batch = reader.read(start, 3)
        assert batch is not None
        assert batch.offsets[0] == start
        assert batch.values[0] == b'{"n":%d}' % start


def test_reading_from_a_hole_begins_after_it(many: Recording) -> None:
    reader = many.reader("orders", 0)
    last_of_group = 100 + 2 * ROW_GROUP_ROWS - 2
    for hole, after in ((0, 100), (101, 102), (last_of_group + 1, last_of_group + 2)):
        batch = reader.read(hole, 1)
        assert batch is not None
        assert batch.offsets == [after]


def test_reading_at_the_end_gives_none(many: Recording) -> None:
    reader = many.reader("orders", 0)
    assert (reader.first_offset, reader.end_offset) == (100, 100 + 2 * MANY - 1)
    assert reader.read(reader.end_offset, 10) is None
    assert reader.read(reader.end_offset - 1, 10) is not None


def test_reading_at_least_one_record_is_asked_for(many: Recording) -> None:
    with pytest.raises(ValueError, match="limit is 0"):
        many.reader("orders", 0).read(0, 0)


def test_the_index_tells_offsets_and_timestamps_of_each_row_group(many: Recording) -> None:
    index = many.reader("orders", 0).index
    assert [group.rows for group in index] == [ROW_GROUP_ROWS, ROW_GROUP_ROWS, 5_000]
    assert [group.first_offset for group in index] == [100, 100_100, 200_100]
    assert [group.last_offset for group in index] == [100_098, 200_098, 210_098]
    assert [group.max_timestamp for group in index] == [100_098_000, 200_098_000, 210_098_000]


def test_an_empty_partition_reads_as_ended(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        writer.declare("orders", 3, first_offset=17)
        writer.finish(1_000)
    reader = Recording.open(tmp_path / "R").reader("orders", 3)
    assert (reader.first_offset, reader.end_offset) == (17, 17)
    assert reader.read(17, 10) is None
    assert reader.record_digest(17) is None


def test_strange_records_come_back_as_they_were(tmp_path: Path) -> None:
    strange = [
        (0, -1, None, b""),
        (1, 5, b"\xff\x00\xfe", None),
        (2, 6, b"", "größer ∞".encode()),
        (2**40, 7, b"k", bytes(range(256))),
    ]
    assert records_of(record(tmp_path / "R", {("orders", 0): strange}).reader("orders", 0)) == strange


def test_large_values_make_small_row_groups(tmp_path: Path) -> None:
    large = [(o, o, b"k", bytes([o]) * 10_000_000) for o in range(4)]
    recording = record(tmp_path / "R", {("orders", 0): large})
    reader = recording.reader("orders", 0)
    assert records_of(reader) == large
    assert all(group.rows * 10_000_000 <= ROW_GROUP_BYTES for group in reader.index)


def test_headers_are_given_only_where_they_matter(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        writer.write("plain", 0, 0, 1, None, b"{}", [STRUCTURED])
        writer.write("plain", 0, 1, 1, None, b"{}")
        writer.write("binary", 0, 0, 1, None, b"{}", [STRUCTURED])
        writer.write("binary", 0, 1, 1, None, b"{}", [("ce_type", b"order.placed"), ("empty", None)])
        writer.write("binary", 0, 2, 1, None, b"{}")
        writer.finish()
    recording = Recording.open(tmp_path / "R")
    plain = recording.reader("plain", 0).read(0, 10)
    binary = recording.reader("binary", 0).read(1, 10)
    assert plain is not None
    assert binary is not None
    assert plain.headers == []
    assert binary.headers == [[("ce_type", b"order.placed"), ("empty", None)], []]


def test_a_record_digest_tells_key_and_value_apart(tmp_path: Path) -> None:
    rows = [(0, 1, b"ab", b"c"), (2, 1, b"a", b"bc"), (3, 1, None, b"c"), (4, 1, b"", b"c"), (5, 9, b"ab", b"c")]
    reader = record(tmp_path / "R", {("orders", 0): rows}).reader("orders", 0)
    digests = [reader.record_digest(offset) for offset in (0, 2, 3, 4)]
    assert len(set(digests)) == 4
    assert reader.record_digest(5) == reader.record_digest(0)
    assert reader.record_digest(1) is None
    assert reader.record_digest(6) is None


def test_a_file_damaged_after_opening_is_refused_where_it_is_read(many: Recording, tmp_path: Path) -> None:
    recording = record(tmp_path / "R", {("orders", 0): numbered(MANY)})
    reader = recording.reader("orders", 0)
    path = tmp_path / "R" / "topic=orders/partition=0/00000.parquet"
    body = bytearray(path.read_bytes())
    body[reader.index[1].end_byte - 5_000] ^= 1
    path.write_bytes(body)
    assert reader.read(0, 10) is not None
    with pytest.raises(RecordingError, match=r"00000\.parquet: row group 1 \(offsets 50000…99999\) is damaged"):
        reader.read(50_000, 10)
    assert reader.read(100_000, 10) is not None


def test_a_file_of_another_partition_is_refused(tmp_path: Path) -> None:
    record(tmp_path / "A", {("orders", 0): numbered(10)})
    other = record(tmp_path / "B", {("orders", 0): numbered(10, first=5)})
    file = "topic=orders/partition=0/00000.parquet"
    (tmp_path / "B" / file).write_bytes((tmp_path / "A" / file).read_bytes())
    with pytest.raises(RecordingError, match="not those the manifest lists"):
        other.reader("orders", 0).read(0, 10)


def test_a_closed_reader_opens_again(many: Recording) -> None:
    with many.reader("orders", 0) as reader:
        first = reader.read(100, 10)
    again = reader.read(100, 10)
    assert first is not None
    assert again is not None
    assert (again.offsets, list(again.values)) == (first.offsets, list(first.values))
