"""One shard of the effect ledger, as the one who works on it writes it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from config.errors import FencedError
from sinks.chain import GENESIS, Entry, link
from sinks.ledger_rows import BreakerRow, EffectRow, NewAction, Open, OutcomeRow, Progress
from sinks.ledger_schema import actions, breakers, effects, outcomes, shards, wishes
from sinks.many import InsertingNew, Upserting, updating
from sinks.place import Place
from sinks.projections import chunks

OUTCOME = "action.outcome"
"""Type of what is told of an action."""


class ShardWriter:
    """The one who may write a shard, until somebody else makes one of these: it raises the shard's generation.

    Args:
        ledger: The ledger.
        shard: Name of the shard.
    """

    def __init__(self, ledger: Place, shard: str) -> None:
        self.shard = shard
        self._ledger = ledger
        self.generation, self.published, self.told, self._head = ledger.patiently(self._taken_over)

    def _taken_over(self) -> tuple[int, int, int, bytes]:
        with self._ledger.begin() as connection:
            s, o = shards.c, outcomes.c
            # The row has to be there to be locked: else two who open a new shard at once would both own it.
            _INSERT_SHARDS(connection, [(self.shard, 0, 0)])
            query = sa.select(s.generation, s.published).where(s.shard == self.shard).with_for_update()
            generation, published = connection.execute(query).one()
            connection.execute(shards.update().where(s.shard == self.shard).values(generation=generation + 1))
            last = sa.select(o.n, o.chain).where(o.shard == self.shard).order_by(o.n.desc()).limit(1)
            told, head = connection.execute(last).one_or_none() or (0, GENESIS)
        return generation + 1, published, told, head

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
        n, head = self.told, self._head
        outcome_rows = []
        for row in told:
            n += 1
            head = link(head, self.shard, n, OUTCOME, _id_of(row.action_id, row.seq), row.at, row.key, row.body)
            outcome_rows.append((self.shard, n, row.action_id, row.seq, row.at, row.key, row.body, head))

        def transact() -> None:
            with self._ledger.begin() as connection:
                self._check_generation(connection)
                _UPDATE_ACTIONS(connection, [(*row, self.generation) for row in progress])
                _UPSERT_EFFECTS(connection, changed)
                _UPSERT_OUTCOMES(connection, outcome_rows)
                _UPSERT_BREAKERS(connection, [(self.shard, *row) for row in breaker_rows])
                for ids in chunks(taken):
                    connection.execute(wishes.update().where(wishes.c.action_id.in_(ids)).values(taken=True))

        self._ledger.patiently(transact)
        self.told, self._head = n, head

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
            for ids in chunks(action_ids):
                query = sa.select(*_OPEN).where(actions.c.shard == self.shard, actions.c.action_id.in_(ids))
                found += [Open(*row) for row in connection.execute(query.order_by(actions.c.action_id))]
        return found

    def unbegun(self, new: Sequence[NewAction]) -> list[NewAction]:
        """Return those of some actions that stand in the shard as they were taken in: nothing came of them yet."""
        if not new:
            return []
        by_id = {one.action_id: one for one in new}
        a, found = actions.c, set[str]()
        with self._ledger.read() as connection:
            for ids in chunks(list(by_id)):
                query = sa.select(a.action_id).where(a.action_id.in_(ids), a.shard == self.shard, a.open, a.saga == b"")
                found.update(connection.execute(query).scalars())
        return [one for action_id, one in by_id.items() if action_id in found]

    def latest(self) -> int:
        """Return the latest instant at which anything of the shard was written down; 0 for none."""
        a = actions.c
        columns = (a.intended_at, a.dispatched_at, a.acknowledged_at, a.judged_at, a.ended_at)
        sent = sa.select(sa.func.max(effects.c.sent_at)).join(actions, a.action_id == effects.c.action_id)
        with self._ledger.read() as connection:
            found = connection.execute(sa.select(*map(sa.func.max, columns)).where(a.shard == self.shard)).one()
            last = connection.execute(sent.where(a.shard == self.shard)).scalar()
        return max((at for at in (*found, last) if at is not None), default=0)

    def hear(self, limit: int) -> tuple[list[tuple[str, str]], list[BreakerRow]]:
        """Return what others say: (action id, reason) of actions of the shard that shall be taken back and were not
        heeded yet, at most so many; and what the other shards know of targets that are not as they should be.
        """
        wished = (
            sa.select(wishes.c.action_id, wishes.c.reason)
            .join(actions, actions.c.action_id == wishes.c.action_id)
            .where(actions.c.shard == self.shard, ~wishes.c.taken)
            .order_by(wishes.c.action_id)
            .limit(limit)
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

    # Telling others what came of them

    def chain_at(self, n: int) -> bytes:
        """Return the chain's hash at an outcome of the shard; 0 is before the first."""
        o = outcomes.c
        with self._ledger.read() as connection:
            found = connection.execute(sa.select(o.chain).where(o.shard == self.shard, o.n == n)).scalar()
        return GENESIS if found is None else found

    def unpublished(self, limit: int) -> list[Entry]:
        """Return the outcomes that are not known to be on their topic, in their order, at most so many."""
        o = outcomes.c
        query = sa.select(o.n, o.action_id, o.seq, o.at, o.key, o.body, o.chain).where(o.shard == self.shard)
        query = query.where(o.n > self.published).order_by(o.n).limit(limit)
        with self._ledger.read() as connection:
            return [
                Entry(row.n, OUTCOME, _id_of(row.action_id, row.seq), row.at, row.key, row.body, row.chain)
                for row in connection.execute(query)
            ]

    def note_published(self, n: int) -> None:
        """Note that the outcomes up to one are on their topic.

        Raises:
            FencedError: the shard was opened by another flow; nothing is written.
        """

        def transact() -> None:
            with self._ledger.begin() as connection:
                self._check_generation(connection)
                connection.execute(shards.update().where(shards.c.shard == self.shard).values(published=n))

        self._ledger.patiently(transact)
        self.published = n

    def _check_generation(self, connection: sa.Connection) -> None:
        query = sa.select(shards.c.generation).where(shards.c.shard == self.shard).with_for_update()
        there = connection.execute(query).scalar_one()
        if there != self.generation:
            raise FencedError(
                f"FENCED: shard {self.shard} was opened as generation {self.generation}, the ledger is at {there}.",
                remedy="Another flow has taken over; let it go on and leave this one stopped.",
            )


_OPEN = tuple(actions.c[name] for name in Open._fields)
_PROGRESS = [name for name in Progress._fields if name != "action_id"]
_UPDATE_ACTIONS = updating(actions, "action_id", [*_PROGRESS, "generation"])
_UPSERT_EFFECTS, _UPSERT_BREAKERS = Upserting(effects), Upserting(breakers)
_UPSERT_OUTCOMES, _INSERT_SHARDS = Upserting(outcomes), InsertingNew(shards)


def _id_of(action_id: str, seq: int) -> str:
    """Return the id of an outcome."""
    return f"{action_id}-{seq}"
