"""Writing one sink part: fenced, contiguous, all or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from config.errors import FencedError, SequenceError
from config.instruments import switched_on
from sinks.chain import Entry
from sinks.counted import STORE, count_released
from sinks.many import inserting
from sinks.open_requests import APPROVAL, OpenRequests
from sinks.projections import IN_MAX, apply_case_events
from sinks.schema import channels, outputs, progress, repeats

if TYPE_CHECKING:
    from sinks.store import Store


class ChannelStats(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a source partition says of itself, totals since its first record; or a key group, at its end."""

    channel: str
    """`topic/partition`, or `@stage/group`."""
    next_offset: int
    watermark: int
    """Event time, microseconds since the epoch."""
    records: int = 0
    accepted: int = 0
    late: int = 0
    duplicates: int = 0
    rejected: int = 0
    held: int = 0
    open_keys: int = 0
    """Of a key group: keys with state,"""
    open_timers: int = 0
    """timers set and not due by the end of the input,"""
    open_events: int = 0
    """and events later than it."""
    shed: int = 0
    """Of a partition: telemetry not looked into, under overload."""


Insert = Callable[[sa.Connection, str, Sequence[Entry]], None]


SORTINGS_MAX = 5
"""How often entries are sorted out again, when another part has just brought the same output."""


class _Repeated(Exception):
    """An entry has the kind and id of an output that is there; its transaction is undone."""


class PartWriter:
    """The one who may write a sink part, until somebody else opens it.

    Made by `Store.open_part`.
    """

    def __init__(self, store: Store, part: str, fence: int) -> None:
        self.part = part
        self.fence = fence
        self._store = store
        self._requests = OpenRequests(part, self._before()) if switched_on() else None

    def release(self, entries: Sequence[Entry], stats: Sequence[ChannelStats] = ()) -> bool:
        """Write `entries` that are not there yet, fold case events and take over `stats`, in one transaction.

        Args:
            entries: In the order of their `seq`, without a hole; those at the start may be there already.
            stats: The newest of each channel.

        Returns:
            True: all is written.

        Raises:
            FencedError: The part was opened by another run; nothing is written.
            SequenceError: The entries do not continue the store, or one has the id of another output.
            StoreError: The store cannot be written.
        """
        if entries or stats:
            try:
                self._store.patiently(lambda: self._release(entries, stats, _insert_new))
            except _Repeated:
                self._release_sorted_out(entries, stats)
        return True

    def _release_sorted_out(self, entries: Sequence[Entry], stats: Sequence[ChannelStats]) -> None:
        for _ in range(SORTINGS_MAX):
            with suppress(_Repeated):
                return self._store.patiently(lambda: self._release(entries, stats, _insert_sorted_out))
        raise SequenceError(
            f"Sink part {self.part}: outputs from {entries[0].seq} on clash with others time and again.",
            remedy="Start the job again; keep store and recovery folder for examination if that does not help.",
        )

    def _release(self, entries: Sequence[Entry], stats: Sequence[ChannelStats], insert: Insert) -> None:
        began = time.perf_counter()
        with self._store.begin() as connection:
            seq = self._fenced_seq(connection)
            fresh = [entry for entry in entries if entry.seq > seq]
            if fresh:
                if any(entry.seq != expected for expected, entry in enumerate(fresh, seq + 1)):
                    raise SequenceError(
                        f"Sink part {self.part}: the store is at {seq}, the release goes on at {fresh[0].seq} "
                        f"to {fresh[-1].seq} in {len(fresh)} entries.",
                        remedy="Stop the job and keep store and recovery folder for examination.",
                    )
                insert(connection, self.part, fresh)
                if bodies := [entry.body for entry in fresh if entry.kind == "case"]:
                    apply_case_events(connection, bodies)
                last = fresh[-1]
                connection.execute(
                    progress.update().where(progress.c.part == self.part).values(seq=last.seq, head=last.chain)
                )
            if stats:
                _take_over(connection, stats)
        count_released(STORE, fresh, began)
        if self._requests is not None:
            self._requests.released(fresh)

    def _before(self) -> list[tuple[str, bytes]]:
        """Return (type, body) of the outputs about requests that are there."""
        query = sa.select(outputs.c.type, outputs.c.body).where(outputs.c.kind == APPROVAL, outputs.c.part == self.part)
        with self._store.read() as connection:
            return [(row.type, row.body) for row in connection.execute(query.order_by(outputs.c.seq))]

    def mark_done(self) -> None:
        """Note that this part has released everything of this run.

        Raises:
            FencedError: The part was opened by another run.
        """

        def transact() -> None:
            with self._store.begin() as connection:
                self._fenced_seq(connection)
                connection.execute(progress.update().where(progress.c.part == self.part).values(done=True))

        self._store.patiently(transact)

    def _fenced_seq(self, connection: sa.Connection) -> int:
        row = connection.execute(
            sa.select(progress.c.seq, progress.c.fence).where(progress.c.part == self.part).with_for_update()
        ).one()
        if row.fence != self.fence:
            raise FencedError(
                f"FENCED: sink part {self.part} was opened with fence {self.fence}, the store now has {row.fence}.",
                remedy="Another run has taken over; let it go on and leave this one stopped.",
            )
        return int(row.seq)


