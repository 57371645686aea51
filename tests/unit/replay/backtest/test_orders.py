from __future__ import annotations

from typing import Any

from config.clock import DAY, HOUR
from replay.backtest.order_truth import Outcome
from replay.backtest.orders import judged, percentile

TRUTH = {
    "angry": Outcome(placed_at=0, answered_at=10 * DAY, complained_at=10 * DAY),
    "angry-2": Outcome(placed_at=5 * DAY, answered_at=30 * DAY, complained_at=30 * DAY),
    "content": Outcome(placed_at=0, answered_at=8 * DAY),
    "silent": Outcome(placed_at=0),
}


def found(order: str, at: int, agent: str = "fulfilment", **more: Any) -> dict[str, Any]:
    row = {"entity": f"order:{order}", "at": at, "agent": agent, "kind": "order.promise_at_risk", "confidence": 0.5}
    return {**row, **more}


def test_a_finding_before_the_complaint_is_a_detection_and_one_after_it_is_none() -> None:
    result = judged(TRUTH, [found("angry", 9 * DAY), found("angry-2", 30 * DAY)])
    assert (result["detections"], result["precision"], result["recall"]) == (1, 1.0, 0.5)
    assert result["lead_hours"]["p50"] == 24.0


def test_an_order_is_detected_once_by_its_first_finding_whoever_made_it() -> None:
    rows = [found("angry", 9 * DAY), found("angry", 7 * DAY, "experience"), found("content", DAY)]
    result = judged(TRUTH, rows)
    assert (result["detections"], result["precision"], result["lead_hours"]["p50"]) == (2, 0.5, 72.0)
    assert {agent: row["detections"] for agent, row in result["by_agent"].items()} == {"experience": 1, "fulfilment": 2}
    assert result["by_agent"]["experience"]["precision"] == 1.0


def test_of_orders_nobody_answered_for_nothing_is_known() -> None:
    result = judged(TRUTH, [found("angry", DAY), found("silent", DAY)])
    assert (result["detections"], result["unanswered"]) == (2, 1)
    assert (result["precision"], result["precision_if_silence_is_content"]) == (1.0, 0.5)


def test_the_end_of_a_finding_and_findings_on_other_entities_are_none() -> None:
    rows = [found("angry", DAY, resolves=True), found("other", DAY), found("angry", DAY) | {"entity": "lane:SP-RJ"}]
    result = judged(TRUTH, rows)
    assert (result["detections"], result["precision"], result["recall"]) == (0, None, 0.0)
    assert result["lead_hours"] == {"p10": None, "p50": None, "p90": None}


def test_only_orders_placed_since_are_judged() -> None:
    result = judged(TRUTH, [found("angry", DAY), found("angry-2", 6 * DAY)], since=5 * DAY)
    assert (result["orders"], result["reviewed"], result["complaints"]) == (1, 1, 1)
    assert (result["detections"], result["recall"], result["detections_per_1000_orders"]) == (1, 1.0, 1000.0)


def test_percentiles_lie_between_neighbours() -> None:
    assert [percentile([HOUR, 3 * HOUR], level) for level in (0, 50, 100)] == [1.0, 2.0, 3.0]


def test_a_likely_complaint_is_so_if_the_customer_complains_and_a_month_of_silence_says_no() -> None:
    truth = TRUTH | {
        "silent": Outcome(placed_at=0, delivered_at=DAY, known_until=40 * DAY),
        "unknown": Outcome(placed_at=0, delivered_at=20 * DAY, known_until=40 * DAY),
    }
    likely: dict[str, Any] = {"agent": "experience", "kind": "order.complaint_likely", "confidence": 0.6}
    rows = [found(order, DAY, **likely) for order in ("angry", "content", "silent", "unknown")]
    rows.append(found("angry-2", 31 * DAY, **likely))
    (claim,) = judged(truth, rows)["claims"]
    assert claim == {
        "agent": "experience", "kind": "order.complaint_likely", "findings": 3, "claimed": 0.6, "so": 0.3333,
    }  # fmt: skip


def test_a_promise_at_risk_is_so_if_the_order_comes_late_whoever_complains() -> None:
    late = Outcome(placed_at=0, answered_at=9 * DAY, promised_at=2 * DAY, delivered_at=8 * DAY)
    in_time = Outcome(placed_at=0, complained_at=9 * DAY, answered_at=9 * DAY, promised_at=9 * DAY, delivered_at=DAY)
    rows = [found("late", DAY, confidence=0.9), found("in time", DAY), found("late", DAY, kind="order.other")]
    (claim,) = judged({"late": late, "in time": in_time}, rows)["claims"]
    assert (claim["findings"], claim["claimed"], claim["so"]) == (2, 0.7, 0.5)
