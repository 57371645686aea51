"""When an order is judged, and what is told of it, on the real journey stage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from config.clock import DAY, HOUR, SECOND
from config.events import Event
from operators.frame import Frame
from operators.journey import JourneyLogic, JourneySettings
from operators.journey_state import Journey
from operators.keyed import KeyedGroup
from tests.support.journeys import (
    PROMISE,
    SHIP_BY,
    START,
    approved,
    cancelled,
    delivered,
    handed_over,
    placed,
    reviewed,
)


def told(events: Iterable[Event], until: int) -> list[Event]:
    group: KeyedGroup[Journey] = KeyedGroup(JourneyLogic([], JourneySettings(), judged=True), ["all"])
    group.receive(Frame(0, "all", until, list(events)))
    return [event for to, event in group.advance() if to == "risk"]


def judged(events: Iterable[Event], until: int) -> list[int]:
    return [event.at for event in told(events, until) if event.data.get("scored")]


def facts(events: Iterable[Event], until: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for event in told(events, until):
        for name, value in event.data.get("facts", {}).items():
            assert name not in found, "told twice"
            found[name] = value
    return found


def test_an_order_is_judged_when_approved_and_each_day_near_its_promise() -> None:
    at = judged([placed(), approved(), handed_over()], PROMISE + 12 * HOUR)
    near = [PROMISE + days * DAY + SECOND for days in (-8, -6, -5, -4, -3, -2, -1, 0)]
    assert at == [START + HOUR + SECOND, *near]


def test_a_missed_ship_by_instant_is_judged_until_the_hand_over() -> None:
    at = judged([placed(), approved(), handed_over(SHIP_BY + 3 * DAY)], PROMISE - 9 * DAY)
    assert at == [START + HOUR + SECOND, SHIP_BY + SECOND, SHIP_BY + 2 * DAY + SECOND]


def test_once_delivered_only_the_days_of_silence_count() -> None:
    end = PROMISE - 3 * DAY
    at = judged([placed(), approved(), handed_over(), delivered(end)], PROMISE + 20 * DAY)
    assert [moment for moment in at if moment > end] == [end + days * DAY + SECOND for days in (0, 1, 2, 3, 5)]


def test_an_order_is_not_judged_once_its_customer_has_answered_or_it_was_cancelled() -> None:
    begun = [placed(), approved(), handed_over()]
    answered = told([*begun, reviewed(PROMISE - 5 * DAY + HOUR, 1)], PROMISE + 30 * DAY)
    assert answered[-1].type == "label"
    assert (answered[-1].data["score"], answered[-1].data["in_time"]) == (1, False)
    gone = told([placed(), approved(), cancelled(START + DAY)], PROMISE + 30 * DAY)
    assert [(event.type, event.data.get("score", "")) for event in gone][-1] == ("label", None)


def test_only_the_first_answer_is_told_and_none_of_an_order_never_heard_of() -> None:
    at = PROMISE + DAY
    answers = told([placed(), delivered(), reviewed(at, 5), reviewed(at + DAY, 1), reviewed(at, 1, order="x")], at * 2)
    assert [(event.at, event.data["score"], event.data["in_time"]) for event in answers if event.type == "label"] == [
        (at, 5, True)
    ]


def test_what_happened_is_told_once() -> None:
    end = PROMISE + 2 * DAY
    events = [placed(), approved(), handed_over(SHIP_BY + DAY), delivered(end)]
    assert facts(events, end + 20 * DAY) == {
        "shipped_late": True,
        "late": True,
        "transit_days": round((end - SHIP_BY - DAY) / DAY, 4),
    }
    assert facts([placed(), approved(), handed_over(), delivered()], end) == {
        "shipped_late": False,
        "late": False,
        "transit_days": 7.0,
    }


def test_an_order_of_which_only_the_delivery_was_heard_is_not_judged() -> None:
    assert told([delivered()], PROMISE) == []
