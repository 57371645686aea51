"""A control partition: when its records take effect, what it promises, and what it does not take."""

from __future__ import annotations

from typing import Any

import pytest

from config.clock import DAY, SECOND, TIME_MIN, to_text
from config.contracts import BUILT_IN, load_contracts
from config.events import BROADCAST, Event
from operators.batch import RawBatch
from operators.channel import Channel, Taken
from operators.control import ControlChannel
from operators.decode import Decoder
from tests.support.cloudevents import ORDER, cloud_event

DECODER = Decoder(load_contracts(BUILT_IN), control_topics={"flags"})
START = 1_700_000_000 * SECOND
FLAG = {"scope": "*", "mode": "observe-only", "set_by": "on-call", "reason": "drill"}


def channel(state: bytes | None = None) -> ControlChannel:
    return ControlChannel("flags", 0, DECODER, state)


def batch(*values: bytes, first: int = 0, topic: str = "flags") -> RawBatch:
    count = len(values)
    return RawBatch(topic, 0, list(range(first, first + count)), [START // 1000] * count, [None] * count, list(values))


def flag(second: int, identity: str = "f", **changes: Any) -> bytes:
    return cloud_event("flag.set", FLAG | changes, id=identity, time=to_text(START + second * SECOND))


def seconds(taken: Taken) -> list[int]:
    return [(event.at - START) // SECOND for event in taken.events]


def reasons(released: list[Event]) -> list[str]:
    return [event.data["reason"] for event in released if event.type == "dead_letter"]


def test_a_record_takes_effect_at_its_time_or_at_the_watermark_where_that_is_later() -> None:
    control = channel()
    control.stay_idle(START + 10 * SECOND)
    taken = control.take(batch(flag(3, "a"), flag(12, "b"), flag(11, "c")))
    assert seconds(taken) == [10, 12, 11]
    assert reasons(taken.released) == []
    assert control.counts.late == 0


def test_records_promise_nothing_however_far_ahead_they_are() -> None:
    control = channel()
    control.take(batch(flag(0), flag(3650 * 86_400, "far")))
    assert control.watermark == TIME_MIN
    control.stay_idle(START + SECOND)
    assert seconds(control.take(batch(flag(0, "next"), first=2))) == [1]
    assert control.watermark == START + SECOND


def test_what_was_promised_is_released_with_the_next_record_and_repeated_gives_the_same_times() -> None:
    live = channel()
    live.stay_idle(START + 5 * SECOND)
    live.stay_idle(START + 9 * SECOND)
    first = live.take(batch(flag(2, "a")))
    live.stay_idle(START + 20 * SECOND)
    second = live.take(batch(flag(4, "b"), first=1))
    promised = {
        event.data["next_offset"]: event.data["watermark"]
        for event in first.released + second.released
        if event.type == "idle"
    }
    assert promised == {0: START + 9 * SECOND, 1: START + 20 * SECOND}
    again = channel()
    for offset, value in enumerate((flag(2, "a"), flag(4, "b"))):
        again.stay_idle(promised[offset])
        taken = again.take(batch(value, first=offset))
        assert taken.events == (first, second)[offset].events
        assert taken.released == (first, second)[offset].released


def test_a_flag_is_told_to_all_key_groups() -> None:
    (event,) = channel().take(batch(flag(0))).events
    assert (event.key, event.type, event.data["mode"]) == (BROADCAST, "flag.set", "observe-only")


def test_it_goes_on_from_its_state() -> None:
    control = channel()
    control.stay_idle(START + 7 * SECOND)
    control.take(batch(flag(0)))
    assert seconds(channel(control.snapshot()).take(batch(flag(1, "b"), first=1))) == [7]


@pytest.mark.parametrize(
    "changes", [{"mode": "off"}, {"scope": "everything"}, {"scope": "agent:"}, {"set_by": ""}, {"reason": 5}]
)
def test_a_flag_that_is_not_by_its_contract_goes_to_the_dead_letters(changes: dict[str, Any]) -> None:
    taken = channel().take(batch(flag(0, **changes)))
    assert (taken.events, reasons(taken.released)) == ([], ["contract"])


def test_a_record_of_the_shop_has_no_say_on_a_control_topic() -> None:
    taken = channel().take(batch(cloud_event("order.placed", ORDER)))
    assert (taken.events, reasons(taken.released)) == ([], ["misplaced"])


def test_a_flag_on_a_topic_of_the_shop_is_none() -> None:
    shop = Channel("orders", 0, DECODER, 0, 30 * DAY)
    order = cloud_event("order.placed", ORDER, time=to_text(START))
    taken = shop.take(batch(flag(0), order, topic="orders"))
    assert [event.type for event in taken.events] == ["order.placed"]
    assert reasons(taken.released) == ["misplaced"]
