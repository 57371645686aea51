"""What a metric is: declared once, written by workers into mapped files, read by one exporter.

Workers of a job are several processes. Each writes what it counts into files of its own in one folder, mapped into
memory, so that writing costs no system call and the exporter can read them whatever the worker is doing, stopped or
dead. The files are those of `prometheus_client`'s multiprocess mode, named by the worker's number and not by its
process id: so counters go on when the workers are started anew, and the files can be set aside before there is a
worker. Until `switch_on`, writing does nothing, and `prometheus_client` is not even imported.

Metrics are for people and alerts. Nothing in the job may read one back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from config.errors import EnvironmentFault
from config.settings import set_variable

FOLDER = "metrics"
"""Name of the folder, in the recovery folder."""
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which `prometheus_client` learns the folder."""
SERIES_MAX = 2_000
"""Series of one metric in one process. What a label can say is bounded by how it is made; this is the net below."""
OTHER = "(other)"
"""The label values that stand for all series beyond `SERIES_MAX`."""
FILE_BYTES = 1 << 20
"""Set aside for each file beforehand: a write to a mapped page for which the disk has no room kills the process."""
FILES = ("counter", "histogram", "gauge_max", "gauge_sum")

_on = False


class Metric:
    """A declared metric. Making one registers it in `Metric.declared`.

    Args:
        name: By the conventions of Prometheus, base unit at the end.
        text: What it says, one sentence.
        labels: Names of its labels.
    """

    kind: ClassVar[str]
    declared: ClassVar[dict[str, Metric]] = {}

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        if name in Metric.declared:
            raise ValueError(f"Metric {name} is declared twice.")
        self.name, self.text, self.labels = name, text, tuple(labels)
        self._series: dict[tuple[str, ...], Any] = {}
        self._family: Any = None
        Metric.declared[name] = self

    def _of(self, labels: tuple[str, ...]) -> Any:
        """Return the series of these label values, `OTHER` when there are too many."""
        found = self._series.get(labels)
        if found is None:
            if self._family is None:
                self._family = self._make()
            if len(self._series) >= SERIES_MAX:
                labels = (OTHER,) * len(self.labels)
            found = self._family.labels(*labels) if self.labels else self._family
            self._series[labels] = found
        return found

    def _make(self) -> Any:
        raise NotImplementedError


class Counter(Metric):
    """A total that only rises, over all lives of the workers; from zero again when the job starts anew."""

    kind = "counter"

    def add(self, by: float, *labels: str) -> None:
        """Count `by` more."""
        if _on and by:
            self._of(labels).inc(by)

    def _make(self) -> Any:
        from prometheus_client import Counter

        return Counter(self.name, self.text, self.labels, registry=None)


class Gauge(Metric):
    """A value that is so now.

    Args:
        name: As of `Metric`, and so the next two.
        text: …
        labels: …
        merge: What the processes' values are to each other: `max`, also for series that only one process writes, or
            `sum`.
    """

    kind = "gauge"

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), merge: str = "max") -> None:
        super().__init__(name, text, labels)
        self.merge: Any = merge

    def set(self, value: float, *labels: str) -> None:
        """Say what is."""
        if _on:
            self._of(labels).set(value)

    def add(self, by: float, *labels: str) -> None:
        """Say by how much it rose, or fell."""
        if _on and by:
            self._of(labels).inc(by)

    def _make(self) -> Any:
        from prometheus_client import Gauge

        return Gauge(self.name, self.text, self.labels, registry=None, multiprocess_mode=self.merge)


class Histogram(Metric):
    """How a quantity is distributed.

    Args:
        name: As of `Metric`, and so the next two.
        text: …
        labels: …
        buckets: Upper bounds, rising, in the unit of the name.
    """

    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = ()) -> None:
        super().__init__(name, text, labels)
        self.buckets = tuple(buckets)

    def observe(self, value: float, *labels: str) -> None:
        """Take in one value."""
        if _on:
            self._of(labels).observe(value)

    def _make(self) -> Any:
        from prometheus_client import Histogram

        return Histogram(self.name, self.text, self.labels, registry=None, buckets=self.buckets)


class Computed(Metric):
    """A gauge or counter that the exporter works out when it is asked: what grows while a worker stands still.

    Args:
        name: As of `Metric`, and so the next two.
        text: …
        labels: …
        kind: `gauge` or `counter`.
    """

    def __init__(self, name: str, text: str, labels: Sequence[str] = (), kind: str = "gauge") -> None:
        super().__init__(name, text, labels)
        self.kind = kind  # type: ignore[misc]  # the one class whose instances differ in it


def switched_on() -> bool:
    """Whether metrics are written in this process; where finding a value costs something, ask before."""
    return _on


def switch_on(folder: Path, process: int) -> None:
    """From now on, write metrics as process number `process`, into a folder that `prepare` made.

    What an earlier process of this number counted goes on; what it said was so, is forgotten.

    Raises:
        EnvironmentFault: the disk is full, or the folder cannot be written.
    """
    global _on
    with _faults(folder):
        _set_aside(folder, process, [name for name in FILES if name.startswith("gauge")])
        (folder / f"{process}.pid").write_text(str(os.getpid()))
    set_variable(FOLDER_VARIABLE, str(folder))
    from prometheus_client import values

    # Whatever it chose at import; no metric was made before this.
    values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]
    _on = True


def prepare(folder: Path, processes: int) -> None:
    """Make an empty folder for the metrics of so many processes.

    Raises:
        EnvironmentFault: the disk is full, or the folder cannot be written.
    """
    remove(folder)
    with _faults(folder):
        folder.mkdir(parents=True)
        for process in range(processes):
            _set_aside(folder, process, FILES)


def remove(folder: Path) -> None:
    """Remove the folder of metrics, if there is one: workers that find none write none.

    Raises:
        EnvironmentFault: it cannot be removed.
    """
    with _faults(folder):
        if folder.exists():
            shutil.rmtree(folder)


def _set_aside(folder: Path, process: int, names: Sequence[str]) -> None:
    """Make empty files of full size."""
    for name in names:
        path = folder / f"{name}_{process}.db"
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(handle, 0, FILE_BYTES)
        finally:
            os.close(handle)


@contextmanager
def _faults(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EnvironmentFault(
            f"the folder of metrics {folder} cannot be written: {error.strerror}",
            remedy=f"Make room there, {len(FILES) * FILE_BYTES >> 20} MiB for each process, or set metrics.port = 0.",
        ) from error
