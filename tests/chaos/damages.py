"""Negative controls: safeguards switched off in the processes of a life. The harness must notice each."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import bytewax.operators as op

from dataflows import detection
from sinks import preflight
from sinks.outbox import Outbox

Snapshot = tuple[bytes, Callable[[], None]]


def purge() -> None:
    """Leave zombie snapshots in the recovery folder."""
    preflight._purge = lambda connection, resume_epoch: 0


def gate() -> None:
    """Let the gate tick beside the outbox instead of upstream of it."""

    def merge(step: str, *streams: Any) -> Any:
        return op.merge(step, *(streams[1:] if step == "releases" else streams))

    altered: Any = detection
    altered.op = SimpleNamespace(input=op.input, output=op.output, merge=merge)
    altered.assert_gated = lambda flow: None


def durability() -> None:
    """Release at the snapshot, not when it is durable."""
    honest = Outbox.snapshot

    def snapshot(self: Outbox) -> Snapshot:
        state, durable = honest(self)
        durable()
        return state, lambda: None

    Outbox.snapshot = snapshot  # type: ignore[method-assign]


DAMAGES: dict[str, Callable[[], None]] = {"purge": purge, "gate": gate, "durability": durability}
