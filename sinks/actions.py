"""The actions of a store, as the remediation flow reads them: each sink part is a source, in order of its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from config.clock import TIME_MIN
from sinks.schema import channels, outputs, progress
from sinks.store import Store


class Recorded(NamedTuple):
    """An action as it was recorded."""

    position: int
    key: str
    """What it was released under."""
    body: bytes


def action_sources(store: Store) -> list[str]:
    """Return the sink parts of a store, in the order of their names."""
    with store.read() as connection:
        query = sa.select(progress.c.part).where(~progress.c.part.contains("/")).order_by(progress.c.part)
        return list(connection.execute(query).scalars())


def actions_after(store: Store, part: str, position: int, limit: int) -> Sequence[Recorded]:
    """Return the actions of a sink part after a position, at most so many."""
    o = outputs.c
    query = sa.select(o.seq, o.key, o.body).where(o.part == part, o.seq > position, o.kind == "action")
    with store.read() as connection:
        return [Recorded(*row) for row in connection.execute(query.order_by(o.seq).limit(limit))]


def history_since(store: Store) -> int | None:
    """Return the event time of the first finding of a store, microseconds; None before there is one."""
    with store.read() as connection:
        return connection.execute(
            sa.select(sa.func.min(outputs.c.event_at)).where(outputs.c.kind == "finding")
        ).scalar()


def complete_until(store: Store) -> int:
    """Return the event time up to which a store is complete, microseconds: its slowest source partition's."""
    query = sa.select(sa.func.min(channels.c.watermark)).where(channels.c.channel.not_like("@%"))
    with store.read() as connection:
        found = connection.execute(query).scalar()
    return TIME_MIN if found is None else found
