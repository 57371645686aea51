"""Makes a recording of live topics: the bytes as they are, of a range of offsets per partition.

Without an end, all that is there when recording begins is recorded; what is written meanwhile is not. Where the
records before an instant end, says `border`: the same instant gives the same border to the recording that ends there
and to the one that begins there. A recording that was stopped goes on from its last checkpoint, to the same end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from confluent_kafka import Message

from config.errors import TopicError, UsageError
from config.kafka import Kafka
from config.registry import Registry
from dataflows.kafka_faults import ANEW
from dataflows.kafka_reach import partitions_of, reach
from dataflows.schema_folder import FOLDER, SchemaFolder
from dataflows.schemas import fetcher_of
from operators.wire import Schemas
from replay.border import Border
from replay.broker_log import (
    Brokers,
    Holes,
    Key,
    Log,
    aborted,
    after_the_one_before,
    batch_of,
    offset_of,
    table_of,
)
from replay.manifest import Idle, Manifest, sampled_within
from replay.record_plan import Missing, Part, Plan, Recorded, Wanted, millis, name_of, shown
from replay.writer import Left, RecordingWriter

BATCH = 5_000
POLL_S = 0.2
SCHEMA_POLL_S = 0.05
CHECKPOINT_RECORDS = 500_000
CHECKPOINT_S = 300.0
"""What a recording that is stopped has to read again, at most."""


class Recorder:
    """Records topics.

    Args:
        kafka: The connection.
        registry: Where the schemas of framed records are.
        lateness: Lateness of a topic, microseconds.
        now: Wall clock, microseconds.
        stopping: Whether to leave off; the recording can be gone on with.
        advance: Called with how many records were read, and how many offsets are still to come, if that is known.
    """

    def __init__(
        self,
        kafka: Kafka,
        registry: Registry,
        lateness: Callable[[str], int],
        now: Callable[[], int],
        stopping: Callable[[], bool] = lambda: False,
        advance: Callable[[int, int | None], None] = lambda read, left: None,
    ) -> None:
        self._kafka, self._registry, self._lateness, self._now = kafka, registry, lateness, now
        self._stopping, self._advance = stopping, advance

    def record(self, wanted: Wanted, into: Path) -> Recorded | None:
        """Record into a folder; None if it was asked to stop before the end.

        Raises:
            UsageError: The folder holds something else, or a recording of something else was begun in it.
            TopicError: A topic is missing, or records were deleted before they were read.
            BrokerError: The brokers cannot be reached, or refuse us.
            EnvironmentFault: The disk is full or gone.
        """
        counts = partitions_of(reach(self._kafka), wanted.topics)
        keys = [(topic, number) for topic, count in sorted(counts.items()) for number in range(count)]
        brokers = Brokers(self._kafka)
        writer = RecordingWriter(into, created_at=self._now(), resume=True)
        try:
            plan = self._plan(wanted, keys, brokers, writer.left)
            parts = self._parts(plan, keys, writer.left)
            for part in parts:
                if part.entry is None:
                    writer.declare(*part.key, part.begins)
            if not self._run(plan, parts, brokers, writer):
                writer.checkpoint(self._saved(plan, parts))
                return None
            manifest = self._finish(wanted, plan, parts, writer, into)
        finally:
            writer.leave()
        return Recorded(manifest, self._missing(parts, brokers, wanted.topics), plan.trimmed, writer.left is not None)

    # -- the plan --------------------------------------------------------------------------------------------------

    def _plan(self, wanted: Wanted, keys: list[Key], brokers: Brokers, left: Left | None) -> Plan:
        ids = brokers.ids(list(wanted.topics))
        if left is not None:
            plan = msgspec.convert(left.plan, Plan)
            if (plan.topics, plan.from_, plan.until) != (list(wanted.topics), wanted.from_, wanted.until):
                raise UsageError(
                    f"a recording of {', '.join(plan.topics)} from {shown(plan.from_)} until {shown(plan.until)} "
                    "was begun there, and stopped.",
                    remedy="Say the same to go on with it, name another folder, or remove this one.",
                )
            anew = [topic for topic, identity in plan.ids.items() if ids[topic] != identity]
            if anew:
                raise TopicError(f"{', '.join(anew)}: made anew since recording began.", remedy=ANEW)
            return plan
        asked_at, beginnings = self._now(), brokers.beginnings(keys)
        starts = begins = beginnings if wanted.starts is None else wanted.starts
        if wanted.from_ is not None:
            starts = brokers.first_at(keys, millis(wanted.from_))
            begins = {key: after_the_one_before(self._kafka, key, starts[key], beginnings[key]) for key in keys}
        trimmed = {
            name_of(key): low for key, low in beginnings.items() if wanted.from_ is not None and 0 < low == starts[key]
        }
        stops = brokers.ends(keys) if wanted.until is None else None
        return Plan(
            topics=list(wanted.topics),
            from_=wanted.from_,
            until=wanted.until,
            asked_at=asked_at,
            ids=ids,
            starts={name_of(key): offset for key, offset in starts.items()},
            begins={name_of(key): offset for key, offset in begins.items()},
            stops=None if stops is None else {name_of(key): offset for key, offset in stops.items()},
            trimmed=trimmed,
        )

    def _parts(self, plan: Plan, keys: list[Key], left: Left | None) -> list[Part]:
        written = {(part.topic, part.partition): part for part in left.partitions} if left is not None else {}
        parts = []
        for key in keys:
            reach_ms = self._lateness(key[0]) // 1000
            begun = written.get(key)
            start = begun.end_offset if begun is not None and begun.records else plan.starts[name_of(key)]
            entered = plan.from_ is None or (begun is not None and begun.records > 0)
            parts.append(
                Part(
                    key,
                    plan.holes.get(name_of(key), Holes(start)),
                    None if entered or plan.from_ is None else Border(millis(plan.from_), reach_ms),
                    None if plan.until is None else Border(millis(plan.until), reach_ms),
                    None if plan.stops is None else plan.stops[name_of(key)],
                    start,
                    plan.begins[name_of(key)],
                )
            )
        return parts

    def _saved(self, plan: Plan, parts: list[Part]) -> dict[str, Any]:
        plan.holes = {name_of(part.key): part.holes for part in parts}
        saved: dict[str, Any] = msgspec.to_builtins(plan)
        return saved

    # -- recording -------------------------------------------------------------------------------------------------

    def _run(self, plan: Plan, parts: list[Part], brokers: Brokers, writer: RecordingWriter) -> bool:
        """Read and write until every partition has come to its end; return whether it has."""
        by_key = {part.key: part for part in parts}
        schemas = Schemas()
        fetcher = fetcher_of(self._registry, schemas, writer.folder)
        log = Log(self._kafka, {part.key: part.position for part in parts})
        saved_at, unsaved = time.monotonic(), 0
        try:
            while not self._all_done(parts):
                if self._stopping():
                    return False
                self._ask_for_ends(plan, parts, brokers)
                for read in log.read(BATCH, POLL_S):
                    part = by_key[read.key]
                    if part.done:
                        continue
                    batch = batch_of(read.key, read.messages)
                    while not fetcher.ready(batch):
                        if self._stopping():
                            return False
                        time.sleep(SCHEMA_POLL_S)
                    self._take(part, read.messages, writer)
                    part.position = max(part.position, read.end or 0)
                    unsaved += len(read.messages)
                    self._advance(len(read.messages), self._left(parts))
                for part in parts:
                    if not part.done and self._is_done(part):
                        part.done = True
                        log.leave(part.key)
                if unsaved >= CHECKPOINT_RECORDS or time.monotonic() - saved_at > CHECKPOINT_S:
                    writer.checkpoint(self._saved(plan, parts))
                    saved_at, unsaved = time.monotonic(), 0
        finally:
            fetcher.close()
            log.close()
        return True

    def _ask_for_ends(self, plan: Plan, parts: list[Part], brokers: Brokers) -> None:
        """Ask where partitions end, once nothing before the last instant is to be expected any more."""
        if plan.stops is not None or plan.until is None:
            return
        reach_us = max(self._lateness(part.key[0]) for part in parts)
        if self._now() < plan.until + reach_us:
            return
        ends = brokers.ends([part.key for part in parts])
        plan.stops = {name_of(key): offset for key, offset in ends.items()}
        for part in parts:
            part.stop = ends[part.key]

    def _take(self, part: Part, messages: list[Message], writer: RecordingWriter) -> None:
        """Write what is before the last border and behind the first."""
        if part.stop is not None:
            messages = [message for message in messages if offset_of(message) < part.stop]
        if not messages:
            return
        for message in messages:
            part.holes.meet(offset_of(message))
        part.position = offset_of(messages[-1]) + 1
        tables = [table_of(part.key, messages)]
        if part.entry is not None:
            part.entry.feed(tables[0])
            if not part.entry.done:
                return
            tables = self._entered(part, part.entry, writer)
        self._write(part, tables, writer)

    def _entered(self, part: Part, entry: Border, writer: RecordingWriter) -> list[pa.Table]:
        """Begin the partition at the border that was found; return what is behind it."""
        writer.declare(*part.key, part.begins if entry.edge is None else entry.edge)
        part.entry = None
        return entry.after

    def _write(self, part: Part, tables: list[pa.Table], writer: RecordingWriter) -> None:
        for table in tables:
            for kept in [table] if part.exit is None else part.exit.feed(table):
                writer.append_table(*part.key, kept)

    def _is_done(self, part: Part) -> bool:
        ended = part.stop is not None and part.position >= part.stop
        return ended or (part.exit is not None and part.exit.done)

    def _all_done(self, parts: list[Part]) -> bool:
        return all(part.done for part in parts)

    def _left(self, parts: list[Part]) -> int | None:
        if any(part.stop is None for part in parts):
            return None
        return sum(max((part.stop or 0) - part.position, 0) for part in parts if not part.done)

    # -- the end ---------------------------------------------------------------------------------------------------

    def _finish(self, wanted: Wanted, plan: Plan, parts: list[Part], writer: RecordingWriter, into: Path) -> Manifest:
        for part in parts:
            if part.entry is not None:  # it ended before its beginning was past doubt
                self._write(part, self._entered(part, part.entry, writer), writer)
            if part.exit is None:
                part.holes.meet_end(part.position if part.stop is None else min(part.stop, part.position))
        until = plan.until
        if until is None:
            # What is written after `asked_at`, and happened before this, is late by the job's own rule.
            until = plan.asked_at - max(self._lateness(topic) for topic in plan.topics)
        idle = [one for one in wanted.idle if _within(one, parts, plan)]
        schemas = [schema.id for schema in SchemaFolder(into / FOLDER).load()]
        sampled = [
            each
            for part in parts
            for each in sampled_within(wanted.sampled, *part.key, plan.starts[name_of(part.key)], part.position)
        ]
        return writer.finish(until, idle=idle, sampled=sampled, schemas=schemas)

    def _missing(self, parts: list[Part], brokers: Brokers, topics: tuple[str, ...]) -> dict[str, Missing]:
        found: dict[str, Missing] = {}
        compacted: Mapping[str, bool] = brokers.compacted(list(topics)) if any(p.holes.offsets for p in parts) else {}
        for part in parts:
            holes = part.holes
            if not holes.offsets:
                continue
            all_may_be = compacted[part.key[0]]
            seen = 0 if all_may_be or not self._kafka.read_committed else aborted(self._kafka, part.key, holes.runs)
            # A transaction leaves one mark in a partition where it left at least one record.
            unexplained = 0 if all_may_be else max(0, holes.offsets - seen - (holes.records + seen))
            found[name_of(part.key)] = Missing(holes.offsets, seen, all_may_be, unexplained)
        return found


def _within(idle: Idle, parts: list[Part], plan: Plan) -> bool:
    for part in parts:
        if part.key == (idle.topic, idle.partition):
            return plan.starts[name_of(part.key)] <= idle.next_offset <= part.position
    return False
