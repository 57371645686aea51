from pathlib import Path

import pytest

from config.errors import RecordingError, UsageError
from replay.cut import cut
from replay.manifest import Idle, Sampled, sampled_within
from replay.recording import Recording
from replay.writer import RecordingWriter
from tests.support.recordings import MADE_AT, Record, numbered, record, records_of

MS = 1_000
SECOND = 1_000_000


def stamped(*stamps: int) -> list[Record]:
    return [(offset, stamp, None, b"%d" % offset) for offset, stamp in enumerate(stamps)]


def offsets(folder: Path, topic: str = "orders", partition: int = 0) -> list[int]:
    return [record[0] for record in records_of(Recording.open(folder).reader(topic, partition))]


def test_a_cut_holds_what_was_stamped_within(tmp_path: Path) -> None:
    whole = record(tmp_path / "R", {("orders", 0): numbered(45_000)})
    manifest = cut(whole, tmp_path / "C", created_at=MADE_AT, from_=19_999 * SECOND, until=40_001 * SECOND)
    assert offsets(tmp_path / "C") == list(range(19_999, 40_001))
    assert manifest.recorded_until == 40_001 * SECOND
    assert manifest.topics == {"orders": 20_002}


def test_an_instant_between_two_milliseconds_parts_them(tmp_path: Path) -> None:
    whole = record(tmp_path / "R", {("orders", 0): stamped(1, 2, 3)})
    cut(whole, tmp_path / "C", created_at=MADE_AT, from_=1 * MS + 1, until=2 * MS + 1)
    assert offsets(tmp_path / "C") == [1]


