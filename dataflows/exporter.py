"""Serves what the workers of a job say of themselves, from the supervisor, on loopback unless configured.

Bytewax's own server, which would listen on all interfaces without asking who is there and show the flow, stays off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from config.errors import EnvironmentFault
from config.instruments import FOLDER, prepare, remove
from config.settings import Metrics


@contextmanager
def exporting(
    settings: Metrics, recovery: Path, processes: int, idle_timeout: timedelta
) -> Iterator[Callable[[], None]]:
    """Serve the metrics of a job's workers for as long as the block runs; yield what to call while all goes well.

    To be entered before workers start, when the recovery folder is there: it makes the folder in which workers that
    find it write, and leaves it behind with what was counted. With port 0 there is none, and nothing is served.

    Args:
        settings: Where to listen.
        recovery: The job's recovery folder.
        processes: Worker processes.
        idle_timeout: See `config.settings.Time`.

    Raises:
        EnvironmentFault: the port is taken, or the disk is full.
    """
    folder = recovery / FOLDER
    if not settings.port:
        remove(folder)
        yield lambda: None
        return
    # Only now: whoever serves no metrics does not wait for the import either.
    from dataflows.metrics_server import Exporter, Server
    from dataflows.readings import Readings

    prepare(folder, processes)
    exporter = Exporter(Readings(folder, processes), settings.stalled_after, idle_timeout)
    with _listening(settings):
        server = Server((settings.host, settings.port), exporter)
    serving = threading.Thread(target=server.serve_forever, name="exporter", daemon=True)
    serving.start()
    try:
        yield exporter.beat
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


@contextmanager
def _listening(settings: Metrics) -> Iterator[None]:
    """Turn what the system refuses into an error of ours that names the place."""
    try:
        yield
    except (OSError, UnicodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "no such host"
        raise EnvironmentFault(
            f"metrics cannot be served at {settings.host}:{settings.port}: {said}",
            remedy="Name another metrics.host or metrics.port, or set metrics.port = 0.",
        ) from error
