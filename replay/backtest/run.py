"""Replays a recording for a back-test, into a store that is there only as long as it is looked at."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.settings import variables_set
from replay.play import Job, default_recovery, play
from sinks.store import Store

Row = dict[str, Any]


@contextmanager
def replayed(
    recording: Path,
    config: Path | None = None,
    on_poll: Callable[[int, int], None] = lambda done, total: None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Store]:
    """Replay `recording` into a store of its own and yield it; both store and state are gone afterwards.

    Args:
        recording: Folder of the recording.
        config: Settings over the defaults.
        on_poll: Called now and then with the records read so far and all there are.
        variables: Settings over those of `config`, as variables of the environment.

    Raises:
        ForestallError: recording or settings are at fault.
    """
    with tempfile.TemporaryDirectory(prefix="forestall-backtest-") as folder:
        store_url = f"sqlite:///{folder}/backtest.db"
        job = Job(
            recording=str(recording.resolve()),
            store_url=store_url,
            recovery=str(default_recovery(store_url)),
            config=None if config is None else str(config.resolve()),
            workers=1,
            processes=1,
        )
        with variables_set(variables or {}):
            play(job, on_poll)
        with Store.open(store_url) as store:
            yield store
