"""What is written into a recording is what is read from it, however it is given and asked for."""

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from replay.recording import Recording
from replay.writer import RecordingWriter
from tests.support.examples import examples
from tests.support.recordings import MADE_AT, Record, batch_of, records_of

BODY = st.one_of(st.none(), st.binary(max_size=40))
DRAWN = st.lists(st.tuples(st.integers(1, 9), st.integers(-1, 10**12), BODY, BODY), max_size=60)


@examples(25)
@given(DRAWN, st.lists(st.integers(0, 12), max_size=10), st.integers(1, 70), st.integers(0, 600), st.integers(4, 30))
def test_a_recording_gives_back_what_it_was_given(
    drawn: list[tuple[int, int, bytes | None, bytes | None]],
    chunks: list[int],
    limit: int,
    start: int,
    group_rows: int,
) -> None:
    records: list[Record] = []
    offset = 0
    for step, stamp, key, value in drawn:
        offset += step
        records.append((offset, stamp, key, value))
    with TemporaryDirectory() as name:
        folder = Path(name) / "R"
        with (
            patch("replay.partition_writer.ROW_GROUP_ROWS", group_rows),
            RecordingWriter(folder, created_at=MADE_AT, rows_per_file=2 * group_rows) as writer,
        ):
            writer.declare("t", 0, first_offset=3)
            left = list(records)
            for size in chunks:
                if size:
                    chunk, left = left[:size], left[size:]
                    if chunk:
                        writer.append(batch_of(chunk, "t"))
                elif left:
                    o, stamp, key, value = left.pop(0)
                    writer.write("t", 0, o, stamp, key, value)
            for o, stamp, key, value in left:
                writer.write("t", 0, o, stamp, key, value)
            writer.finish(10**15)
        recording = Recording.open(folder)
        reader = recording.reader("t", 0)
        assert records_of(reader, limit) == records
        assert records_of(reader, limit, start) == [record for record in records if record[0] >= start]
        assert (reader.first_offset, reader.end_offset) == ((min(3, records[0][0]), offset + 1) if records else (3, 3))
        assert [o for o in range(start, start + 20) if reader.record_digest(o)] == [
            o for o, *_ in records if start <= o < start + 20
        ]
        assert list(recording.problems()) == []
