from __future__ import annotations

from pathlib import Path

from config.clock import DAY, HOUR, to_text
from replay.backtest.order_truth import Outcome, outcomes
from tests.support.cloudevents import AT, ORDER, cloud_event
from tests.support.recordings import Record, record


def review(order: str, day: int, score: int) -> bytes:
    data = {"order_id": order, "customer_id": "c", "review_id": f"{order}-{day}", "score": score}
    return cloud_event("review.answered", data, id=f"{order}-{day}", time=to_text(AT + day * DAY))


def numbered(values: list[bytes]) -> list[Record]:
    return [(offset, AT // 1000, None, value) for offset, value in enumerate(values)]


def test_an_order_is_answered_with_its_first_review_and_complained_of_with_its_first_bad_one(tmp_path: Path) -> None:
    orders = [cloud_event("order.placed", ORDER | {"order_id": name}, id=name) for name in ("a", "b", "c", "d")]
    crm = [
        review("a", 9, 2),
        review("a", 8, 5),
        review("a", 12, 1),
        review("b", 7, 3),
        review("d", 1, 1),
        review("x", 1, 1),
    ]
    record(tmp_path / "shop", {("orders", 0): numbered(orders), ("crm", 0): numbered([*crm, b"{"])})
    found = outcomes(tmp_path / "shop")
    assert {name: (each.placed_at, each.answered_at, each.complained_at) for name, each in found.items()} == {
        "a": (AT, AT + 8 * DAY, AT + 9 * DAY),
        "b": (AT, AT + 7 * DAY, None),
        "c": (AT, None, None),
        "d": (AT, AT + DAY, AT + DAY),
    }


def test_an_order_is_late_when_it_comes_after_the_promised_day_or_has_not_come_by_then(tmp_path: Path) -> None:
    promised = {"promised_at": to_text(AT + 5 * DAY)}
    placed = [cloud_event("order.placed", ORDER | promised | {"order_id": name}, id=name) for name in "abc"]
    came = [
        cloud_event("shipment.delivered", {"order_id": name, "customer_id": "c"}, id=f"came-{name}", time=to_text(at))
        for name, at in (("a", AT + 6 * DAY), ("b", AT + 6 * DAY + HOUR), ("b", AT + 9 * DAY))
    ]
    record(tmp_path / "shop", {("orders", 0): numbered([*placed, *came])})
    found = outcomes(tmp_path / "shop")
    assert (found["a"].delivered_at, found["b"].delivered_at) == (AT + 6 * DAY, AT + 6 * DAY + HOUR)
    assert [found[name].late for name in "abc"] == [False, True, None]
    assert Outcome(promised_at=0, known_until=2 * DAY).late is True
    assert Outcome(known_until=2 * DAY).late is None


def test_silence_is_told_only_when_it_has_lasted() -> None:
    silent = Outcome(delivered_at=0, known_until=31 * DAY)
    assert silent.silent_for(30 * DAY)
    assert not silent.silent_for(31 * DAY)
    assert not Outcome(delivered_at=0, answered_at=DAY, known_until=31 * DAY).silent_for(30 * DAY)


def test_an_order_placed_before_the_recording_is_not_judged(tmp_path: Path) -> None:
    late = cloud_event("shipment.delivered", {"order_id": "o", "customer_id": "c"}, time=to_text(AT + HOUR))
    record(tmp_path / "shop", {("orders", 0): numbered([late]), ("crm", 0): numbered([review("o", 2, 1)])})
    assert outcomes(tmp_path / "shop") == {}
