"""The effect ledger: what is to be done, what was asked of targets, what came of it; SQL, in SQLite or PostgreSQL.

It is the truth about effects. It is written before anything is asked of a target, so that after a crash whatever may
have happened stands in it. Actions are divided into shards by entity. Whoever opens a shard raises its *generation*;
a writer of an older generation can write nothing any more. Many changes are committed together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from config.errors import FencedError
from sinks.ledger_rows import NewAction, Reject
from sinks.ledger_schema import actions, effects, facts, rejects, sources, wishes
from sinks.ledger_shard import ShardWriter
from sinks.many import Upserting, inserting
from sinks.place import Kind, Place
from sinks.projections import chunks

REVISION = "0002"
"""The newest step in `sinks/migrations/ledger`."""

SINCE = "since"
"""Fact of the ledger: from which event time on its source is observed."""


class Ledger(Place):
    """One ledger: see `Place`. It may lie in the database of a store."""

    kind = Kind("ledger", REVISION, "ledger", "ledger_version", "forestall remediate", shares=True)

    # Taking actions in

    def position(self, source: str) -> int:
        """Return the position of `source` that is to be taken in next; 0 at the start."""
        with self.read() as connection:
            found = connection.execute(sa.select(sources.c.position).where(sources.c.source == source)).scalar()
        return found or 0

    def take_in(
        self, source: str, position: int, following: int, new: Sequence[NewAction], refused: Sequence[Reject] = ()
    ) -> list[NewAction]:
        """Write what came from a source, and how far it is, in one transaction; return the actions not known before.

        Args:
            source: Its name.
            position: Where it was.
            following: Where it is now.
            new: Actions, in the order in which they came.
            refused: What came between them and is none.

        Raises:
            FencedError: another flow has taken the source further; nothing is written.
        """
        tried: list[int] = []

        def transact() -> list[NewAction]:
            tried.append(following)
            with self.begin() as connection:
                query = sa.select(sources.c.position).where(sources.c.source == source).with_for_update()
                there = connection.execute(query).scalar() or 0
                if there == following != position and len(tried) > 1:
                    return list(new)  # The attempt before did well, and its answer was lost.
                if there != position:
                    raise FencedError(
                        f"FENCED: {source} was read from {position} on, the ledger has it up to {there}.",
                        remedy="Another flow reads the same actions; let one of them go on.",
                    )
                return self._take_in(connection, source, following, new, refused)

        return self.patiently(transact)

    def _take_in(
        self,
        connection: sa.Connection,
        source: str,
        following: int,
        new: Sequence[NewAction],
        refused: Sequence[Reject],
    ) -> list[NewAction]:
        known = set[str]()
        for ids in chunks([action.action_id for action in new]):
            known.update(connection.execute(_ids_of(ids)).scalars())
        unknown: dict[str, NewAction] = {}
        for action in new:
            if action.action_id not in known:
                unknown.setdefault(action.action_id, action)
        fresh = list(unknown.values())
        _INSERT_ACTIONS(connection, [_action_row(action) for action in fresh])
        _UPSERT_REJECTS(connection, [(source, *reject) for reject in refused])
        _UPSERT_SOURCES(connection, [(source, following)])
        return fresh

    # Carrying them out

    def open_shard(self, shard: str) -> ShardWriter:
        """Take over a shard: raise its generation."""
        return ShardWriter(self, shard)

    def acted_on(self, entity: str, since: int, but: str) -> bool:
        """Return whether any action but one has asked for an effect on `entity` since an instant."""
        e = effects.c
        query = sa.select(e.action_id).where(e.entity == entity, e.sent_at >= since, e.action_id != but).limit(1)
        with self.read() as connection:
            return connection.execute(query).first() is not None

    def observed_since(self, at: int) -> int:
        """Return the event time from which on actions are observed: `at` where nobody has said so before."""
        return int(self.fixed(SINCE, str(at)))

    def fixed(self, key: str, value: str) -> str:
        """Return what was said first of something that does not change for the life of the ledger: now, or before."""

        def transact() -> str:
            with self.begin() as connection:
                known = connection.execute(
                    sa.select(facts.c.value).where(facts.c.key == key).with_for_update()
                ).scalar()
                if known is None:
                    connection.execute(facts.insert().values(key=key, value=value))
                return value if known is None else known

        return self.patiently(transact)

    def fact(self, key: str) -> str | None:
        """Return what is known under a key; None for nothing."""
        with self.read() as connection:
            return connection.execute(sa.select(facts.c.value).where(facts.c.key == key)).scalar()

    def change_fact(self, key: str, was: str | None, value: str) -> None:
        """Write what is known now under a key.

        Raises:
            FencedError: it is not any more what it was: another flow has written it; nothing is written.
        """

        def transact() -> None:
            with self.begin() as connection:
                there = connection.execute(
                    sa.select(facts.c.value).where(facts.c.key == key).with_for_update()
                ).scalar()
                if there not in (was, value):  # equal to `value`: the attempt before did well, its answer was lost
                    raise FencedError(
                        f"FENCED: what the ledger knows of {key} was changed by another flow.",
                        remedy="Let that one go on, and leave this one stopped.",
                    )
                _UPSERT_FACTS(connection, [(key, value)])

        self.patiently(transact)

    # Wishes of people

    def wish_undone(self, action_ids: Iterable[str], reason: str, at: int) -> int:
        """Note that actions shall be taken back; return how many were not wished so before."""
        ids = sorted(set(action_ids))

        def transact() -> int:
            with self.begin() as connection:
                known = set[str]()
                for some in chunks(ids):
                    query = sa.select(wishes.c.action_id).where(wishes.c.action_id.in_(some), ~wishes.c.taken)
                    known.update(connection.execute(query).scalars())
                new = [(action_id, reason, at, False) for action_id in ids if action_id not in known]
                _UPSERT_WISHES(connection, new)
                return len(new)

        return self.patiently(transact)


_ACTION = [column.name for column in actions.columns]
_INSERT_ACTIONS = inserting(actions)
_UPSERT_SOURCES, _UPSERT_FACTS = Upserting(sources), Upserting(facts)
_UPSERT_WISHES, _UPSERT_REJECTS = Upserting(wishes), Upserting(rejects)


def _action_row(new: NewAction) -> tuple[Any, ...]:
    """Return the row of an action that was only taken in."""
    values = dict[str, Any].fromkeys(_ACTION) | new._asdict()
    values |= {"generation": 0, "state": "intended", "open": True, "reason": "", "attempts": 0, "saga": b""}
    return tuple(values[name] for name in _ACTION)


def _ids_of(ids: Sequence[str]) -> sa.Select[Any]:
    return sa.select(actions.c.action_id).where(actions.c.action_id.in_(ids))
