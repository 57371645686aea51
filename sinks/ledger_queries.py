"""What is asked of a ledger by reports: each function returns built-in values, ready for JSON."""

from __future__ import annotations

from typing import Any

import orjson
import sqlalchemy as sa

from config.errors import UsageError
from sinks.ledger import Ledger
from sinks.ledger_rows import Open
from sinks.ledger_schema import actions, effects, outcomes
from sinks.place import Place
from sinks.projections import IN_MAX

Row = dict[str, Any]


def holds_ledger(place: Place) -> bool:
    """Return whether the database of a store, or of whatever else, holds a ledger too."""
    with place.read() as connection:
        return Ledger.kind.version_table in sa.inspect(connection).get_table_names()


def actions_by_state(ledger: Ledger) -> dict[str, int]:
    """Return the number of actions by state."""
    return _counted(ledger, actions.c.state)


def effects_by_status(ledger: Ledger) -> dict[str, int]:
    """Return the number of effects by status."""
    return _counted(ledger, effects.c.status)


def actions_by_remedy(ledger: Ledger) -> list[Row]:
    """Return remedy, state, reason and how many actions, of each of them that there is."""
    a = actions.c
    by = (a.remedy, a.state, a.reason)
    with ledger.read() as connection:
        found = connection.execute(sa.select(*by, sa.func.count()).group_by(*by).order_by(*by))
        return [dict(zip(("remedy", "state", "reason", "actions"), row, strict=True)) for row in found]


def effects_by_key(ledger: Ledger) -> dict[str, str]:
    """Return the status of each effect by its idempotency key."""
    with ledger.read() as connection:
        return {row[0]: row[1] for row in connection.execute(sa.select(effects.c.key, effects.c.status))}


def _counted(ledger: Ledger, column: sa.Column[str]) -> dict[str, int]:
    with ledger.read() as connection:
        found = connection.execute(sa.select(column, sa.func.count()).group_by(column).order_by(column))
        return {row[0]: row[1] for row in found}


def find_actions(
    ledger: Ledger, *, state: str | None = None, remedy: str | None = None, limit: int | None = None
) -> list[Row]:
    """Return actions with their effects, the latest first: what is known of each, instants in microseconds."""
    a = actions.c
    query = sa.select(*(column for column in a if column.name not in ("body", "saga")))
    query = query.order_by(a.at.desc(), a.action_id).limit(limit)
    if state is not None:
        query = query.where(a.state == state)
    if remedy is not None:
        query = query.where(a.remedy == remedy)
    return _with_effects(ledger, query)


def find_action(ledger: Ledger, action_id: str) -> Row:
    """Return the action whose id is, or begins with, `action_id`: what was decided, its effects, its outcomes.

    Raises:
        UsageError: there is none, or more than one.
    """
    a = actions.c
    begins = a.action_id.startswith(action_id, autoescape=True)
    found = _with_effects(ledger, sa.select(actions).where(begins).order_by(a.action_id).limit(2)) if action_id else []
    if not found:
        raise UsageError(f"There is no action {action_id!r}.", remedy="`forestall actions list` shows their ids.")
    if len(found) > 1 and found[0]["action_id"] != action_id:
        raise UsageError(f"More than one action begins with {action_id!r}.", remedy="Give more of the id.")
    row = found[0]
    del row["saga"]
    query = sa.select(outcomes.c.body).where(outcomes.c.action_id == row["action_id"]).order_by(outcomes.c.seq)
    with ledger.read() as connection:
        told = [{"verdict": None} | orjson.loads(body) for (body,) in connection.execute(query)]
    return row | {"decided": orjson.loads(row.pop("body")), "outcomes": told}


def _with_effects(ledger: Ledger, query: sa.Select[Any]) -> list[Row]:
    """Return the actions that `query` selects, each with its effects in the order in which they were asked for."""
    e = effects.c
    with ledger.read() as connection:
        rows = [_plain(row) | {"effects": []} for row in connection.execute(query).mappings()]
        by_id = {row["action_id"]: row for row in rows}
        ids = sorted(by_id)
        for start in range(0, len(ids), IN_MAX):
            of_some = sa.select(effects).where(e.action_id.in_(ids[start : start + IN_MAX]))
            for effect in connection.execute(of_some.order_by(e.action_id, e.sent_at, e.step)).mappings():
                by_id[effect["action_id"]]["effects"].append(_plain(effect))
    return rows


def _plain(row: sa.RowMapping) -> Row:
    # SQLAlchemy's names are of a kind of str that orjson refuses.
    return {str(name): value for name, value in row.items()}


def bundles(ledger: Ledger) -> list[Row]:
    """Return the policies by which actions were decided, with how many."""
    a = actions.c
    query = sa.select(a.bundle, sa.func.count().label("actions")).group_by(a.bundle).order_by(a.bundle)
    with ledger.read() as connection:
        return [_plain(row) for row in connection.execute(query).mappings()]


def decided_by(ledger: Ledger, bundle: str, since: int, until: int) -> list[Open]:
    """Return the actions that a policy decided from an instant on and before another, the oldest first."""
    a = actions.c
    query = sa.select(*(a[name] for name in Open._fields)).where(a.bundle == bundle, a.at >= since, a.at < until)
    with ledger.read() as connection:
        return [Open(*row) for row in connection.execute(query.order_by(a.at, a.action_id))]


def latest(ledger: Ledger) -> int:
    """Return the latest instant at which anything was written down of an action; 0 for none."""
    a = actions.c
    columns = (a.at, a.intended_at, a.dispatched_at, a.acknowledged_at, a.judged_at, a.ended_at)
    with ledger.read() as connection:
        found = connection.execute(sa.select(*map(sa.func.max, columns))).one()
    return max((at for at in found if at is not None), default=0)
