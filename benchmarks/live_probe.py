"""A worker of the live job that tells when it has read so many records and released all that came of them.

Run in place of `dataflows.live`'s worker, with BENCH_RECORDS in the environment; BENCH_PLAIN lets
outputs leave as they come and keeps no state: what the job would be without exactly-once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import orjson
from bytewax.run import cli_main

from dataflows import live, worker
from dataflows.sources import PartitionTicks
from sinks.outbox import Outbox, OutboxPart

REPORT = "live_probe.json"
POLL_S = 0.01


class LiveProbe:
    """What one worker process did; `records` are all that there are to read."""

    def __init__(self, records: int, report: Path) -> None:
        self._records, self._report = records, report
        self._ticks: list[PartitionTicks] = []
        self._boxes: list[Outbox] = []
        self._began = (0.0, 0.0)

    def attach(self, *, plain: bool) -> None:
        """Put the probe around partitions and outboxes."""
        read, write = PartitionTicks.next_batch, OutboxPart.write_batch
        built, boxed = PartitionTicks.__init__, Outbox.__init__

        def init(ticks: PartitionTicks, *arguments: Any) -> None:
            built(ticks, *arguments)
            self._ticks.append(ticks)

        def init_box(box: Outbox, *arguments: Any, **named: Any) -> None:
            boxed(box, *arguments, **named)
            self._boxes.append(box)

        def next_batch(ticks: PartitionTicks) -> Any:
            items = read(ticks)
            if not self._began[0] and self._read():
                self._began = (time.perf_counter(), time.process_time())
            return items

        def write_batch(part: OutboxPart, values: Any) -> None:
            write(part, values)
            if plain:
                part._outbox.snapshot()[1]()

        for owner, name, method in (
            (PartitionTicks, "__init__", init),
            (PartitionTicks, "next_batch", next_batch),
            (Outbox, "__init__", init_box),
            (OutboxPart, "write_batch", write_batch),
        ):
            setattr(owner, name, method)
        if plain:

            def without_recovery(flow: Any, **named: Any) -> None:
                cli_main(flow, **{**named, "recovery_config": None})

            setattr(worker, "cli_main", without_recovery)  # noqa: B010  # not its own name
        threading.Thread(target=self._watch, daemon=True).start()

    def _read(self) -> int:
        return sum(ticks._channel.counts.records for ticks in self._ticks)

    def _watch(self) -> None:
        while self._read() < self._records or any(box._entries or box._stats for box in self._boxes):
            time.sleep(POLL_S)
        wall, cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        self._report.write_bytes(orjson.dumps({"wall": wall, "cpu": cpu, "records": self._read()}))
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    probe = LiveProbe(int(os.environ["BENCH_RECORDS"]), Path(sys.argv[1]).with_name(REPORT))
    probe.attach(plain="BENCH_PLAIN" in os.environ)
    code = live.main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
