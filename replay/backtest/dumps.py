"""A folder of dumps instead of a recording: imported for as long as it is judged."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replay.kcat import import_dumps
from replay.writer import RecordingWriter

PATTERNS = ("*.kcat.jsonl", "*.kcat.jsonl.gz")


@contextmanager
def recorded(folder: Path) -> Iterator[Path]:
    """Yield the recording in `folder`, or one made of the dumps of `kcat -J` there, which is gone afterwards.

    Raises:
        RecordingError: a dump is at fault.
    """
    dumps = sorted(path for pattern in PATTERNS for path in folder.glob(pattern))
    if not dumps:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="forestall-dumps-") as place:
        made = Path(place) / "recording"
        with RecordingWriter(made, created_at=time.time_ns() // 1000) as writer:
            import_dumps(dumps, writer)
            writer.finish(None)
        yield made
