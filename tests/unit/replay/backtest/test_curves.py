from __future__ import annotations

from typing import Any

import numpy as np

from replay.backtest.curves import curves


def point(precision: float | None, recall: float, lead: float | None) -> dict[str, Any]:
    return {"precision": precision, "recall": recall, "lead_hours": {"p50": lead}}


DOCUMENT = {
    "precision": 0.6,
    "recall": 0.5,
    "sweep": [point(0.4, 0.7, 106.4), point(0.8, 0.3, None), point(None, 0.0, None)],
    "calibration": [{"orders": 3.0, "probability": 0.2, "complaints": 0.25}],
}


def test_each_threshold_that_found_something_is_a_point_with_its_lead() -> None:
    curve, truth = curves(DOCUMENT).axes
    swept, everyone = curve.lines
    assert np.asarray(swept.get_xydata()).tolist() == [[0.7, 0.4], [0.3, 0.8]]
    assert np.asarray(everyone.get_xydata()).tolist() == [[0.5, 0.6]]
    assert [text.get_text() for text in curve.texts] == ["106 h", ""]
    assert np.asarray(truth.lines[-1].get_xydata()).tolist() == [[0.2, 0.25]]


def test_where_no_agent_found_anything_only_the_sweep_is_drawn() -> None:
    curve, _ = curves(DOCUMENT | {"precision": None}).axes
    assert len(curve.lines) == 1
