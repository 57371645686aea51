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
from sinks.chain import GENESIS, link
from sinks.ledger_rows import BreakerRow, EffectRow, NewAction, Open, OutcomeRow, Progress, Reject
from sinks.ledger_schema import actions, breakers, effects, facts, outcomes, rejects, shards, sources, wishes
from sinks.many import Upserting, inserting, updating
from sinks.place import Kind, Place
from sinks.projections import IN_MAX

REVISION = "0001"
"""The newest step in `sinks/migrations/ledger`."""

OUTCOME = "action.outcome"
"""Type of what is told of an action."""

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
        for ids in _chunks([action.action_id for action in new]):
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

        def transact() -> ShardWriter:
            with self.begin() as connection:
                query = sa.select(shards.c.generation).where(shards.c.shard == shard).with_for_update()
                generation = (connection.execute(query).scalar() or 0) + 1
                _UPSERT_SHARDS(connection, [(shard, generation)])
                last = connection.execute(
                    sa.select(outcomes.c.n, outcomes.c.chain)
                    .where(outcomes.c.shard == shard)
                    .order_by(outcomes.c.n.desc())
                    .limit(1)
                ).one_or_none()
            return ShardWriter(self, shard, generation, *(last or (0, GENESIS)))

        return self.patiently(transact)

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

    # Wishes of people

    def wish_undone(self, action_ids: Iterable[str], reason: str, at: int) -> int:
        """Note that actions shall be taken back; return how many were not wished so before."""
        ids = sorted(set(action_ids))

        def transact() -> int:
            with self.begin() as connection:
                known = set[str]()
                for some in _chunks(ids):
                    query = sa.select(wishes.c.action_id).where(wishes.c.action_id.in_(some), ~wishes.c.taken)
                    known.update(connection.execute(query).scalars())
                new = [(action_id, reason, at, False) for action_id in ids if action_id not in known]
                _UPSERT_WISHES(connection, new)
                return len(new)

        return self.patiently(transact)


