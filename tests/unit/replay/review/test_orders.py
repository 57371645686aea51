from __future__ import annotations

from config.clock import DAY
from replay.review.orders import judged
from replay.review.wrong import Wrong
from tests.support.reviews import found, history


def of_entity(wrongs: list[Wrong]) -> dict[str, Wrong]:
    return {wrong.entity: wrong for wrong in wrongs}


ORDERS = {
    "order:1": history(),
    "order:2": history(score=1),
    "order:3": history(score=2, delivered_at=15 * DAY, answered_at=12 * DAY),
    "order:4": history(score=1),
    "order:5": history(answered_at=None, score=None),
    "order:6": history(),
}


def test_alarms_without_a_complaint_and_complaints_without_an_alarm_are_wrong() -> None:
    findings = [found(1, 2 * DAY), found(3, 13 * DAY), found(4, 3 * DAY), found(5, DAY)]
    wrongs, everything = judged(ORDERS, findings, {})
    by_entity = of_entity(wrongs)
    assert {entity: wrong.verdict for entity, wrong in by_entity.items()} == {
        "order:1": "false alarm",
        "order:2": "missed",
        "order:3": "found too late",
    }
    assert len(everything) == 5
    assert by_entity["order:2"].what == "Delivered 2 days before the promise; the customer complained: 1 of 5 stars."
    assert by_entity["order:3"].like == "undelivered, promise broken, one seller"


def test_an_order_is_one_false_alarm_however_often_it_was_found_and_its_end_is_none() -> None:
    findings = [
        found(1, 3 * DAY, confidence=0.9, kind="order.promise_passed"),
        found(1, 2 * DAY, confidence=0.6),
        found(6, DAY, resolves=True),
    ]
    (wrong,) = judged({"order:1": ORDERS["order:1"], "order:6": ORDERS["order:6"]}, findings, {})[0]
    assert (wrong.at, wrong.kind, wrong.error) == (2 * DAY, "order.promise_at_risk", 0.6)


def test_who_was_sure_and_acted_teaches_more_and_so_does_a_costly_miss() -> None:
    findings = [found(1, DAY, confidence=0.9), found(6, DAY, confidence=0.6)]
    by_entity = of_entity(judged(ORDERS, findings, {"order:1": "recommend", "order:6": "recommend"})[0])
    assert by_entity["order:1"].weight > by_entity["order:6"].weight
    acted = of_entity(judged(ORDERS, findings, {"order:1": "recommend", "order:6": "act"})[0])
    assert acted["order:6"].weight == 4 * by_entity["order:6"].weight
    dear = judged({"order:2": history(score=1, worth=900.0)}, [], {})[0][0]
    assert dear.weight > by_entity["order:2"].weight


def test_orders_placed_before_are_not_judged() -> None:
    assert judged(ORDERS, [], {}, since=1) == ([], [])
