"""A folder of schemas, each in a file of its own.

It is part of what results depend on, as the records are: a replay with the same folder gives the same results,
whatever the registry says by then. It is in the recovery folder of a live job, shared by its processes, and in the
folder of a recording. Whoever writes a schema's file first decides, for all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from operators.wire import Schema

FOLDER = "schemas"
"""Name of the folder, in a recovery folder and in a recording."""
SUFFIX = ".json"
_decode = msgspec.json.Decoder(Schema).decode


class SchemaFolder:
    """A folder with a file for each schema; more than one process may write it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Iterator[Schema]:
        """Yield all schemas in the folder, which need not exist."""
        for file in sorted(self.path.glob(f"*{SUFFIX}")):
            yield _decode(file.read_bytes())

    def find(self, identity: str) -> Schema | None:
        """Return the schema of an id, if it is there."""
        try:
            return _decode(self._file(identity).read_bytes())
        except FileNotFoundError:
            return None

    def keep(self, schema: Schema) -> Schema:
        """Write a schema for good, unless there is one of its id; return the one that is there then."""
        self.path.mkdir(parents=True, exist_ok=True)
        file = self._file(schema.id)
        own = file.with_suffix(f".{os.getpid()}.partial")
        own.write_bytes(msgspec.json.format(msgspec.json.encode(schema), indent=1))
        try:
            _sync(own)
            os.link(own, file)  # unlike a renaming, this replaces nothing
            _sync(self.path)
        except FileExistsError:
            return _decode(file.read_bytes())
        finally:
            own.unlink()
        return schema

    def _file(self, identity: str) -> Path:
        return self.path / f"{identity}{SUFFIX}"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
