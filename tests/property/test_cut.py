"""Cuts of a recording tile it, whatever the order of its timestamps."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from replay.cut import cut
from replay.recording import Recording
from tests.support.examples import examples
from tests.support.recordings import MADE_AT, Record, record, records_of

RECORDS = st.lists(
    st.tuples(st.integers(1, 3), st.one_of(st.just(-1), st.integers(0, 40)), st.sampled_from([None, b"", b"k"])),
    max_size=30,
)


def rows(drawn: list[tuple[int, int, bytes | None]]) -> list[Record]:
    offset = 0
    made: list[Record] = []
    for step, stamp, key in drawn:
        offset += step
        made.append((offset, stamp, key, b"v%d" % offset))
    return made


@examples(30)
@given(st.lists(RECORDS, min_size=1, max_size=3), st.integers(1, 39_500))
def test_two_cuts_hold_each_record_once_and_the_first_keeps_its_promise(
    partitions: list[list[tuple[int, int, bytes | None]]], at: int
) -> None:
    parts = {("t", number): rows(drawn) for number, drawn in enumerate(partitions)}
    with TemporaryDirectory() as name:
        folder = Path(name)
        whole = record(folder / "R", parts, recorded_until=41_000)
        cut(whole, folder / "A", created_at=MADE_AT, until=at)
        cut(whole, folder / "B", created_at=MADE_AT, from_=at)
        before, after = Recording.open(folder / "A"), Recording.open(folder / "B")
        for (topic, number), records in parts.items():
            first = records_of(before.reader(topic, number))
            second = records_of(after.reader(topic, number), start=before.partition(topic, number).end_offset)
            assert first + second == records
            assert all(stamp == -1 or stamp * 1_000 >= before.recorded_until for _, stamp, _, _ in second)
            assert all(before.partition(topic, number).end_offset <= offset for offset, *_ in second)
