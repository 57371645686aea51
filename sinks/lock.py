"""Locks: one job on one recovery folder and one store."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import RecoveryError


class FileLock:
    """An exclusive lock on a file, held until the last process that inherited it has gone.

    The file descriptor is inherited by the processes started while it is held, so that a worker which outlives its
    supervisor still keeps a second job away.

    Args:
        path: The lock file, made when it is not there; never deleted, since a deleted one locks nobody out.
        guarded: What it guards, for the message.

    Raises:
        RecoveryError: Another process holds it, or the file cannot be made.
    """

    def __init__(self, path: Path, guarded: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RecoveryError(
                f"{guarded} cannot be locked: {path}: {error.strerror}.",
                remedy="Check that the folder exists and that this user may write there.",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise RecoveryError(
                f"{guarded} is in use by another job.",
                remedy="Wait until it ends or stop it, its workers included; `fuser` on "
                f"{path} names the processes that hold it.",
            ) from error
        os.set_inheritable(descriptor, True)
        self._descriptor: int | None = descriptor

    @property
    def descriptor(self) -> int:
        """The file descriptor to hand down: `subprocess.Popen(pass_fds=[...])`.

        Raises:
            ValueError: The lock was released.
        """
        if self._descriptor is None:
            raise ValueError("the lock was released")
        return self._descriptor

    def release(self) -> None:
        """Give up our hold; workers that inherited it keep theirs."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@contextmanager
def read_lock(folder: Path) -> Iterator[None]:
    """Keep jobs away from a recovery folder while it is read; changes nothing there.

    A folder that was never locked, as a copy, needs none.

    Raises:
        RecoveryError: A job holds it.
    """
    try:
        descriptor = os.open(folder / ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise RecoveryError(
            f"{folder}/.lock: {error.strerror}.", remedy="Let this user read the recovery folder."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise RecoveryError(
            f"The recovery folder {folder} is in use by a job, which changes it all the time.",
            remedy="Stop the job first, or check a copy that was made while it stood still.",
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


def lock_recovery(folder: Path) -> FileLock:
    """Lock a recovery folder; it is made when it is not there.

    Raises:
        RecoveryError: Another job holds it.
    """
    return FileLock(folder / ".lock", f"The recovery folder {folder}")


def lock_store(path: Path) -> FileLock:
    """Lock the file of an SQLite store against a second job, which may use another recovery folder.

    Reports do not take the lock. A store on a server has no file: there the fence stops the older job.

    Raises:
        RecoveryError: Another job holds it.
    """
    return FileLock(path.with_name(path.name + ".lock"), f"The store {path}")
