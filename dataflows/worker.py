"""One worker process of a job: runs a flow under Bytewax and writes down why it failed, if it did."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import FrameType

import msgspec
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig
from bytewax.run import cli_main

from config.errors import ForestallError
from config.instruments import FOLDER, switch_on
from config.metrics import STARTS
from dataflows.supervisor import Failure
from sinks.failures import first_noted

GC_THRESHOLDS = (50_000, 20, 1_000)
"""Keyed state is millions of objects that live long; the collector's defaults would walk them all the time."""


def run_worker(
    build: Callable[[Callable[[], bool]], Dataflow],
    *,
    workers: int,
    process: int,
    addresses: str,
    failure: Path,
    recovery: Path | None,
    epoch_interval: timedelta,
    metrics: Path | None = None,
) -> int:
    """Run the flow that `build` makes until its input ends or SIGTERM comes; return the exit code.

    Args:
        build: Given a function that tells whether to stop, returns the flow.
        workers: Threads in this process.
        process: This process's number.
        addresses: Of all processes, separated by ";", or "-" for one process.
        failure: Where to write a `Failure`.
        recovery: Folder of Bytewax's recovery files; None for a flow that has its state elsewhere.
        epoch_interval: Wall time between snapshots.
        metrics: Folder in which metrics are written where they are wanted; by default that in `recovery`.
    """
    stop = threading.Event()

    def on_stop(number: int, frame: FrameType | None) -> None:
        stop.set()
        # Whoever sent it, all must stop; see `stop_signals`. A parent that does not listen is not disturbed.
        os.kill(os.getppid(), signal.SIGURG)

    signal.signal(signal.SIGTERM, on_stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # the supervisor starts us with it held back
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(*GC_THRESHOLDS)
    several = addresses != "-"
    try:
        metrics = recovery / FOLDER if recovery is not None and metrics is None else metrics
        if metrics is not None and metrics.is_dir():
            switch_on(metrics, process)
            STARTS.add(1, str(process))
        cli_main(
            build(stop.is_set),
            workers_per_process=workers,
            process_id=process if several else None,
            addresses=addresses.split(";") if several else None,
            epoch_interval=epoch_interval,
            recovery_config=None if recovery is None else RecoveryConfig(str(recovery), timedelta(0)),
        )
    except BaseException as raised:
        error = first_noted() or raised
        _log(error)
        failure.write_bytes(msgspec.json.encode(_failure(error)))
        sys.stderr.flush()
        # Timely's threads may still hang on a peer that is gone; nothing after this point needs them.
        os._exit(1)
    return 0


def _failure(error: BaseException) -> Failure:
    """Return the error's own words: ours if one of the tree caused it, else its type."""
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, ForestallError):
            return Failure(cause.message, cause.remedy, cause.exit_code, foreseen=True, retry=cause.retry)
    for cause in chain:
        if isinstance(cause, OSError) and cause.filename is not None:
            return Failure(f"{cause.filename}: {cause.strerror}", "Check the disk and its permissions.", 3, True)
    return Failure(f"a worker failed: {type(chain[-1]).__name__}", "", 3, foreseen=False)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _log(error: BaseException) -> None:
    """Write where an error came from. Only errors of ours are quoted: others may quote what is in a record."""
    for cause in reversed(list(_chain(error))):
        for line in traceback.format_tb(cause.__traceback__):
            sys.stderr.write(line)
        words = f": {cause}" if isinstance(cause, ForestallError) else ""
        sys.stderr.write(f"{type(cause).__name__}{words}\n")
