from __future__ import annotations

import pytest

from detectors.threshold import ThresholdParameters


def test_the_limit_itself_is_still_good() -> None:
    up, down = (ThresholdParameters(direction=side, limit=5.0).build() for side in ("up", "down"))
    assert [up.score_one(x).flagged for x in (4.9, 5.0, 5.1)] == [False, False, True]
    assert [down.score_one(x).flagged for x in (4.9, 5.0, 5.1)] == [True, False, False]


def test_the_explanation_names_the_limit() -> None:
    detector = ThresholdParameters(direction="up", limit=5.0).build()
    assert detector.explain(7) == "7, above the limit of 5"
    assert detector.explain(3) == "3, not above the limit of 5"


def test_a_limit_must_be_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        ThresholdParameters(direction="up", limit=float("nan"))
