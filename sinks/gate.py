"""The durability gate: tells when an epoch is durable, and when a finite run is over.

Bytewax has no callback for "this epoch is durable". But a source *upstream of the sink* is called for a new epoch
only after the epochs before it are committed on all workers. So a `next_batch` that starts after a sink's `snapshot`
returned proves that this snapshot is durable. Not upstream of the sink, the gate proves nothing: hence
`assert_gated`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bytewax.dataflow import Dataflow, Operator
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink

from config.errors import UsageError
from config.metrics import FLOW_WORKERS, HEARTBEAT
from sinks.failures import noted

TICK = timedelta(milliseconds=10)
POLL_S = 0.1

# By native thread, which is a worker. Not threading.local: workers are not threads of Python's own, and what is kept
# there vanishes between two calls.
_waiting: dict[int, list[Callable[[], None]]] = {}


def register(callback: Callable[[], None]) -> None:
    """Call `callback` on this worker as soon as the snapshots of the epoch at hand are durable.

    To be called from `snapshot()` of a step downstream of the gate.
    """
    _waiting.setdefault(threading.get_ident(), []).append(callback)


class GateTicks(StatelessSourcePartition[Any]):
    """The gate on one worker."""

    def __init__(self, finished: Callable[[], bool], worker: int) -> None:
        self._finished = finished
        self._worker = str(worker)
        self._polled = time.monotonic()
        self._awake: datetime | None = None
        _waiting.pop(threading.get_ident(), None)  # of a run that died on a thread with this number

    @noted
    def next_batch(self) -> list[Any]:
        """Call what waits for durability; end when the run is finished."""
        for callback in _waiting.pop(threading.get_ident(), ()):
            callback()
        if time.monotonic() - self._polled >= POLL_S:
            if self._finished():
                raise StopIteration
            HEARTBEAT.set(time.time(), self._worker)
            self._polled = time.monotonic()
        self._awake = datetime.now(UTC) + TICK
        return []

    def next_awake(self) -> datetime | None:
        """Return when to tick again."""
        return self._awake


class Gate(DynamicSource[Any]):
    """A source that emits nothing and must be merged upstream of every sink.

    Args:
        finished: Whether the run is over, asked about ten times a second on each worker. `Store.all_done` for finite
            input; a live job says when it shall stop.
    """

    def __init__(self, finished: Callable[[], bool]) -> None:
        self._finished = finished

    def build(self, step_id: str, worker_index: int, worker_count: int) -> GateTicks:
        """Build the gate of one worker, whether or not it has a sink part."""
        FLOW_WORKERS.set(worker_count)
        return GateTicks(self._finished, worker_index)


def assert_gated(flow: Dataflow) -> None:
    """Check that nothing leaves `flow` before it is durable.

    Raises:
        UsageError: A sink is not downstream of a `Gate`, keeps no state in the recovery, or there is no sink at all.
    """
    steps = list(_core_steps(flow.substeps))
    reached: set[str] = set()
    for step in steps:  # a step stands after those whose streams it reads
        if isinstance(getattr(step, "source", None), Gate) or reached & set(_streams(step, step.ups_names)):
            reached.update(_streams(step, step.dwn_names))
    sinks = [step for step in steps if type(step).__name__ == "output"]
    if not sinks:
        raise UsageError(f"Dataflow {flow.flow_id} has no sink.", remedy="Add an `OutboxSink`.")
    for step in sinks:
        if isinstance(getattr(step, "sink", None), DynamicSink):
            raise UsageError(
                f"Sink step {step.step_id} has no part in the recovery: what it is given can be lost.",
                remedy="Send its items through an `OutboxSink`.",
            )
        if not reached & set(_streams(step, step.ups_names)):
            raise UsageError(
                f"Sink step {step.step_id} is not downstream of a durability gate.",
                remedy="Merge the stream of a `Gate` input into the sink's stream.",
            )


def _core_steps(steps: Sequence[Operator]) -> Iterator[Operator]:
    for step in steps:
        if step.substeps:
            yield from _core_steps(step.substeps)
        else:
            yield step


def _streams(step: Operator, ports: Sequence[str]) -> Iterator[str]:
    for port in ports:
        yield from getattr(step, port).stream_ids.values()
