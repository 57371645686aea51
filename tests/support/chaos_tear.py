"""What disks and people do to recovery files: cut off, emptied, deleted, replaced by an older copy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal, get_args

Tear = Literal[
    "log cut",
    "log gone",
    "file cut",
    "file empty",
    "file gone",
    "identity gone",
    "state cut",
    "state gone",
    "folder gone",
    "older",
]
TEARS: tuple[Tear, ...] = get_args(Tear)

FILE = "part-0.sqlite3"


def older_copy(recovery: Path) -> Path:
    """Return where `keep` puts a copy."""
    return recovery.with_name(recovery.name + ".older")


def keep(recovery: Path) -> None:
    """Copy the recovery folder, of a job that does not run; `older` puts the copy back."""
    shutil.rmtree(older_copy(recovery), ignore_errors=True)
    shutil.copytree(recovery, older_copy(recovery))


def tear(recovery: Path, how: Tear) -> bool:
    """Damage the recovery folder; return whether there was anything to damage."""
    log, state = recovery / f"{FILE}-wal", sorted((recovery / "state").glob("*"))
    if how == "older":
        if not older_copy(recovery).exists():
            return False
        shutil.rmtree(recovery)
        shutil.copytree(older_copy(recovery), recovery)
    elif how == "folder gone":
        shutil.rmtree(recovery)
    elif how == "log cut" and log.exists() and log.stat().st_size:
        _cut(log, log.stat().st_size * 2 // 3)
    elif how == "log gone" and log.exists() and log.stat().st_size:
        log.unlink()
        (recovery / f"{FILE}-shm").unlink(missing_ok=True)
    elif how == "file cut":
        _cut(recovery / FILE, (recovery / FILE).stat().st_size // 2)
    elif how == "file empty":
        _cut(recovery / FILE, 0)
    elif how == "file gone":
        (recovery / FILE).unlink()
    elif how == "identity gone":
        (recovery / "identity.json").unlink()
    elif how == "state cut" and state:
        _cut(state[0], state[0].stat().st_size // 2)
    elif how == "state gone" and state:
        shutil.rmtree(recovery / "state")
    else:
        return False
    return True


def _cut(path: Path, length: int) -> None:
    with path.open("r+b") as file:
        file.truncate(length)
