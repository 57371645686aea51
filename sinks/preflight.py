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
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bytewax.recovery import init_db_dir

from config.errors import ForestallError, RecoveryError, together
from sinks.recovery_files import IDENTITY, OF_THE_PLACE, PARTS, RESTORE, Findings, Snapshot, canonical, look, opened

CHECK_DISK = "Free space on its disk, check that this user may write there, and start again; nothing is lost."
NAME_ANOTHER = "Name the folder given with --recovery, or the one beside the store, STORE.recovery."
Check = Callable[[Sequence[Snapshot]], Iterable[ForestallError]]
"""Looks at the state that would be recovered; returns what is wrong with it."""


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


def preflight(
    folder: Path, identity: Mapping[str, Any], *, store_has_run: bool, check: Check = lambda snapshots: ()
) -> Preflight:
    """Check `folder`, make it where it is new, purge zombie snapshots.

    Call it with the folder locked (`sinks/lock.py`), before every start of the workers.

    Args:
        folder: The recovery folder.
        identity: What must not change between runs that resume each other, as JSON values: sink parts, key groups …
        store_has_run: Whether the store holds outputs (`Store.has_run`): then the folder must hold their state.
        check: Looks at the state itself; what it finds wrong is refused before anything is purged.

    Raises:
        ForestallError: The folder is damaged, belongs to another job, or is not the store's.
    """
    with _faults(folder):
        new = not list(folder.glob("part-*.sqlite3"))
        if new:
            if store_has_run:
                raise RecoveryError(f"The store holds outputs, but {folder} holds no state of them.", remedy=RESTORE)
            _create(folder, identity)
        with ExitStack() as stack:
            files = opened(folder, stack)
            found = look(folder, files, identity)
            faults = [*found.faults]
            if store_has_run and not found.ran and not faults:
                faults.append(
                    RecoveryError(
                        f"The store holds outputs, but {folder} knows of no run: its write-ahead log was lost.",
                        remedy=RESTORE,
                    )
                )
            faults += check(found.snapshots) if not faults else ()
            if faults:
                raise together(faults)
            purged = sum(_purge(connection, found.resume_epoch) for connection in files.values())
    return Preflight(found.resume_epoch, purged, new, frozenset((each.step, each.key) for each in found.snapshots))


def forget(folder: Path, step: str, keys: Iterable[str]) -> None:
    """Delete the state of some keys of a step, for good. Call it with the folder locked, when no job runs.

    Raises:
        RecoveryError: The folder cannot be read or written.
    """
    rows = [(step, key) for key in keys]
    with _faults(folder), ExitStack() as stack:
        for connection in opened(folder, stack).values():
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("DELETE FROM snaps WHERE step_id = ? AND state_key = ?", rows)
            connection.execute("COMMIT")


def inspect(folder: Path, identity: Mapping[str, Any] | None = None) -> Findings:
    """Look at `folder` as preflight does, and change nothing: its files are read from a copy.

    Args:
        folder: The recovery folder.
        identity: See `preflight`; None for whatever it is.

    Raises:
        RecoveryError: There is nothing to look at, or it cannot be read.
    """
    with _faults(folder), ExitStack() as stack:
        parts = sorted(folder.glob("part-*.sqlite3*"))
        if not parts:
            raise RecoveryError(f"{folder} is no recovery folder: it holds no recovery file.", remedy=NAME_ANOTHER)
        copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forestall-recovery-")))
        for path in parts:
            if not path.name.endswith("-shm"):  # an index that SQLite makes again
                shutil.copyfile(path, copy / path.name)
        return look(folder, opened(copy, stack), identity)


@contextmanager
def _faults(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        whole = getattr(error, "sqlite_errorcode", 0) & 0xFF in OF_THE_PLACE
        remedy = CHECK_DISK if whole else RESTORE
        raise RecoveryError(f"Recovery folder {folder}: {error}.", remedy=remedy, retry=whole) from error
    except OSError as error:
        raise RecoveryError(f"Recovery folder {folder}: {error.strerror}.", remedy=CHECK_DISK, retry=True) from error


def _create(folder: Path, identity: Mapping[str, Any]) -> None:
    """Make identity and recovery files, each complete or not there at all."""
    draft = folder / ".new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    folder.chmod(0o700)
    init_db_dir(draft, PARTS)
    (draft / IDENTITY).write_bytes(canonical(identity))
    for name in (IDENTITY, *(f"part-{number}.sqlite3" for number in range(PARTS))):
        with (draft / name).open("rb") as file:
            os.fsync(file.fileno())
        (draft / name).rename(folder / name)
    shutil.rmtree(draft)


def _purge(connection: sqlite3.Connection, resume_epoch: int) -> int:
    return connection.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (resume_epoch,)).rowcount
