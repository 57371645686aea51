"""Reads what the workers of a job have written into their mapped files, and works out what must be true now."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from config import metrics
from config.instruments import Computed
from dataflows.health import Health, Partition

Value = tuple[tuple[str, ...], float]
"""Label values in the order of declaration, and the value."""

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Readings:
    """What is in a folder of metrics.

    Args:
        folder: Made by `config.instruments.prepare`.
        processes: How many worker processes there should be.
    """

    def __init__(self, folder: Path, processes: int) -> None:
        self._folder = folder
        self._processes = processes

    def families(self, now: float, ready: bool) -> Iterator[Family]:
        """Yield all metrics, in the order of their names.

        Args:
            now: Seconds since the epoch.
            ready: Whether the job is.
        """
        written = self._written("*_*.db")
        families = dict(written)
        for metric, values in self._computed(written, now, ready).items():
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.text, labels=metric.labels)
            for labels, value in values:
                family.add_metric(labels, value)
            families[family.name] = family
        for name in sorted(families):
            yield families[name]

    def health(self) -> Health:
        """Return what the workers last said of themselves."""
        written = self._written("gauge_*.db")
        workers, ended = _values(written, metrics.FLOW_WORKERS), dict(_values(written, metrics.ENDED))
        return Health(
            processes={number: self._pid(number) is not None for number in range(self._processes)},
            workers=int(workers[0][1]) if workers else 0,
            heartbeats={worker: at for (worker,), at in _values(written, metrics.HEARTBEAT)},
            partitions={
                "/".join(labels): Partition(at, bool(ended.get(labels)))
                for labels, at in _values(written, metrics.PROGRESS)
            },
        )

    def _computed(self, written: dict[str, Family], now: float, ready: bool) -> dict[Computed, list[Value]]:
        pids = {str(n): pid for n in range(self._processes) if (pid := self._pid(n)) is not None}
        used = {number: _usage(pid) for number, pid in pids.items()}
        oldest = [at for _, at in _values(written, metrics.OUTBOX_OLDEST) if at]
        asked = [at for _, at in _values(written, metrics.REQUESTS_OLDEST) if at]
        unknown = [at for _, at in _values(written, metrics.UNKNOWN_OLDEST) if at]
        return {
            metrics.WATERMARK_LAG: [(labels, now - at) for labels, at in _values(written, metrics.WATERMARK)],
            metrics.OUTBOX_AGE: _age(now, oldest),
            metrics.REQUESTS_AGE: _age(now, asked),
            metrics.UNKNOWN_AGE: _age(now, unknown),
            metrics.READY: [((), float(ready))],
            metrics.PROCESSES: [((), len(pids))],
            metrics.RESIDENT: [((number,), usage[0]) for number, usage in used.items() if usage],
            metrics.CPU: [((number,), usage[1]) for number, usage in used.items() if usage],
            metrics.OPEN_FILES: [((number,), usage[2]) for number, usage in used.items() if usage],
            metrics.BUILD: [((version("forestall"),), 1.0)],
        }

    def _written(self, pattern: str) -> dict[str, Family]:
        files = [str(path) for path in sorted(self._folder.glob(pattern))]
        merged: Any = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return {family.name: family for family in merged}

    def _pid(self, number: int) -> int | None:
        """Return the process id of a worker that lives."""
        try:
            pid = int((self._folder / f"{number}.pid").read_text())
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError):
            return None
        return None if state in "ZX" else pid


def _values(written: dict[str, Family], metric: Any) -> list[Value]:
    family = written.get(metric.name)
    return (
        []
        if family is None
        else [(tuple(sample.labels[label] for label in metric.labels), sample.value) for sample in family.samples]
    )


def _age(now: float, since: Sequence[float]) -> list[Value]:
    """Return how long ago the earliest of some instants was, as the one value of a metric; 0 for none."""
    return [((), max(now - min(since), 0.0) if since else 0.0)]


def _usage(pid: int) -> tuple[float, float, float] | None:
    """Return resident bytes, processor seconds and open files of a process; None when it has gone."""
    folder = Path(f"/proc/{pid}")
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        files = sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        return None
    # Counted from the field after the name: 11 and 12 are user and system time, 21 the resident pages.
    return float(fields[21]) * _PAGE_BYTES, (int(fields[11]) + int(fields[12])) / _TICKS_PER_S, float(files)
