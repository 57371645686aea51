"""Disks of campaigns: a small one that can be filled; and a job that takes no notice of a lock on its store."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIZE = "48m"
PLACE, FILLER = "disk", "filler"
LEFT_BYTES = 96_000
"""Left free on a full disk: something can be begun, and not ended."""


def small_disk(folder: Path) -> Path:
    """Make a small disk in `folder`, with the recovery folder `store.db.recovery` on it; return where it is.

    Raises:
        CalledProcessError: This user may not mount one.
    """
    place = folder / PLACE
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)], check=True)
    (place / "recovery").mkdir(mode=0o700)
    (folder / "store.db.recovery").symlink_to(place / "recovery")
    return place


def remove_disk(folder: Path, keep: Path) -> None:
    """Take the disk away; what was on it goes to `keep`."""
    shutil.copytree(folder / PLACE, keep, ignore=shutil.ignore_patterns(FILLER))
    subprocess.run(["umount", str(folder / PLACE)], check=True)
    (folder / "store.db.recovery").unlink()


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Fill the small disk but for a little."""
    place = folder / PLACE
    filler = place / FILLER
    with filler.open("wb") as file:
        file.write(bytes(max(shutil.disk_usage(place).free - LEFT_BYTES, 0)))
    try:
        yield
    finally:
        filler.unlink()


def unlocked(folder: Path) -> None:
    """In a life: lock a file in `folder` instead of the store's, as on a host that does not see the lock."""
    from dataflows import job as jobs

    module: Any = jobs
    lock_store = module.lock_store
    module.lock_store = lambda path: lock_store(folder / path.name)
