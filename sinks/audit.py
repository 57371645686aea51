"""Checking the store against itself: nothing missing, nothing altered."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from config.errors import SequenceError
from sinks.chain import GENESIS, link
from sinks.schema import outputs, progress, repeats
from sinks.store import Store


def verify_chain(store: Store) -> dict[str, int]:
    """Compute every hash of every sink part again.

    Returns:
        The number of entries verified, by part.

    Raises:
        SequenceError: An entry is missing, was altered, or stands in the wrong place.
    """
    with store.read() as connection:
        parts = {row.part: row for row in connection.execute(sa.select(progress).order_by(progress.c.part))}
        for part, row in parts.items():
            head, seq = GENESIS, 0
            with connection.execution_options(yield_per=10_000).execute(_history(part)) as entries:
                for entry in entries:
                    seq += 1
                    told = (entry.type, entry.id, entry.event_at, entry.key, entry.body)
                    if entry.seq != seq or (head := link(head, part, seq, *told)) != entry.chain:
                        raise SequenceError(
                            f"Sink part {part}: the chain breaks at entry {seq}.",
                            remedy="Restore the store from a backup.",
                        )
            if (row.seq, row.head) != (seq, head):
                raise SequenceError(
                    f"Sink part {part}: {seq} entries are there, its progress says {row.seq}.",
                    remedy="Restore the store from a backup.",
                )
    return {part: row.seq for part, row in parts.items()}


def _history(part: str) -> sa.Select[Any]:
    """Select the entries of a part in order; those that came again with the content of their first."""
    columns = (outputs.c.type, outputs.c.id, outputs.c.event_at, outputs.c.key, outputs.c.body)
    first = sa.select(outputs.c.seq, *columns, outputs.c.chain).where(outputs.c.part == part)
    same = sa.and_(outputs.c.kind == repeats.c.kind, outputs.c.id == repeats.c.id)
    again = (
        sa.select(repeats.c.seq, *columns, repeats.c.chain)
        .select_from(repeats.join(outputs, same))
        .where(repeats.c.part == part)
    )
    entries = sa.union_all(first, again).subquery()
    return sa.select(entries).order_by(entries.c.seq)
