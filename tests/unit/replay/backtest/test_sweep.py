from __future__ import annotations

from typing import Any

from config.clock import DAY
from operators.risk import Judgement
from replay.backtest.order_truth import Outcome
from replay.backtest.sweep import STEPS, calibration, swept

TRUTH = {
    "angry": Outcome(placed_at=0, answered_at=10 * DAY, complained_at=10 * DAY),
    "content": Outcome(placed_at=DAY, answered_at=10 * DAY),
    "silent": Outcome(placed_at=2 * DAY),
}


def judged(order: str, day: int, probability: float, needed: float = 0.4) -> Judgement:
    return Judgement(order, "c", day * DAY, {}, {}, probability, needed)


JUDGEMENTS = [
    judged("content", 2, 0.36),
    judged("angry", 3, 0.5),
    judged("silent", 3, 0.45),
    judged("angry", 5, 0.72),
    judged("content", 6, 0.05),
    judged("angry", 11, 0.99),
    judged("other", 3, 0.9),
]


def at(step: float, **given: Any) -> dict[str, Any]:
    return swept(TRUTH, JUDGEMENTS, given.get("since"), [step])[0]


def test_a_lower_threshold_finds_earlier_and_more_that_is_false() -> None:
    present, lower, higher = at(0.0), at(-0.05), at(0.2)
    assert (present["detections"], present["precision"], present["recall"]) == (2, 1.0, 1.0)
    assert present["lead_hours"]["p50"] == 7 * 24
    assert (lower["detections"], lower["precision"]) == (3, 0.5)
    assert (higher["detections"], higher["recall"], higher["lead_hours"]["p50"]) == (1, 1.0, 5 * 24)


def test_a_checkpoint_after_the_complaint_detects_nothing() -> None:
    late = at(0.5)
    assert (late["detections"], late["precision"], late["recall"]) == (0, None, 0.0)


def test_each_checkpoint_is_held_against_the_threshold_of_its_own_stage() -> None:
    patient = [judged("angry", 3, 0.5, needed=0.6), judged("angry", 5, 0.5, needed=0.4)]
    assert swept(TRUTH, patient, None, [0.0])[0]["lead_hours"]["p50"] == 5 * 24


def test_only_orders_placed_since_are_swept() -> None:
    row = at(-0.05, since=DAY)
    assert (row["detections"], row["precision"], row["recall"]) == (2, 0.0, None)


def test_the_present_threshold_is_among_the_steps() -> None:
    assert [row["above_threshold"] for row in swept(TRUTH, [], None)] == list(STEPS)
    assert 0.0 in STEPS


def test_calibration_counts_an_order_once_and_only_what_was_said_before_its_answer() -> None:
    bands = calibration(TRUTH, JUDGEMENTS, None)
    assert bands == [
        {"orders": 0.5, "probability": 0.05, "complaints": 0.0},
        {"orders": 0.5, "probability": 0.36, "complaints": 0.0},
        {"orders": 0.5, "probability": 0.5, "complaints": 1.0},
        {"orders": 0.5, "probability": 0.72, "complaints": 1.0},
    ]
    assert [band["complaints"] for band in calibration(TRUTH, JUDGEMENTS, DAY)] == [0.0, 0.0]


def test_a_probability_of_one_belongs_to_the_last_band() -> None:
    assert calibration(TRUTH, [judged("angry", 1, 1.0)], None) == [
        {"orders": 1.0, "probability": 1.0, "complaints": 1.0}
    ]