class ShardWriter:
    """The one who may write a shard, until somebody else opens it. Made by `Ledger.open_shard`."""

    def __init__(self, ledger: Ledger, shard: str, generation: int, told: int, head: bytes) -> None:
        self.shard, self.generation = shard, generation
        self._ledger, self._told, self._head = ledger, told, head

    def commit(
        self,
        progress: Sequence[Progress] = (),
        changed: Sequence[EffectRow] = (),
        told: Sequence[OutcomeRow] = (),
        breaker_rows: Sequence[BreakerRow] = (),
        taken: Sequence[str] = (),
    ) -> None:
        """Write what became of actions, in one transaction.

        Args:
            progress: Of actions that were taken in before.
            changed: Effects.
            told: Outcomes.
            breaker_rows: Breakers that changed.
            taken: Actions whose wish to be taken back was heeded.

        Raises:
            FencedError: the shard was opened by another flow; nothing is written.
        """
        n, head = self._told, self._head
        outcome_rows = []
        for row in told:
            n += 1
            head = link(head, self.shard, n, OUTCOME, f"{row.action_id}-{row.seq}", row.at, row.key, row.body)
            outcome_rows.append((self.shard, n, row.action_id, row.seq, row.at, row.key, row.body, head))

        def transact() -> None:
            with self._ledger.begin() as connection:
                self._check_generation(connection)
                _UPDATE_ACTIONS(connection, [(*row, self.generation) for row in progress])
                _UPSERT_EFFECTS(connection, changed)
                _UPSERT_OUTCOMES(connection, outcome_rows)
                _UPSERT_BREAKERS(connection, [(self.shard, *row) for row in breaker_rows])
                for ids in _chunks(taken):
                    connection.execute(wishes.update().where(wishes.c.action_id.in_(ids)).values(taken=True))

        self._ledger.patiently(transact)
        self._told, self._head = n, head

    def open_actions(self) -> list[Open]:
        """Return the actions of the shard of which something is left to do or to ask, the oldest first."""
        query = (
            sa.select(*_OPEN)
            .where(actions.c.shard == self.shard, actions.c.open)
            .order_by(actions.c.at, actions.c.action_id)
        )
        with self._ledger.read() as connection:
            return [Open(*row) for row in connection.execute(query)]

    def actions(self, action_ids: Sequence[str]) -> list[Open]:
        """Return actions of the shard, whether anything is left of them or not."""
        found: list[Open] = []
        with self._ledger.read() as connection:
            for ids in _chunks(action_ids):
                query = sa.select(*_OPEN).where(actions.c.shard == self.shard, actions.c.action_id.in_(ids))
                found += [Open(*row) for row in connection.execute(query.order_by(actions.c.action_id))]
        return found

    def latest(self) -> int:
        """Return the latest instant at which anything of the shard was written down; 0 for none."""
        a = actions.c
        columns = (a.intended_at, a.dispatched_at, a.acknowledged_at, a.judged_at, a.ended_at)
        sent = sa.select(sa.func.max(effects.c.sent_at)).join(actions, a.action_id == effects.c.action_id)
        with self._ledger.read() as connection:
            found = connection.execute(sa.select(*map(sa.func.max, columns)).where(a.shard == self.shard)).one()
            last = connection.execute(sent.where(a.shard == self.shard)).scalar()
        return max((at for at in (*found, last) if at is not None), default=0)

    def hear(self) -> tuple[list[tuple[str, str]], list[BreakerRow]]:
        """Return what others say: (action id, reason) of actions of the shard that shall be taken back and were not
        heeded yet; and what the other shards know of targets that are not as they should be.
        """
        wished = (
            sa.select(wishes.c.action_id, wishes.c.reason)
            .join(actions, actions.c.action_id == wishes.c.action_id)
            .where(actions.c.shard == self.shard, ~wishes.c.taken)
            .order_by(wishes.c.action_id)
        )
        b = breakers.c
        troubled = sa.select(b.name, b.state, b.until, b.body).where(b.shard != self.shard, b.state != "closed")
        with self._ledger.read() as connection:
            return (
                [(row.action_id, row.reason) for row in connection.execute(wished)],
                [BreakerRow(*row) for row in connection.execute(troubled)],
            )

    def breakers(self) -> list[BreakerRow]:
        """Return what the shard knows of targets."""
        b = breakers.c
        query = sa.select(b.name, b.state, b.until, b.body).where(b.shard == self.shard)
        with self._ledger.read() as connection:
            return [BreakerRow(*row) for row in connection.execute(query)]

    def _check_generation(self, connection: sa.Connection) -> None:
        query = sa.select(shards.c.generation).where(shards.c.shard == self.shard).with_for_update()
        there = connection.execute(query).scalar_one()
        if there != self.generation:
            raise FencedError(
                f"FENCED: shard {self.shard} was opened as generation {self.generation}, the ledger is at {there}.",
                remedy="Another flow has taken over; let it go on and leave this one stopped.",
            )


_OPEN = tuple(actions.c[name] for name in Open._fields)
_ACTION = [column.name for column in actions.columns]
_PROGRESS = [name for name in Progress._fields if name != "action_id"]
_INSERT_ACTIONS = inserting(actions)
_UPDATE_ACTIONS = updating(actions, "action_id", [*_PROGRESS, "generation"])
_UPSERT_EFFECTS = Upserting(effects)
_UPSERT_OUTCOMES = Upserting(outcomes)
_UPSERT_BREAKERS = Upserting(breakers)
_UPSERT_SOURCES, _UPSERT_SHARDS = Upserting(sources), Upserting(shards)
_UPSERT_WISHES, _UPSERT_REJECTS = Upserting(wishes), Upserting(rejects)


def _action_row(new: NewAction) -> tuple[Any, ...]:
    """Return the row of an action that was only taken in."""
    values = dict[str, Any].fromkeys(_ACTION) | new._asdict()
    values |= {"generation": 0, "state": "intended", "open": True, "reason": "", "attempts": 0, "saga": b""}
    return tuple(values[name] for name in _ACTION)


def _ids_of(ids: Sequence[str]) -> sa.Select[Any]:
    return sa.select(actions.c.action_id).where(actions.c.action_id.in_(ids))


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + IN_MAX] for start in range(0, len(ids), IN_MAX))
