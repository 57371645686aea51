"""One partition: belief, lateness, duplicates, dead letters; and that batches do not matter."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.clock import DAY, SECOND, to_text
from config.contracts import BUILT_IN, load_contracts
from config.errors import RecoveryError
from operators.batch import RawBatch
from operators.channel import Channel, Position, record_digest
from operators.decode import Decoder
from tests.support.examples import examples

DECODER = Decoder(load_contracts(BUILT_IN))
START = 1_500_000_000 * SECOND


def delivered(at: int, identity: str = "d", order: str = "o-1") -> bytes:
    return cloud_event("shipment.delivered", at, identity, {"order_id": order, "customer_id": "c-1"})


def request(at: int, identity: str) -> bytes:
    data = {"service": "checkout", "route": "/pay", "status": 200, "duration_ms": 12.5}
    return cloud_event("request.completed", at, identity, data)


def cloud_event(kind: str, at: int, identity: str, data: dict[str, Any]) -> bytes:
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": identity,
            "source": "/test",
            "type": kind,
            "subject": "s",
            "time": to_text(at),
            "data": data,
        }
    )


def batch(values: list[bytes | None], first: int = 0, timestamp: int = START // 1000) -> RawBatch:
    count = len(values)
    return RawBatch("topic", 0, list(range(first, first + count)), [timestamp] * count, [b"k"] * count, values)


def channel(state: bytes | None = None, lateness: int = 5 * SECOND) -> Channel:
    return Channel("topic", 0, DECODER, lateness, 30 * DAY, state)


def test_the_watermark_is_the_newest_event_less_the_lateness() -> None:
    source = channel()
    source.take(batch([delivered(START + 9 * SECOND, "a"), delivered(START + 7 * SECOND, "b")]))
    assert source.watermark == START + 4 * SECOND


def test_an_event_before_the_watermark_is_late_and_leaves_a_trace() -> None:
    source = channel()
    taken = source.take(batch([delivered(START + 9 * SECOND, "a"), delivered(START, "b")]))
    assert [e.id for e in taken.events] == ["/test|a"]
    (late,) = taken.released
    assert (late.type, late.id, late.at) == ("late", "topic/0/1", START)
    assert late.data["watermark"] == START + 4 * SECOND


def test_an_event_at_the_watermark_is_not_late() -> None:
    source = channel(lateness=0)
    taken = source.take(batch([delivered(START, "a"), delivered(START, "b")]))
    assert (len(taken.events), taken.released) == (2, [])


def test_a_wild_clock_is_quarantined_and_moves_no_watermark() -> None:
    source = channel()
    values: list[bytes | None] = [delivered(START, "a"), delivered(START + 365 * DAY, "wild"), delivered(START, "b")]
    taken = source.take(batch(values))
    assert [e.id for e in taken.events] == ["/test|a", "/test|b"]
    (dead,) = taken.released
    assert (dead.type, dead.data["reason"], dead.data["offset"]) == ("dead_letter", "wild-clock", 1)
    assert source.watermark == START - 5 * SECOND


def test_a_wild_clock_at_the_very_start_is_measured_by_its_own_timestamp() -> None:
    source = channel()
    taken = source.take(batch([delivered(START + 365 * DAY, "wild"), delivered(START, "a")]))
    assert [e.id for e in taken.events] == ["/test|a"]


def test_after_a_long_silence_a_partition_goes_on_with_nothing_lost() -> None:
    source = channel()
    later = START + 200 * DAY
    source.take(batch([delivered(START, "a"), delivered(later, "b")]))
    assert source.counts.held == 1
    source = channel(source.snapshot())
    taken = source.take(batch([delivered(later + 1, "c"), delivered(later + 2, "d")], first=2))
    assert [(e.id, e.seq) for e in taken.events] == [("/test|b", 1), ("/test|c", 2), ("/test|d", 3)]
    assert source.counts.held == 0
    assert source.watermark == later + 2 - 5 * SECOND


def test_a_held_record_keeps_its_headers() -> None:
    """Binary mode records are nothing without them."""
    later, source = START + 200 * DAY, channel()
    headers: list[tuple[str, bytes | None]] = [("ce_specversion", b"1.0"), ("ce_id", b"b"), ("ce_source", b"/test")]
    headers += [("ce_type", b"shipment.delivered"), ("ce_time", to_text(later).encode())]
    silent = batch([delivered(START, "a"), b'{"order_id":"o-1","customer_id":"c-1"}'])
    assert source.take(replace(silent, headers=[[], headers])).released == []
    source = channel(source.snapshot())
    taken = source.take(batch([delivered(later + 1, "c"), delivered(later + 2, "d")], first=2))
    assert [e.id for e in taken.events] == ["/test|b", "/test|c", "/test|d"]
    assert taken.released == []


def test_telemetry_with_an_id_seen_within_the_lateness_is_dropped() -> None:
    source = channel()
    values: list[bytes | None] = [request(START, "x"), request(START + 1, "x"), request(START + 2, "y")]
    assert len(source.take(batch(values)).measures) == 2
    source = channel(source.snapshot())
    assert len(source.take(batch([request(START + 3, "y"), request(START + 4, "z")], first=3)).measures) == 1
    assert source.counts.duplicates == 2


def test_telemetry_with_an_id_seen_long_ago_is_another_record() -> None:
    source = channel()
    far = START + 60 * SECOND
    taken = source.take(batch([request(START, "x"), request(far, "y"), request(far, "x")]))
    assert len(taken.measures) == 3


def test_business_events_are_left_to_the_journey_to_deduplicate() -> None:
    assert len(channel().take(batch([delivered(START, "x"), delivered(START, "x")])).events) == 2


def test_what_cannot_be_decoded_becomes_a_dead_letter_with_its_bytes() -> None:
    source = channel()
    taken = source.take(batch([b"{broken", delivered(START), None]))
    assert [(e.id, e.data["reason"], e.data["value"]) for e in taken.released] == [
        ("topic/0/0", "not-json", "e2Jyb2tlbg=="),
        ("topic/0/2", "tombstone", ""),
    ]
    assert len(taken.events) == 1


def test_an_idle_partition_promises_a_watermark_and_holds_to_it() -> None:
    source = channel()
    source.take(batch([delivered(START, "a")]))
    source.promise(START + 60 * SECOND)
    assert source.watermark == START + 60 * SECOND
    assert [e.type for e in source.take(batch([delivered(START + 1, "b")], first=1)).released] == ["late"]


def test_an_idle_time_is_released_with_the_record_that_ends_it_and_with_what_was_promised_last() -> None:
    source = channel()
    source.take(batch([delivered(START, "a")]))
    source.stay_idle(START + 30 * SECOND)
    source.stay_idle(START + 60 * SECOND)
    source = channel(source.snapshot())
    assert source.position.idle
    assert source.take(batch([], first=1)).released == []
    (woken,) = source.take(batch([delivered(START + 61 * SECOND, "b")], first=1)).released
    assert (woken.type, woken.id) == ("idle", "topic/0/1")
    assert (woken.data["next_offset"], woken.data["watermark"]) == (1, START + 60 * SECOND)
    assert not source.position.idle
    assert source.take(batch([delivered(START + 62 * SECOND, "c")], first=2)).released == []


def test_a_silence_promises_only_what_the_lateness_leaves_and_never_less_than_before() -> None:
    source = channel()
    source.take(batch([delivered(START, "a")]))
    assert not source.stay_idle_for(START)
    assert not source.position.idle
    assert source.stay_idle_for(START + 60 * SECOND)
    assert source.watermark == START + 55 * SECOND


def test_a_partition_that_was_opened_is_known_again_though_it_brought_no_record() -> None:
    source = channel()
    assert not source.position.begun
    source.begin(Position(500, origin="abc", begun=True))
    assert channel(source.snapshot()).position == Position(500, origin="abc", begun=True)


def test_a_state_without_what_was_added_to_it_later_is_read() -> None:
    source = channel()
    source.take(batch([delivered(START, "a")]))
    fields = msgspec.msgpack.decode(source.snapshot())
    older = channel(msgspec.msgpack.encode(fields[:11]))
    assert older.position == Position(1, source.position.last_digest, "", True)


def test_the_digest_of_the_last_record_tells_where_it_was_left() -> None:
    source = channel()
    source.take(batch([delivered(START, "a"), delivered(START, "b")]))
    assert source.position.last_digest == record_digest(b"k", delivered(START, "b"))
    assert source.next_offset == 2


@pytest.mark.parametrize("state", [b"\xc1", b"\x91\x05"])
def test_a_state_of_another_kind_is_refused(state: bytes) -> None:
    with pytest.raises(RecoveryError, match="partition topic/0"):
        channel(state)


KINDS = ("delivered", "request", "wild", "broken")
records = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 12), st.integers(0, 5)), max_size=40)


def encode(rows: Iterable[tuple[str, int, int]]) -> list[bytes | None]:
    values: list[bytes | None] = []
    for kind, step, identity in rows:
        at = START + step * SECOND
        if kind == "broken":
            values.append(b"[]")
        elif kind == "wild":
            values.append(delivered(at + 400 * DAY, str(identity)))
        else:
            values.append(request(at, str(identity)) if kind == "request" else delivered(at, str(identity)))
    return values


def run(values: list[bytes | None], seed: int) -> tuple[list[Any], list[Any], list[Any], Any]:
    rng = random.Random(seed)
    source = channel(lateness=3 * SECOND)
    events: list[Any] = []
    measured: list[Any] = []
    released: list[Any] = []
    position = 0
    while position < len(values):
        size = rng.randrange(1, 12)
        taken = source.take(batch(values[position : position + size], position))
        events += taken.events
        measured += taken.measures.rows()
        released += taken.released
        position += size
        if rng.random() < 0.3:
            source = channel(source.snapshot(), lateness=3 * SECOND)
    released.sort(key=lambda e: e.seq)
    return events, sorted(measured, key=repr), released, (source.watermark, source.counts)


@examples(60)
@given(records, st.integers(0, 2**32))
def test_batches_and_restarts_change_nothing(rows: list[tuple[str, int, int]], seed: int) -> None:
    values = encode(rows)
    one, other = run(values, seed), run(values, seed + 1)
    assert one == other
    counts = one[3][1]
    assert counts.records == len(values)
    assert counts.records == counts.accepted + counts.late + counts.duplicates + counts.rejected + counts.held


def test_a_promise_holds_when_the_lateness_is_another_after_a_restart() -> None:
    source = channel(lateness=5 * SECOND)
    source.take(batch([delivered(START + 60 * SECOND, "a")]))
    source = channel(source.snapshot(), lateness=60 * SECOND)
    assert source.watermark == START + 55 * SECOND
    assert [e.type for e in source.take(batch([delivered(START + 54 * SECOND, "b")], first=1)).released] == ["late"]
