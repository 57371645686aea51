"""Schemas that framed records name: fetched once, kept in a folder, and only then are the records handed on.

A registry that is away is waited for, partition by partition: those whose schemas are at hand go on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from config.errors import RegistryError
from config.registry import Registry
from dataflows.schema_folder import FOLDER, SchemaFolder
from dataflows.sources import Reader
from operators.batch import RawBatch
from operators.channel import Position
from operators.wire import Schema, Schemas

AGAIN_AFTER_S = 0.5
AGAIN_AFTER_MAX_S = 15.0
NOTE_EVERY_S = 10.0


class SchemaSource(Protocol):
    """Whom schemas are asked of: `dataflows.registry.RegistryClient`."""

    def schema(self, identity: str) -> Schema:
        """Return the schema of an id; one without type if there is none.

        Raises:
            RegistryError: It cannot be told now.
        """

    def close(self) -> None:
        """Let go of its connections."""


@dataclass
class _Pursuit:
    """A schema that is being asked for."""

    answer: Future[Schema] | None = None
    since: float | None = None
    """When the registry first said that it knows no such schema."""
    again_at: float = 0.0
    delay_s: float = AGAIN_AFTER_S


class SchemaFetcher:
    """Fetches the schemas that records name, in a thread of its own; one for all partitions of a process.

    Args:
        schemas: What the decoder reads with; begins with what is in the folder.
        folder: Where they are kept.
        client: Asks the registry; None where there is none, and records of unknown schemas are dead letters.
        unknown_after: How long an unknown schema is asked for.
        note: Writes a line into the log.
    """

    def __init__(
        self,
        schemas: Schemas,
        folder: SchemaFolder,
        client: SchemaSource | None,
        unknown_after: timedelta,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self._schemas, self._folder, self._client = schemas, folder, client
        self._unknown_s = unknown_after.total_seconds()
        self._note = note or _to_log
        self._noted_at = -NOTE_EVERY_S
        self._pursued: dict[str, _Pursuit] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="schemas")
        for schema in folder.load():
            schemas.add(schema)

    def ready(self, batch: RawBatch) -> bool:
        """Return whether the schemas of a batch are at hand; if not, go on fetching them without waiting."""
        if self._client is None:
            return True
        missing = self._schemas.missing(batch.values, batch.headers)
        for identity in missing:
            self._pursue(identity, self._client)
        return all(identity in self._schemas for identity in missing)

    def close(self) -> None:
        """Stop asking; waits for an answer that is under way."""
        self._thread.shutdown(cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def _pursue(self, identity: str, client: SchemaSource) -> None:
        pursuit = self._pursued.setdefault(identity, _Pursuit())
        if pursuit.answer is None:
            if time.monotonic() >= pursuit.again_at:
                pursuit.answer = self._thread.submit(self._ask, identity, client)
            return
        if not pursuit.answer.done():
            return
        answer, pursuit.answer = pursuit.answer, None
        error = answer.exception()
        if isinstance(error, RegistryError):
            self._again(pursuit, f"waiting for schema {identity}: {error.message}")
        elif error is not None:
            raise error
        else:
            self._take(pursuit, answer.result())

    def _ask(self, identity: str, client: SchemaSource) -> Schema:
        return self._folder.find(identity) or client.schema(identity)

    def _take(self, pursuit: _Pursuit, schema: Schema) -> None:
        now = time.monotonic()
        if not schema.type and schema.id not in self._schemas:
            pursuit.since = now if pursuit.since is None else pursuit.since
            if now - pursuit.since < self._unknown_s and self._folder.find(schema.id) is None:
                self._again(pursuit, f"the registry knows no schema {schema.id}, asking again")
                return
        self._schemas.add(self._folder.keep(schema))
        del self._pursued[schema.id]

    def _again(self, pursuit: _Pursuit, why: str) -> None:
        now = time.monotonic()
        pursuit.again_at = now + pursuit.delay_s
        pursuit.delay_s = min(2 * pursuit.delay_s, AGAIN_AFTER_MAX_S)
        if now - self._noted_at >= NOTE_EVERY_S:
            self._noted_at = now
            self._note(why)


class SchemaReader:
    """Reads a partition, but hands a batch on only when its schemas are at hand: a `dataflows.sources.Reader`."""

    def __init__(self, reader: Reader, fetcher: SchemaFetcher) -> None:
        self._reader, self._fetcher = reader, fetcher
        self._waiting: RawBatch | None = None

    def open(self, left: Position) -> Position:
        """Go to where the partition was left."""
        return self._reader.open(left)

    def read(self, next_offset: int, limit: int) -> RawBatch | None:
        """Return the next records; none while a schema of theirs is fetched."""
        batch, self._waiting = self._waiting, None
        if batch is None:
            batch = self._reader.read(next_offset, limit)
        if batch is None or not len(batch) or self._fetcher.ready(batch):
            return batch
        self._waiting = batch
        return RawBatch(batch.topic, batch.partition, [], [], [], [])

    def silent_until(self, next_offset: int) -> int | None:
        """Return until when nothing followed; with records at hand that wait for a schema, something does."""
        return None if self._waiting is not None else self._reader.silent_until(next_offset)

    def behind(self, next_offset: int) -> int:
        """Return how many records are known to follow, those that wait for a schema too."""
        waiting = 0 if self._waiting is None else len(self._waiting)
        return max(self._reader.behind(next_offset), waiting)

    def publish(self, next_offset: int) -> None:
        """Tell others how far everything is durable."""
        self._reader.publish(next_offset)

    def close(self) -> None:
        """Let go of the partition."""
        self._reader.close()

    def idle_until(self, next_offset: int) -> int | None:
        """Return the watermark promised at `next_offset`, if the partition was idle there."""
        return self._reader.idle_until(next_offset)

    def next_idle(self, next_offset: int) -> int | None:
        """Return the first offset after `next_offset` at which the partition was idle, if any."""
        return self._reader.next_idle(next_offset)

    @property
    def until(self) -> int:
        """Event time up to which a finite partition is complete."""
        return self._reader.until


def fetcher_of(registry: Registry, schemas: Schemas, folder: Path) -> SchemaFetcher:
    """Return the fetcher of a process that keeps schemas below `folder`.

    Raises:
        SettingsError: the settings of the registry are at fault.
    """
    client = None
    if registry.url is not None:
        from dataflows.registry import RegistryClient  # half a second, which only those with a registry wait

        client = RegistryClient(registry)
    return SchemaFetcher(schemas, SchemaFolder(folder / FOLDER), client, registry.unknown_after)


def check_registry(registry: Registry) -> None:
    """See that the registry answers.

    Raises:
        SettingsError: its settings are at fault.
        RegistryError: it does not answer.
    """
    from dataflows.registry import RegistryClient

    client = RegistryClient(registry)
    try:
        client.check()
    finally:
        client.close()


def _to_log(text: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")
    sys.stderr.flush()
