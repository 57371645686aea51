"""The graph of the flow, as stored: a change of it is a decision, for step ids are part of every recovery folder."""

from __future__ import annotations

from pathlib import Path

from bytewax.inputs import FixedPartitionedSource
from bytewax.outputs import FixedPartitionedSink
from bytewax.visualize import to_mermaid

from dataflows.picture import detection
from dataflows.recovered import FLOW, OUTBOX, SOURCE, STAGES
from sinks.gate import _core_steps

STORED = Path(__file__).with_name("detection.mmd")


def test_the_detection_flow_is_the_stored_graph() -> None:
    assert to_mermaid(detection()) + "\n" == STORED.read_text()


def test_every_step_that_keeps_state_is_known_to_recovery() -> None:
    """State of any other is refused at the next start."""
    kept = {
        step.step_id
        for step in _core_steps(detection().substeps)
        if type(step).__name__ == "stateful_batch"
        or isinstance(getattr(step, "source", None), FixedPartitionedSource)
        or isinstance(getattr(step, "sink", None), FixedPartitionedSink)
    }
    assert kept == {SOURCE, OUTBOX, *(f"{FLOW}.{stage}" for stage in STAGES)}
