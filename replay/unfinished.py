"""The folder of a recording while it is written: claimed by one writer, and never taken for whole before it is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from config.errors import EnvironmentFault, UsageError
from replay.manifest import MANIFEST

UNFINISHED = ".unfinished"
"""Marks a folder that a writer is filling, or was when it was killed."""
PARTIAL = ".partial"
"""Ends the name of a file that is being written."""

PROGRESS = ".progress.json"
"""What a writer that can go on where it was stopped has written so far."""

_OURS = ("topic=*", "labels.*", "schemas", PROGRESS, f"*{PARTIAL}")


class UnfinishedFolder:
    """A folder claimed for one recording to be written; what a killed writer left in it is removed.

    Args:
        folder: The folder.
        keep: Leave there what a writer that can go on left.

    Raises:
        UsageError: It holds something else, or another writer is at work in it.
        EnvironmentFault: It cannot be written.
    """

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        self._folder = folder
        self._mark = folder / UNFINISHED
        with disk_faults(folder):
            self._existed = folder.is_dir()
            _refuse_foreign(folder)
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._mark, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(self._lock)
                raise UsageError(
                    f"another process is writing a recording into {folder}.",
                    remedy="Wait until it has ended, or name another folder.",
                ) from error
            if not (keep and (folder / PROGRESS).exists()):
                self._empty()
            sync(folder)

    def finish(self) -> None:
        """Take the mark away: the manifest is there."""
        (self._folder / PROGRESS).unlink(missing_ok=True)
        self._mark.unlink()
        os.close(self._lock)

    def leave(self) -> None:
        """Let go of the folder, unfinished: another writer may go on."""
        os.close(self._lock)

    def abandon(self) -> None:
        """Remove what was written, and the folder if it was not there before."""
        self._empty()
        self.finish()
        if not self._existed:
            self._folder.rmdir()

    def _empty(self) -> None:
        for pattern in _OURS:
            for path in self._folder.glob(pattern):
                if path.is_dir():
                    rmtree(path)
                else:
                    path.unlink()


def publish(path: Path) -> None:
    """Give a file written as `path` + `PARTIAL` its name, for good."""
    temporary = path.with_name(path.name + PARTIAL)
    sync(temporary)
    temporary.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Make a file's content, or a folder's names, outlast a crash of the machine."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Turn errors of the file system into ours.

    Raises:
        EnvironmentFault: The disk is full, or the folder is not ours to write.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error).splitlines()[0]
        raise EnvironmentFault(
            f"{path} cannot be written: {why}.",
            remedy="Check the free space and the permissions, or name another folder.",
        ) from error


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file.", remedy="Name a new folder.")
    if (folder / MANIFEST).exists():
        raise UsageError(f"{folder} holds a recording already.", remedy="Name another folder, or remove this one.")
    if (folder / UNFINISHED).exists():
        return
    if any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty.", remedy="Name a new folder.")
