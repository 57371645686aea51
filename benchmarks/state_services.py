"""The gate of state for services: ten thousand that are measured once a minute, an epoch a second.

Real key groups with the real telemetry logic, its detectors, and real state logs. The panes of a minute all close in
the epoch in which the minute ends: the worst epoch matters as much as the mean.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.recordings import FOLDER
from benchmarks.state_stage import START, Stage
from config.clock import SECOND
from config.settings import load
from dataflows.domain import load_logics
from dataflows.worker import GC_THRESHOLDS
from operators.pane import Partial
from operators.sketch import bucket

CHANNEL = "telemetry/0"
MINUTE_S = 60
WARM_MINUTES = 3
"""Before anything is measured: windows are full, detectors have begun to learn."""
REQUESTS = 30
"""Per service and minute, as one batch brings them."""


class Services(Stage):
    """The telemetry stage, and services whose requests come once a minute, spread over it."""

    def __init__(self, folder: Path, groups: int, services: int) -> None:
        super().__init__(folder, load_logics(load()).telemetry, groups, CHANNEL)
        self._services, self._offset = services, 0

    def second(self) -> None:
        """Let a second pass, in which a sixtieth of the services is measured."""
        at = self.now
        slot = (at - START) // SECOND % MINUTE_S
        self.pass_second(partials=[self._measured(n, at) for n in range(slot, self._services, MINUTE_S)])

    def _measured(self, n: int, at: int) -> Partial:
        scale = 1_000
        values = [scale * (20 + (n * 31 + at // SECOND + number * 7) % 40) for number in range(REQUESTS)]
        buckets: dict[int, int] = {}
        for value in values:
            buckets[bucket(value)] = buckets.get(bucket(value), 0) + 1
        first, self._offset = self._offset, self._offset + REQUESTS
        return Partial(
            key=f"service-{n}",
            metric="duration_ms",
            contract="request.completed@1.0.0",
            start=at - (at - START) % (MINUTE_S * SECOND),
            channel=CHANNEL,
            first=first,
            last=self._offset - 1,
            count=REQUESTS,
            failures=0,
            total=sum(values),
            squares=sum(value * value for value in values),
            low=min(values),
            high=max(values),
            latest_at=at,
            latest_offset=self._offset - 1,
            latest_value=values[-1],
            buckets=buckets,
        )


def services_gate(services: int, epochs: int, advance: Callable[[int], None]) -> dict[str, float]:
    """Return what the state of services costs: see the keys.

    Args:
        services: How many.
        epochs: How many epochs of one second to measure; a multiple of 60 has its share of ends of minutes.
        advance: Told of epochs.
    """
    gc.set_threshold(*GC_THRESHOLDS)
    with TemporaryDirectory(dir=FOLDER) as scratch:
        stage = Services(Path(scratch) / "state", load().runtime.key_groups.telemetry, services)
        for _ in range(WARM_MINUTES * MINUTE_S):
            stage.second()
            stage.snapshot()
            advance(1)
        snapshots, processing, changed, tokens = [], 0.0, 0, list[bytes]()
        for _ in range(epochs):
            began = time.perf_counter()
            stage.second()
            done = time.perf_counter()
            tokens, written = stage.snapshot()
            snapshots.append(time.perf_counter() - done)
            processing, changed = processing + done - began, changed + written
            advance(1)
        began = time.perf_counter()
        restored = stage.restored(tokens)
        restore_s = time.perf_counter() - began
        keys = sum(group.keys for group in restored)
        if keys != sum(group.keys for group in stage.groups):
            raise AssertionError("what was restored is not what there was")
        whole = sum(len(group.whole()) for group in stage.groups)
    return {
        "services": keys,
        "epochs": epochs,
        "processing_s_per_epoch": processing / epochs,
        "snapshot_s_per_epoch": sum(snapshots) / epochs,
        "snapshot_s_worst": max(snapshots),
        "changed_bytes_per_epoch": changed / epochs,
        "state_bytes_per_service": whole / keys,
        "restore_s": restore_s,
    }
