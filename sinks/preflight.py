"""Preflight: before every start, look at the recovery folder and make it safe to resume from.

A worker killed between writing its snapshots and closing the epoch leaves *zombie* snapshots: of an epoch that is
going to be run again. Bytewax never deletes them; after a second crash it would load them, and counts would be wrong
for ever without any error. So they are purged here, by the same rule by which Bytewax finds its resume epoch.

To be run before any worker has opened the folder: two copies of SQLite in one process, Bytewax's and Python's, undo
each other's locks.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from bytewax.recovery import init_db_dir

from config.errors import RecoveryError
from sinks.pickles import refusal

IDENTITY = "identity.json"
PARTS = 1
"""One file is consistent in itself; of several, one that is older than the others would pass unseen."""
COMMIT_SKEW_MAX = 1
"""Epochs by which the files of one folder may differ."""

OF_THE_PLACE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
    }
)
"""What SQLite says when the file is whole, and the place it lies at is at fault."""

CHECK_DISK = "Free space on its disk, check that this user may write there, and start again; nothing is lost."
RESTORE = (
    "Restore the recovery folder and the store from a backup of one moment, "
    "or start with a new store and a new recovery folder."
)


class Preflight(NamedTuple):
    """What preflight found and did."""

    resume_epoch: int
    """Where Bytewax will go on; 1 for a folder without a run."""
    purged: int
    """Zombie snapshots deleted."""
    new: bool
    """Whether the folder was made by this preflight."""
    states: frozenset[tuple[str, str]] = frozenset()
    """(step, key) of all state that Bytewax will recover."""


def preflight(folder: Path, identity: Mapping[str, Any], *, store_has_run: bool) -> Preflight:
    """Check `folder`, make it where it is new, purge zombie snapshots.

    Call it with the folder locked (`sinks/lock.py`), before every start of the workers.

    Args:
        folder: The recovery folder.
        identity: What must not change between runs that resume each other, as JSON values: sink parts, key groups …
        store_has_run: Whether the store holds outputs (`Store.has_run`): then the folder must hold their state.

    Raises:
        RecoveryError: The folder is damaged, belongs to another job, or is not the store's.
    """
    with _faults(folder):
        new = not list(folder.glob("part-*.sqlite3"))
        if new:
            if store_has_run:
                raise RecoveryError(f"The store holds outputs, but {folder} holds no state of them.", remedy=RESTORE)
            _create(folder, identity)
        _check_identity(folder, identity)
        with ExitStack() as stack:
            files = {
                path: stack.enter_context(closing(_connect(path))) for path in sorted(folder.glob("part-*.sqlite3"))
            }
            for path, connection in files.items():
                _check_file(path, connection)
            _check_together(folder, list(files.values()))
            ran, resume_epoch = _resume_epoch(list(files.values()))
            if store_has_run and not ran:
                raise RecoveryError(
                    f"The store holds outputs, but {folder} knows of no run: its write-ahead log was lost.",
                    remedy=RESTORE,
                )
            purged = sum(_purge(connection, resume_epoch) for connection in files.values())
            for path, connection in files.items():
                _check_pickles(path, connection)
            states = {row for file in files.values() for row in file.execute("SELECT step_id, state_key FROM snaps")}
    return Preflight(resume_epoch, purged, new, frozenset(states))


@contextmanager
def _faults(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        whole = getattr(error, "sqlite_errorcode", 0) & 0xFF in OF_THE_PLACE
        raise RecoveryError(f"Recovery folder {folder}: {error}.", remedy=CHECK_DISK if whole else RESTORE) from error
    except OSError as error:
        raise RecoveryError(f"Recovery folder {folder}: {error.strerror}.", remedy=CHECK_DISK) from error


def _create(folder: Path, identity: Mapping[str, Any]) -> None:
    """Make identity and recovery files, each complete or not there at all."""
    draft = folder / ".new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    folder.chmod(0o700)
    init_db_dir(draft, PARTS)
    (draft / IDENTITY).write_bytes(_canonical(identity))
    for name in (IDENTITY, *(f"part-{number}.sqlite3" for number in range(PARTS))):
        with (draft / name).open("rb") as file:
            os.fsync(file.fileno())
        (draft / name).rename(folder / name)
    shutil.rmtree(draft)


def _canonical(identity: Mapping[str, Any]) -> bytes:
    return orjson.dumps(identity, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _check_identity(folder: Path, identity: Mapping[str, Any]) -> None:
    path = folder / IDENTITY
    if not path.exists():
        raise RecoveryError(f"{folder} is no recovery folder of Forestall: {IDENTITY} is missing.", remedy=RESTORE)
    try:
        there = orjson.loads(path.read_bytes())
        names = sorted(there.keys() | identity.keys())
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise RecoveryError(f"{path} is damaged.", remedy=RESTORE) from error
    now = orjson.loads(_canonical(identity))
    differ = [
        f"{name} was {there.get(name)!r}, is {now.get(name)!r}" for name in names if there.get(name) != now.get(name)
    ]
    if differ:
        raise RecoveryError(
            f"{folder} holds the state of another job: {'; '.join(differ)}.",
            remedy="Name another store and recovery folder (--store, --recovery), or go back to those settings.",
        )


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=10)


def _check_file(path: Path, connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise RecoveryError(f"Recovery file {path} is damaged: {verdict}.", remedy=RESTORE)


def _check_together(folder: Path, files: Sequence[sqlite3.Connection]) -> None:
    """Check that no file is missing, and that all are of one moment."""
    parts = sorted(row for file in files for row in file.execute("SELECT part_index, part_count FROM parts"))
    if parts != [(number, PARTS) for number in range(PARTS)]:
        raise RecoveryError(
            f"Recovery folder {folder} holds the parts {[f'{part + 1} of {count}' for part, count in parts]}, "
            f"not {PARTS} of {PARTS}.",
            remedy=RESTORE,
        )
    commits = [epoch for file in files for (epoch,) in file.execute("SELECT commit_epoch FROM commits")]
    if commits and max(commits) - min(commits) > COMMIT_SKEW_MAX:
        raise RecoveryError(
            f"The files of {folder} are of different moments: epochs {min(commits)} and {max(commits)}.", remedy=RESTORE
        )


def _resume_epoch(files: Sequence[sqlite3.Connection]) -> tuple[bool, int]:
    """Return whether there was a run, and the epoch at which Bytewax will resume.

    As Bytewax has it: of the newest execution, the least of its workers' frontiers; a worker that has not written one
    stands where the execution began.
    """
    executions = {
        number: (workers, resume)
        for file in files
        for number, workers, resume in file.execute("SELECT ex_num, worker_count, resume_epoch FROM exs")
    }
    if not executions:
        return False, 1
    newest = max(executions)
    workers, resume = executions[newest]
    frontiers = dict.fromkeys(range(workers), resume)
    for file in files:
        rows = file.execute("SELECT worker_index, worker_frontier FROM fronts WHERE ex_num = ?", (newest,))
        for worker, frontier in rows:
            frontiers[worker] = max(frontiers[worker], frontier)
    return True, min(frontiers.values())


def _purge(connection: sqlite3.Connection, resume_epoch: int) -> int:
    return connection.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (resume_epoch,)).rowcount


def _check_pickles(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse snapshots whose loading would do more than make plain values."""
    query = "SELECT step_id, state_key, ser_change FROM snaps WHERE ser_change IS NOT NULL"
    for step_id, state_key, pickled in connection.execute(query):
        if found := refusal(pickled):
            raise RecoveryError(
                f"Recovery file {path}: the snapshot of {step_id}, {state_key!r}, is not plain data ({found}).",
                remedy="Do not load it: it was altered, or written by another program. " + RESTORE,
            )
