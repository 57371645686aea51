"""A worker of the product that counts and times itself: `replay.play`'s worker with a probe around its seams.

Nothing is replaced: the product's own methods run, between two readings of the clock.
"""

from __future__ import annotations

import functools
import os
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from dataflows.sources import PartitionTicks
from dataflows.stages import Emitter, StageLogic
from replay import play
from sinks.outbox import OutboxPart
from sinks.part_writer import PartWriter

REPORT = "probe-{}.json"
"""By number of the process."""


class Probe:
    """What one worker process did."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self.frames: Counter[str] = Counter()
        self.snapshot_bytes = 0
        self.stages: list[StageLogic] = []
        self.built = (0.0, 0.0)
        self.ended = (0.0, 0.0)

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the wall time of the block to `name`."""
        began = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - began
        self.calls[name] += 1

    def attach(self) -> None:
        """Put the probe around snapshots, releases, frames and the building of the flow."""
        timed = self._timed_snapshot
        StageLogic.snapshot = timed(StageLogic.snapshot, "stages")  # type: ignore[method-assign]
        PartitionTicks.snapshot = timed(PartitionTicks.snapshot, "sources")  # type: ignore[method-assign]
        OutboxPart.snapshot = timed(OutboxPart.snapshot, "outbox")  # type: ignore[method-assign]
        PartWriter.release = self._timed(PartWriter.release, "release")  # type: ignore[method-assign]
        Emitter.frames = self._counted(Emitter.frames)  # type: ignore[method-assign]
        StageLogic.__init__ = self._noted(StageLogic.__init__)  # type: ignore[method-assign]
        play.flow_of = self._then_built(play.flow_of)

    def report(self) -> dict[str, Any]:
        """Return all of it as built-in values."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        state: dict[str, dict[str, int]] = {}
        for logic in self.stages:
            of_stage = state.setdefault(logic._stage.name, {"keys": 0, "bytes": 0})
            if keys := logic._group.keys:
                of_stage["keys"] += keys
                of_stage["bytes"] += len(logic._group.whole())
        return {
            "processing": {"wall": self.ended[0] - self.built[0], "cpu": self.ended[1] - self.built[1]},
            "start": {"cpu": self.built[1]},
            "seconds": self.seconds,
            "calls": self.calls,
            "frames": self.frames,
            "snapshot_bytes": self.snapshot_bytes,
            "state": state,
            "peak_bytes": usage.ru_maxrss * 1024,
        }

    def _timed_snapshot(self, method: Callable[[Any], bytes], name: str) -> Any:
        @functools.wraps(method)
        def snapshot(owner: Any) -> bytes:
            with self.timing(f"snapshot {name}"):
                made = method(owner)
            self.snapshot_bytes += len(made)
            return made

        return snapshot

    def _timed(self, method: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(method)
        def timed(*arguments: Any) -> Any:
            with self.timing(name):
                return method(*arguments)

        return timed

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def frames(emitter: Any, *arguments: Any, **named: Any) -> Any:
            made = method(emitter, *arguments, **named)
            for stage, of_stage in made.items():
                self.frames[stage] += len(of_stage)
            return made

        return frames

    def _noted(self, method: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(method)
        def init(logic: StageLogic, *arguments: Any) -> None:
            self.stages.append(logic)
            method(logic, *arguments)

        return init

    def _then_built(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def flow_of(*arguments: Any) -> Any:
            flow = method(*arguments)
            self.built = (time.perf_counter(), time.process_time())
            return flow

        return flow_of

    def end(self) -> None:
        """Note that the run is over."""
        self.ended = (time.perf_counter(), time.process_time())


if __name__ == "__main__":
    probe = Probe()
    probe.attach()
    code = play.main(sys.argv[1:])
    probe.end()
    Path(sys.argv[1]).with_name(REPORT.format(sys.argv[2])).write_bytes(orjson.dumps(probe.report()))
    os._exit(code)
