"""What topics must hold after all that happened to a job: as if nothing had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from config.topics import KINDS
from sinks.cloudevents import PART, PREFIX, SEQ
from tests.support.chaos_topics import Output as Record
from tests.support.verdict import Output

Told = tuple[str, str, str, bytes, bytes]
"""Topic, id, type, key and body of an output on a topic."""


def expected_on(topics: Mapping[str, str], reference: Iterable[Output]) -> frozenset[Told]:
    """Return what topics must hold.

    Args:
        topics: By the name of their setting: `findings` and so on.
        reference: Outputs of an unbroken run.
    """
    return frozenset(
        (topics[KINDS[kind]], id_, type_, key.encode(), body)
        for kind, id_, type_, _, key, body in reference
        if KINDS.get(kind) in topics
    )


def broken_topics(found: Sequence[Record], expected: frozenset[Told], *, complete: bool) -> list[str]:
    """Return what is wrong with the committed records of output topics.

    Args:
        found: All of them.
        expected: Of an unbroken run.
        complete: Whether all of it must be there.
    """
    told = Counter(_told(record) for record in found)
    wrong = []
    if twice := [each for each, count in told.items() if count > 1]:
        wrong.append(f"{len(twice)} outputs are twice on topics, as {min(twice)[:2]}")
    if phantoms := told.keys() - expected:
        wrong.append(f"{len(phantoms)} outputs on topics that the unbroken run has not, as {min(phantoms)[:2]}")
    if complete and (lost := expected - told.keys()):
        wrong.append(f"{len(lost)} outputs lost on topics, as {min(lost)[:2]}")
    return wrong + _order(found)


def gone(before: Sequence[Record], now: Sequence[Record]) -> list[str]:
    """Return whether committed records have gone since."""
    lost = set(before) - set(now)
    return [f"{len(lost)} committed records of topics are gone, as {min(lost)[:3]}"] if lost else []


def _order(found: Sequence[Record]) -> list[str]:
    """Outputs of a sink part are numbered, and each partition has them in that order, each number once."""
    wrong, backwards = list[str](), list[str]()
    seen: Counter[tuple[bytes, int]] = Counter()
    last: dict[tuple[str, int, bytes], int] = {}
    for record in sorted(found, key=lambda each: each[:3]):
        headers = dict(record.headers)
        part, seq = headers[PART], int(headers[SEQ])
        seen[part, seq] += 1
        place = (record.topic, record.partition, part)
        if seq <= last.get(place, 0):
            backwards.append(f"{record.topic}/{record.partition}: {part.decode()} goes from {last[place]} to {seq}")
        last[place] = seq
    if backwards:
        wrong.append(f"{len(backwards)} outputs are out of order, as {backwards[0]}")
    if any(count > 1 for count in seen.values()):
        wrong.append("a number was given twice")
    for part, count in Counter(part for part, _ in seen).items():
        highest = max(seq for each, seq in seen if each == part)
        if highest != count:
            wrong.append(f"{part.decode()}: {count} outputs, but the last is number {highest}")
    return wrong


def _told(record: Record) -> Told:
    headers = dict(record.headers)
    id_, type_ = headers[f"{PREFIX}id"].decode(), headers[f"{PREFIX}type"].decode()
    return record.topic, id_, type_, record.key or b"", record.value or b""
