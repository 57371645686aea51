"""What the remediation flow reads of a store: actions, each sink part a source in order of its outputs; and flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson
import sqlalchemy as sa

from config.clock import TIME_MIN
from config.events import Event
from sinks.schema import channels, outputs, progress
from sinks.store import Store

TOLD = ("action", "guardrail")
"""Kinds of outputs that the flow hears of: what is to be done, and what would be had no guardrail withheld it."""


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
    """Return the actions of a sink part after a position, at most so many, with those that were withheld."""
    o = outputs.c
    query = sa.select(o.seq, o.key, o.body).where(o.part == part, o.seq > position, o.kind.in_(TOLD))
    with store.read() as connection:
        return [Recorded(*row) for row in connection.execute(query.order_by(o.seq).limit(limit))]


def noted_flags(store: Store) -> list[Event]:
    """Return the flags that a job noted, in the order in which they took effect."""
    o = outputs.c
    query = sa.select(o.event_at, o.id, o.key, o.type, o.body).where(o.kind == "flag").order_by(o.event_at, o.id)
    with store.read() as connection:
        return [Event(*row[:4], orjson.loads(row.body)) for row in connection.execute(query)]


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
