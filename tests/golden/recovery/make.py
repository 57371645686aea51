"""Writes down what a job of this release leaves when it is killed: the recovery folder that later releases resume.

    python -m tests.golden.recovery.make

makes `VERSION.tar.xz`, which holds a small recording and the store and recovery folder of a job that was killed amid
the commit of an epoch, half-way through it; and `VERSION.json`, what an unbroken run leaves. See README.md here.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from replay.world import Spec, simulate
from replay.world.model import usual_days
from tests.support.chaos import End, apart, job_of, live
from tests.support.faults import Point
from tests.support.verdict import Content, content_of

HERE = Path(__file__).parent
EVENTS = 4_000
SETTINGS = {
    "FORESTALL_RUNTIME_BATCH_RECORDS": "100",
    "FORESTALL_RUNTIME_EPOCH_INTERVAL": "20ms",
    "FORESTALL_RUNTIME_EMIT_INTERVAL": "5ms",
    "FORESTALL_RUNTIME_STATE_INLINE_BYTES": "2048",
    "FORESTALL_TIME_ALIGNMENT_MAX": "1d",
    "POLARS_MAX_THREADS": "1",
}
"""Many small epochs, some of whose state outgrows the snapshot; none of these is part of the state."""
SNAPSHOTS = 24
"""Of sink parts with new outputs: the job is killed in the last of them, about half-way."""


def main() -> int:
    """Make archive and results; return the exit code."""
    os.environ.update(SETTINGS)
    version = tomllib.loads((HERE.parents[2] / "pyproject.toml").read_text())["project"]["version"]
    with tempfile.TemporaryDirectory(prefix="forestall-golden-") as scratch:
        folder = Path(scratch)
        recording, killed, unbroken = folder / "recording", folder / "killed", folder / "unbroken"
        apart(lambda: simulate(Spec(11, EVENTS, usual_days(EVENTS), "full"), recording), folder)
        for each in (killed, unbroken):
            each.mkdir()
        life = live(job_of(recording, killed), Point(0, "snapshot", SNAPSHOTS))
        assert life.end is End.STRUCK, life
        life = live(job_of(recording, unbroken))
        assert life.end is End.WELL, life
        whole, half = content_of(_url(unbroken)), content_of(_url(killed))
        assert 0 < len(half.outputs) < len(whole.outputs), "killed too early, or too late"
        with tarfile.open(HERE / f"{version}.tar.xz", "w:xz") as archive:
            archive.add(recording, "recording", filter=_anybody)
            for name in ("store.db", "store.db-wal", "store.db.recovery"):
                if (killed / name).exists():
                    archive.add(killed / name, name, filter=_anybody)
        (HERE / f"{version}.json").write_text(
            json.dumps({"killed": _told(half), "whole": _told(whole)}, indent=2) + "\n"
        )
    return 0


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'store.db'}"


def _told(content: Content) -> dict[str, Any]:
    return {"records": content.totals["records"], "outputs": content.counts, "digest": content.digest}


def _anybody(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out who made it and when, and what says where; and the index that SQLite makes again."""
    if member.name.endswith(("-shm", "job.json", "alignment", ".log.old")) or "/worker-" in member.name:
        return None
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    sys.exit(main())
