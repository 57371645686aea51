"""Outputs as records of CloudEvents."""

from __future__ import annotations

from config.clock import TIME_MIN
from sinks.chain import GENESIS, Entry
from sinks.cloudevents import message

ENTRY = Entry(3, "case.opened", "id-3", 1_700_000_000_000_001, "customer-ä", b'{"a":1}', GENESIS)


def test_record_carries_the_body_as_it_was_chained_and_its_attributes_in_headers() -> None:
    made = message("part-000", ENTRY, "job", 10_000)
    assert (made.key, made.value) == ("customer-ä".encode(), b'{"a":1}')
    assert dict(made.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"id-3",
        "ce_source": b"/forestall/job/case",
        "ce_type": b"case.opened",
        "ce_subject": "customer-ä".encode(),
        "ce_time": b"2023-11-14T22:13:20.000001Z",
        "content-type": b"application/json",
        "forestall-part": b"part-000",
        "forestall-seq": b"3",
        "forestall-chain": b"00" * 32,
    }


def test_attributes_without_a_value_are_left_out() -> None:
    headers = dict(message("p", Entry(1, "late", "i", TIME_MIN, "", b"{}", GENESIS), "job", 10_000).headers)
    assert headers.keys().isdisjoint({"ce_time", "ce_subject"})


def test_body_that_its_topic_does_not_take_is_referred_to() -> None:
    whole = message("part-000", ENTRY, "job", 10_000)
    assert message("part-000", ENTRY, "job", whole.size) == whole
    made = message("part-000", ENTRY, "job", whole.size - 1)
    headers = dict(made.headers)
    assert made.value == b""
    assert headers["ce_dataref"] == b"store:case/id-3"
    assert "content-type" not in headers
    assert headers["forestall-seq"] == b"3"
