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
    assert outcomes(tmp_path / "shop") == {
        "a": Outcome(AT, AT + 8 * DAY, AT + 9 * DAY),
        "b": Outcome(AT, AT + 7 * DAY, None),
        "c": Outcome(AT, None, None),
        "d": Outcome(AT, AT + DAY, AT + DAY),
    }


def test_an_order_placed_before_the_recording_is_not_judged(tmp_path: Path) -> None:
    late = cloud_event("shipment.delivered", {"order_id": "o", "customer_id": "c"}, time=to_text(AT + HOUR))
    record(tmp_path / "shop", {("orders", 0): numbered([late]), ("crm", 0): numbered([review("o", 2, 1)])})
    assert outcomes(tmp_path / "shop") == {}