def test_everything_about_a_record_is_kept(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        writer.write("orders", 4, 8, 5, b"\xff", None, [("ce_type", b"t"), ("n", None)], "logappend")
        writer.write("orders", 4, 9, 6, None, b"v", [])
        writer.finish()
    whole = Recording.open(tmp_path / "R")
    cut(whole, tmp_path / "C", created_at=MADE_AT)
    tables = [list(Recording.open(tmp_path / name).reader("orders", 4).tables(0, 100)) for name in ("R", "C")]
    assert tables[0] == tables[1]
    assert Recording.open(tmp_path / "C").id == whole.id


def test_one_cut_goes_on_where_the_other_ends(tmp_path: Path) -> None:
    parts = {
        ("orders", 0): stamped(10, 20, 30),
        ("orders", 1): stamped(40, 50),
        ("orders", 2): stamped(1, 2),
        ("crm", 0): [],
    }
    whole = record(tmp_path / "R", parts)
    cut(whole, tmp_path / "A", created_at=MADE_AT, until=25 * MS)
    cut(whole, tmp_path / "B", created_at=MADE_AT, from_=25 * MS)
    before, after = Recording.open(tmp_path / "A"), Recording.open(tmp_path / "B")
    assert [(p.topic, p.partition) for p in before.partitions] == [(p.topic, p.partition) for p in after.partitions]
    for first, second in zip(before.partitions, after.partitions, strict=True):
        assert first.end_offset == second.first_offset
    assert [p.records for p in before.partitions] == [0, 2, 0, 2]
    assert [p.records for p in after.partitions] == [0, 1, 2, 0]
    assert after.recorded_until == whole.recorded_until


def test_out_of_order_stamps_do_not_break_the_promise_of_the_end(tmp_path: Path) -> None:
    whole = record(tmp_path / "R", {("orders", 0): stamped(10, 30, 20, 5, 40, 35, 50)})
    cut(whole, tmp_path / "A", created_at=MADE_AT, until=25 * MS)
    cut(whole, tmp_path / "B", created_at=MADE_AT, from_=25 * MS)
    assert offsets(tmp_path / "A") == [0, 1, 2, 3]
    assert offsets(tmp_path / "B") == [4, 5, 6]


def test_records_without_timestamp_stay_between_their_neighbours(tmp_path: Path) -> None:
    whole = record(tmp_path / "R", {("orders", 0): stamped(-1, 10, -1, 30, -1)})
    cut(whole, tmp_path / "A", created_at=MADE_AT, until=25 * MS)
    cut(whole, tmp_path / "B", created_at=MADE_AT, from_=25 * MS)
    assert offsets(tmp_path / "A") == [0, 1]
    assert offsets(tmp_path / "B") == [2, 3, 4]


def test_a_partition_without_any_timestamp_goes_to_the_last_cut(tmp_path: Path) -> None:
    whole = record(tmp_path / "R", {("orders", 0): stamped(-1, -1), ("orders", 1): stamped(10)})
    cut(whole, tmp_path / "A", created_at=MADE_AT, until=5 * MS)
    cut(whole, tmp_path / "B", created_at=MADE_AT, from_=5 * MS)
    assert offsets(tmp_path / "A") == []
    assert offsets(tmp_path / "B") == [0, 1]


def test_idle_decisions_go_with_their_offsets(tmp_path: Path) -> None:
    decisions = [Idle("orders", 0, offset, 1) for offset in (0, 2, 3, 4)] + [Idle("crm", 0, 1, 1)]
    whole = record(tmp_path / "R", {("orders", 0): stamped(10, 20, 30, 40), ("crm", 0): stamped(40)}, idle=decisions)
    before = cut(whole, tmp_path / "A", created_at=MADE_AT, until=25 * MS)
    after = cut(whole, tmp_path / "B", created_at=MADE_AT, from_=25 * MS)
    assert [(i.topic, i.next_offset) for i in before.idle] == [("orders", 0)]
    assert [(i.topic, i.next_offset) for i in after.idle] == [("crm", 1), ("orders", 2), ("orders", 3), ("orders", 4)]


def test_labels_go_along(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "R", created_at=MADE_AT) as writer:
        writer.write("orders", 0, 0, 5, None, b"v")
        (tmp_path / "R" / "labels.json").write_text("{}")
        writer.finish(labels="labels.json")
    cut(Recording.open(tmp_path / "R"), tmp_path / "C", created_at=MADE_AT)
    labels = Recording.open(tmp_path / "C").labels
    assert labels is not None
    assert labels.read_text() == "{}"


def test_a_cut_may_be_complete_only_until_earlier(tmp_path: Path) -> None:
    whole = record(tmp_path / "R", {("orders", 0): stamped(10, 20, 30)})
    manifest = cut(whole, tmp_path / "C", created_at=MADE_AT, until=25 * MS, recorded_until=15 * MS)
    assert manifest.recorded_until == 15 * MS
    assert offsets(tmp_path / "C") == [0, 1]


@pytest.mark.parametrize(
    ("from_", "until", "recorded_until", "why"),
    [
        (None, 32 * MS, None, "only until"),
        (None, 20 * MS, 21 * MS, "only until"),
        (20 * MS, 20 * MS, None, "is not before"),
        (40 * MS, None, None, "is not before"),
    ],
)
def test_a_cut_that_cannot_be_is_refused(
    tmp_path: Path, from_: int | None, until: int | None, recorded_until: int | None, why: str
) -> None:
    whole = record(tmp_path / "R", {("orders", 0): stamped(10, 20, 30)})
    with pytest.raises(UsageError, match=why):
        cut(whole, tmp_path / "C", created_at=MADE_AT, from_=from_, until=until, recorded_until=recorded_until)
    assert not (tmp_path / "C").exists()


def test_a_damaged_recording_is_not_cut(tmp_path: Path) -> None:
    whole = record(tmp_path / "R", {("orders", 0): numbered(100)})
    path = tmp_path / "R" / "topic=orders/partition=0/00000.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(RecordingError, match="row group 0"):
        cut(whole, tmp_path / "C", created_at=MADE_AT)
    assert not (tmp_path / "C").exists()


def test_a_cut_knows_at_which_rate_it_begins() -> None:
    def told(first: int, end: int) -> list[tuple[int, int]]:
        found = sampled_within(changes, "telemetry", 0, first, end)
        return [(each.next_offset, each.one_in) for each in found]

    changes = [Sampled("telemetry", 0, offset, one_in) for offset, one_in in ((30, 1), (10, 2), (20, 5))]
    changes.append(Sampled("telemetry", 1, 5, 10))
    assert told(0, 100) == [(10, 2), (20, 5), (30, 1)]
    assert told(0, 20) == [(10, 2)]
    assert told(20, 31) == [(20, 5), (30, 1)]
    assert told(25, 30) == [(20, 5)]
    assert told(0, 10) == []