def _insert_new(connection: sa.Connection, part: str, entries: Sequence[Entry]) -> None:
    """Insert entries that are expected to be new, and in a job that keeps its ids apart always are."""
    try:
        _INSERT_OUTPUTS(connection, [_row(part, entry) for entry in entries])
    except sa.exc.IntegrityError as error:
        raise _Repeated from error


def _insert_sorted_out(connection: sa.Connection, part: str, entries: Sequence[Entry]) -> None:
    """Insert entries of which some are there already."""
    new, again = _sorted_out(connection, part, entries)
    if new:
        _insert_new(connection, part, new)
    if again:
        kept = ("seq", "kind", "id", "chain")
        rows = [{"part": part, **{name: getattr(entry, name) for name in kept}} for entry in again]
        connection.execute(repeats.insert(), rows)


_INSERT_OUTPUTS = inserting(outputs)


def _row(part: str, entry: Entry) -> tuple[Any, ...]:
    """Return the values of an output in the order of its columns."""
    return (part, entry.seq, entry.kind, entry.type, entry.id, entry.at, entry.key, entry.body, entry.chain)


def _sorted_out(connection: sa.Connection, part: str, entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Tell new outputs from those equal to one that is there, or earlier in `entries`."""
    there: dict[tuple[str, str], tuple[Any, ...]] = {}
    ids, kinds = sorted({entry.id for entry in entries}), sorted({entry.kind for entry in entries})
    for start in range(0, len(ids), IN_MAX):
        some = outputs.c.id.in_(ids[start : start + IN_MAX])
        for row in connection.execute(sa.select(outputs).where(outputs.c.kind.in_(kinds), some)):
            there[row.kind, row.id] = (row.type, row.event_at, row.key, row.body)
    new, again = [], []
    for entry in entries:
        name, content = (entry.kind, entry.id), (entry.type, entry.at, entry.key, entry.body)
        if name not in there:
            there[name] = content
            new.append(entry)
        elif there[name] == content:
            again.append(entry)
        else:
            raise SequenceError(
                f"Sink part {part}, entry {entry.seq}: {entry.kind} {entry.id} is there with another content.",
                remedy="One id was derived for two outputs, or the recovery folder was rewound: "
                "keep both for examination, and start with a new store and a new recovery folder.",
            )
    return new, again


def _take_over(connection: sa.Connection, stats: Sequence[ChannelStats]) -> None:
    query = sa.select(channels.c.channel).where(channels.c.channel.in_([each.channel for each in stats]))
    known = set(connection.execute(query).scalars())
    rows = [{name: getattr(each, name) for name in ChannelStats.__struct_fields__} for each in stats]
    if new := [row for row in rows if row["channel"] not in known]:
        connection.execute(channels.insert(), new)
    if old := [{**row, "_channel": row["channel"]} for row in rows if row["channel"] in known]:
        values: Any = {name: sa.bindparam(name) for name in ChannelStats.__struct_fields__ if name != "channel"}
        connection.execute(channels.update().where(channels.c.channel == sa.bindparam("_channel")).values(values), old)
