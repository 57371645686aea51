"""The judge of output topics: whatever is lost, doubled, invented or out of order must not pass."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.chaos.kafka_verdict import broken_topics, expected_on, gone
from tests.support.chaos_topics import Output

TOPICS = {"findings": "f"}
REFERENCE = [("finding", f"id{number}", "finding", 7, "key", b"{}") for number in (1, 2, 3)]
EXPECTED = expected_on(TOPICS, [*REFERENCE, ("case", "c", "case.opened", 7, "key", b"{}")])


def record(number: int, seq: int | None = None, offset: int | None = None, body: bytes = b"{}") -> Output:
    headers = (
        ("ce_id", f"id{number}".encode()),
        ("ce_type", b"finding"),
        ("forestall-part", b"part-000"),
        ("forestall-seq", str(number if seq is None else seq).encode()),
    )
    return Output("f", 0, number if offset is None else offset, b"key", body, headers)


WHOLE = [record(1), record(2), record(3)]


def test_what_an_unbroken_run_says_passes() -> None:
    assert broken_topics(WHOLE, EXPECTED, complete=True) == []


def test_a_part_of_it_passes_while_the_job_goes_on() -> None:
    assert broken_topics(WHOLE[:2], EXPECTED, complete=False) == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (WHOLE[:2], "lost"),
        ([*WHOLE, record(2, seq=4, offset=9)], "twice"),
        ([*WHOLE, record(4)], "has not"),
        ([record(1), record(2, body=b"[]"), record(3)], "has not"),
        ([record(1), record(3, offset=2), record(2, offset=3)], "out of order"),
        ([record(1), record(2), record(3, seq=2)], "number was given twice"),
        ([record(1), record(2), record(3, seq=4)], "the last is number 4"),
    ],
)
def test_anything_else_does_not(found: Sequence[Output], words: str) -> None:
    assert any(words in each for each in broken_topics(found, EXPECTED, complete=True))


def test_a_committed_record_that_has_gone_is_noticed() -> None:
    assert gone(WHOLE, WHOLE[1:])
    assert not gone(WHOLE[1:], WHOLE)
