"""The graph of the flow, as stored: a change of it is a decision, for step ids are part of every recovery folder."""

from __future__ import annotations

from pathlib import Path

from bytewax.visualize import to_mermaid

from dataflows.picture import detection

STORED = Path(__file__).with_name("detection.mmd")


def test_the_detection_flow_is_the_stored_graph() -> None:
    assert to_mermaid(detection()) + "\n" == STORED.read_text()
