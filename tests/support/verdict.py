"""What a store must look like after all that happened to it: as if nothing had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from config.errors import SequenceError
from sinks.audit import verify_chain
from sinks.schema import cases, outputs, progress
from sinks.store import Store

Output = tuple[str, str, str, int, str, bytes]


@dataclass(frozen=True)
class Content:
    """What a run left in its store; nothing in it depends on how workers interleaved."""

    digest: str
    counts: dict[str, int]
    totals: dict[str, int]
    """Records by fate, and repeats: a repeated output was sent twice, though it is stored once."""
    outputs: frozenset[Output]
    cases: frozenset[tuple[Any, ...]]


@dataclass(frozen=True)
class Position:
    """How far each sink part is: (part, entries, hash)."""

    parts: tuple[tuple[str, int, bytes], ...]


def content_of(url: str) -> Content:
    """Return what is in the store."""
    with Store.open(url) as store:
        with store.read() as connection:
            rows = frozenset(tuple(row) for row in connection.execute(sa.select(cases)))
        return Content(store.digest(), store.counts(), store.totals(), _outputs(store), rows)


def position_of(url: str) -> Position:
    """Return how far the store is."""
    with Store.open(url) as store, store.read() as connection:
        rows = connection.execute(sa.select(progress.c.part, progress.c.seq, progress.c.head).order_by(progress.c.part))
        return Position(tuple((part, seq, bytes(head)) for part, seq, head in rows))


def broken_midway(url: str, before: frozenset[Output], reference: Content) -> tuple[list[str], frozenset[Output]]:
    """Return what is wrong with the store of a run that was killed, and its outputs.

    Args:
        url: The store.
        before: Outputs it had when it was looked at the last time.
        reference: Of an unbroken run.
    """
    with Store.open(url) as store:
        now = _outputs(store)
        wrong = _chain(store)
        if store.totals()["repeats"] > reference.totals["repeats"]:
            wrong.append("an output was released twice")
    if gone := before - now:
        wrong.append(f"{len(gone)} outputs are gone, as {_name(gone)}")
    if phantoms := now - reference.outputs:
        wrong.append(f"{len(phantoms)} outputs that the unbroken run has not, as {_name(phantoms)}")
    return wrong, now


def broken_at_end(url: str, reference: Content) -> list[str]:
    """Return what is wrong with the store of a run that came to its end."""
    found = content_of(url)
    with Store.open(url) as store:
        wrong = _chain(store)
        if not store.all_done():
            wrong.append("a sink part is not done")
        if not store.rebuild():
            wrong.append("the table of cases is not what its events add up to")
    if lost := reference.outputs - found.outputs:
        wrong.append(f"{len(lost)} outputs lost, as {_name(lost)}")
    if phantoms := found.outputs - reference.outputs:
        wrong.append(f"{len(phantoms)} outputs invented, as {_name(phantoms)}")
    for name in ("digest", "counts", "totals"):
        if getattr(found, name) != getattr(reference, name):
            wrong.append(f"{name}: {getattr(found, name)}, not {getattr(reference, name)}")
    if found.cases != reference.cases:
        wrong.append("other cases")
    return wrong


def _chain(store: Store) -> list[str]:
    try:
        verify_chain(store)
    except SequenceError as error:
        return [error.message]
    return []


def _outputs(store: Store) -> frozenset[Output]:
    columns = outputs.c
    query = sa.select(columns.kind, columns.id, columns.type, columns.event_at, columns.key, columns.body)
    with store.read() as connection:
        return frozenset((k, i, t, at, key, bytes(body)) for k, i, t, at, key, body in connection.execute(query))


def _name(some: frozenset[Output]) -> str:
    kind, id_, *_ = min(some)
    return f"{kind} {id_}"
