"""What Bytewax's recovery files hold, and what can be wrong with them.

Read by the same rules by which Bytewax resumes; nothing is changed. See `sinks/preflight.py` for when.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from config.errors import ForestallError, RecoveryError
from sinks.pickles import plain

IDENTITY = "identity.json"
CUT = "cut"
"""In an identity: what its hashes are made of, as text by name. It tells what differs, and is no part of the identity
itself: folders of 0.1.0 lack it."""
PARTS = 1
"""One file is consistent in itself; of several, one that is older than the others would pass unseen."""
COMMIT_SKEW_MAX = 1
"""Epochs by which the files of one folder may differ."""

TABLES = ("parts", "exs", "fronts", "commits", "snaps")
"""Of every recovery file of Bytewax."""

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

RESTORE = (
    "Restore the recovery folder and the store from a backup of one moment, "
    "or start with a new store and a new recovery folder."
)


class Snapshot(NamedTuple):
    """The state of one key of one step that Bytewax will recover."""

    step: str
    key: str
    epoch: int
    state: bytes


class Findings(NamedTuple):
    """What a recovery folder holds, and what is wrong with it."""

    ran: bool
    """Whether it knows of a run."""
    resume_epoch: int
    """Where Bytewax will go on; 1 for a folder without a run."""
    zombies: Mapping[tuple[str, int], int]
    """Snapshots that a start deletes, by (step, epoch)."""
    snapshots: Sequence[Snapshot]
    faults: Sequence[ForestallError]


def opened(folder: Path, stack: ExitStack) -> dict[Path, sqlite3.Connection]:
    """Return the recovery files in `folder`, open as long as `stack` is."""
    return {path: stack.enter_context(closing(_connect(path))) for path in sorted(folder.glob("part-*.sqlite3"))}


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=10)


def look(folder: Path, files: Mapping[Path, sqlite3.Connection], identity: Mapping[str, Any] | None) -> Findings:
    """Return what the files hold, and every fault; what a fault leaves unknown is empty.

    Args:
        folder: What messages name.
        files: Open recovery files, by path.
        identity: Of the job that is to be resumed; None for any.
    """
    faults: list[ForestallError] = [*_of_identity(folder, identity)]
    for path, connection in files.items():
        faults += _of_file(folder / path.name, connection)
    if faults:
        return Findings(False, 1, {}, (), faults)
    connections = list(files.values())
    faults += _of_all(folder, connections)
    ran, resume_epoch = _resume_epoch(connections)
    zombies: dict[tuple[str, int], int] = {}
    snapshots: dict[tuple[str, str], Snapshot] = {}
    query = "SELECT step_id, state_key, snap_epoch, ser_change FROM snaps ORDER BY snap_epoch"
    for path, connection in files.items():
        for step, key, epoch, pickled in connection.execute(query):
            if epoch >= resume_epoch:
                zombies[step, epoch] = zombies.get((step, epoch), 0) + 1
                continue
            snapshots.pop((step, key), None)
            if pickled is None:  # the key was forgotten
                continue
            try:
                snapshots[step, key] = Snapshot(step, key, epoch, _state(pickled))
            except ValueError as error:
                faults.append(
                    RecoveryError(
                        f"Recovery file {folder / path.name}: the snapshot of {step}, {key!r}, is not plain data "
                        f"({error}).",
                        remedy="Do not load it: it was altered, or written by another program. " + RESTORE,
                    )
                )
    return Findings(ran, resume_epoch, zombies, tuple(snapshots.values()), faults)


def _state(pickled: bytes) -> bytes:
    """Return a snapshot's state, unless its loading would do more than make bytes.

    Raises:
        ValueError: It would.
    """
    state = plain(pickled)
    if not isinstance(state, bytes):
        raise ValueError(type(state).__name__)
    return state


def _of_identity(folder: Path, identity: Mapping[str, Any] | None) -> Iterator[ForestallError]:
    path = folder / IDENTITY
    if not path.exists():
        yield RecoveryError(f"{folder} is no recovery folder of Forestall: {IDENTITY} is missing.", remedy=RESTORE)
        return
    try:
        there = orjson.loads(path.read_bytes())
        there.keys()
    except (orjson.JSONDecodeError, AttributeError):
        yield RecoveryError(f"{path} is damaged.", remedy=RESTORE)
        return
    if identity is None:
        return
    now = orjson.loads(canonical(identity))
    cuts = there.pop(CUT, {}), now.pop(CUT, {})
    if differ := _differences(there, now):
        yield RecoveryError(
            f"{folder} holds the state of another job: {'; '.join((cuts[0] and _differences(*cuts)) or differ)}.",
            remedy="Name another store and recovery folder (--store, --recovery), or go back to those settings.",
        )


def _differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = sorted(there.keys() | now.keys())
    return [
        f"{name} was {there.get(name)!r}, is {now.get(name)!r}" for name in names if there.get(name) != now.get(name)
    ]


def _of_file(path: Path, connection: sqlite3.Connection) -> Iterator[ForestallError]:
    """Yield what is wrong with one file; a place that cannot be written is no fault of the file."""
    try:
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            yield RecoveryError(f"Recovery file {path} is damaged: {verdict}.", remedy=RESTORE)
            return
        for table in TABLES:
            connection.execute(f"SELECT * FROM {table} LIMIT 1")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in OF_THE_PLACE:
            raise
        yield RecoveryError(f"Recovery file {path}: {error}.", remedy=RESTORE)


def _of_all(folder: Path, files: Sequence[sqlite3.Connection]) -> Iterator[ForestallError]:
    """Yield faults of files that are sound each: one is missing, or they are not of one moment."""
    parts = sorted(row for file in files for row in file.execute("SELECT part_index, part_count FROM parts"))
    if parts != [(number, PARTS) for number in range(PARTS)]:
        yield RecoveryError(
            f"Recovery folder {folder} holds the parts {[f'{part + 1} of {count}' for part, count in parts]}, "
            f"not {PARTS} of {PARTS}.",
            remedy=RESTORE,
        )
    commits = [epoch for file in files for (epoch,) in file.execute("SELECT commit_epoch FROM commits")]
    if commits and max(commits) - min(commits) > COMMIT_SKEW_MAX:
        yield RecoveryError(
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


def canonical(identity: Mapping[str, Any]) -> bytes:
    """Return an identity as the bytes that stand in its file."""
    return orjson.dumps(identity, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
