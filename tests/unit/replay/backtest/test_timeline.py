from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from config.clock import HOUR, MINUTE, from_text, to_datetime
from replay.backtest.faults import Fault, judged
from replay.backtest.timeline import BESIDE, MISSED, NAMED, OTHER, timeline

T0 = from_text("2026-01-05T10:00:00Z")


def fault(minute: int, service: str) -> Fault:
    return Fault(to_datetime(T0 + minute * MINUTE).isoformat(), "cpu", service=service)


def finding(minute: int, service: str) -> dict[str, Any]:
    data = {"finding_id": f"{minute}", "entity": f"service:{service}", "kind": "service.degraded", "occurrence": "1"}
    return data | {"at": T0 + minute * MINUTE, "resolves": False}


def ended(minute: int, service: str) -> dict[str, Any]:
    return finding(minute, service) | {"resolves": True, "finding_id": f"{minute} end"}


ODD = r"$\frac$"
"""A name that would be a formula, and no valid one."""
ROWS = [
    row
    for minute, service in ((2, "cart"), (23, "front"), (50, ODD))
    for row in (finding(minute, service), ended(minute + 4, service))
]
ROWS += [finding(52, "pay"), ended(53, "pay")]
DOCUMENT = judged([fault(0, "cart"), fault(20, "email"), fault(40, "pay")], ROWS, T0, T0 + HOUR)


def drawn(document: dict[str, Any]) -> tuple[Axes, dict[str, list[tuple[float, str]]]]:
    """Return the axes of a timeline, and of each kind of mark the minutes after T0 and the services."""
    figure = timeline(document)
    figure.savefig(BytesIO())
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    marks = {}
    for line in axes.lines:
        kind, counted, _ = str(line.get_label()).partition(" (")
        if counted:
            minutes = (np.asarray(line.get_xdata(orig=True), dtype="datetime64[us]").astype(int) - T0) / MINUTE
            services = [names[int(y)] for y in np.asarray(line.get_ydata())]
            marks[kind] = list(zip(minutes.tolist(), services, strict=True))
    return axes, marks


def test_each_fault_and_false_alert_has_a_mark_where_and_when_a_service_was_named() -> None:
    _, marks = drawn(DOCUMENT)
    assert marks == {
        NAMED: [(2.0, "cart")],
        OTHER: [(23.0, "front")],
        MISSED: [(42.5, "pay")],
        BESIDE: [(50.0, ODD)],
    }


def test_there_is_a_row_for_each_service_and_a_bar_for_each_fault() -> None:
    axes, _ = drawn(DOCUMENT)
    assert [label.get_text() for label in axes.get_yticklabels()] == [ODD, "cart", "email", "front", "pay"]
    assert len(axes.collections) == 3
    assert axes.get_title(loc="left").startswith("2 of 3 faults found")


def test_a_back_test_in_which_nothing_was_injected_or_found_can_be_drawn() -> None:
    axes, marks = drawn(judged([], [], T0, T0 + HOUR))
    assert set(marks) == {NAMED, OTHER, MISSED, BESIDE}
    assert not any(marks.values())
    assert "0 of 0" in axes.get_title(loc="left")
