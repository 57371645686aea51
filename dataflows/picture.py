"""The flows without their inputs, to be drawn: `python -m bytewax.visualize dataflows.picture:detection`."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from bytewax.dataflow import Dataflow

from config.settings import load
from dataflows import detection as flows
from dataflows.domain import load_logics
from dataflows.sources import PartitionSource, SourceSettings
from dataflows.stages import StatePlace


def detection() -> Dataflow:
    """Return the detection flow over one partition of each topic; it can be drawn, but not run."""
    settings = load()
    runtime = settings.runtime
    source = PartitionSource(
        SourceSettings(
            batch_records=runtime.batch_records,
            alignment_max=0,
            emit_interval=runtime.emit_interval,
            epoch_interval=runtime.epoch_interval,
            receivers=flows.receivers_of(runtime.key_groups),
            sink_parts=runtime.sink_parts,
            panes={},
        ),
        ["telemetry/0", "orders/0", "crm/0"],
        _refuse,
        lambda name, state: _refuse(name),
        lambda: _refuse("the alignment board"),
        lambda: True,
    )
    layout = flows.Layout(runtime.key_groups, runtime.sink_parts, runtime.emit_interval)
    place = StatePlace(Path("state"), runtime.state_inline_bytes)
    return flows.build(layout, load_logics(settings), source, "sqlite://", place, lambda: True)


def _refuse(name: str) -> NoReturn:
    raise TypeError(f"a drawing of the flow has no {name} to read")
