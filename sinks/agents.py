"""What each agent has under way: open cases, what people are asked for it, actions and effects that are not over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from sinks.ledger import Ledger
from sinks.ledger_schema import actions, effects
from sinks.requests import requests
from sinks.schema import cases, outputs
from sinks.store import Store

Row = dict[str, Any]

UNCERTAIN = ("sent", "unknown")
"""Statuses of an effect of which nobody knows yet whether it is there."""


def cases_by_agent(store: Store) -> dict[str, Row]:
    """Return `cases`, how many of them are `open`, and when the last was `opened_at`, by agent."""
    c = cases.c
    is_open = sa.func.count().filter(c.status == "open")
    query = sa.select(c.agent, sa.func.count(), is_open, sa.func.max(c.opened_at)).group_by(c.agent)
    with store.read() as connection:
        found = connection.execute(query).all()
    return {agent: {"cases": total, "open": unresolved, "opened_at": last} for agent, total, unresolved, last in found}


def open_cases(store: Store, agent: str) -> list[Row]:
    """Return the open cases that an agent leads, the most urgent first: `case_id`, `kind`, `entity`, `priority`."""
    c = cases.c
    columns = (c.case_id, c.kind, c.entity, c.priority)
    query = sa.select(*columns).where(c.agent == agent, c.status == "open").order_by(c.priority.desc(), c.case_id)
    with store.read() as connection:
        return [_named(columns, row) for row in connection.execute(query)]


def open_requests(store: Store, agent: str) -> list[Row]:
    """Return what people are asked for an agent and is open: `request_id`, `remedy`, `roles`, `expires_at`."""
    names = ("request_id", "remedy", "roles", "expires_at")
    asked = (row for row in requests(store) if row["end"] is None and row["requester"] == f"agent:{agent}")
    return [{name: row[name] for name in names} for row in asked]


def decided_actions(store: Store, agent: str) -> int:
    """Return how many actions a job has released for an agent's findings, whatever became of them."""
    query = sa.select(outputs.c.body).where(outputs.c.kind == "action")
    with store.read() as connection:
        bodies = connection.execution_options(yield_per=1_000).execute(query).scalars()
        return sum(orjson.loads(body).get("agent") == agent for body in bodies)


def open_actions(ledger: Ledger, agent: str) -> list[Row]:
    """Return the actions for an agent's findings that are not over: `action_id`, `remedy`, `entity`, `state`."""
    a = actions.c
    columns = (a.action_id, a.remedy, a.entity, a.state)
    rows = _of_agent(ledger, sa.select(a.body, *columns).where(a.open), agent)
    return [_named(columns, row) for row in rows]


def uncertain_effects(ledger: Ledger, agent: str) -> list[Row]:
    """Return the effects of an agent's actions of which nobody knows whether they are there, though the action is
    over: `action_id`, `step`, `target`, `key`."""
    a, e = actions.c, effects.c
    columns = (e.action_id, e.step, e.target, e.key)
    query = sa.select(a.body, *columns).join_from(effects, actions, e.action_id == a.action_id)
    uncertain = sa.or_(e.status.in_(UNCERTAIN), e.undo_status.in_(UNCERTAIN))
    rows = _of_agent(ledger, query.where(sa.not_(a.open), uncertain), agent)
    return [_named(columns, row) for row in rows]


def _of_agent(ledger: Ledger, query: sa.Select[Any], agent: str) -> Iterator[tuple[Any, ...]]:
    """Yield what follows the body in each row whose body is of an agent, in order."""
    with ledger.read() as connection:
        for body, *values in connection.execute(query.order_by(actions.c.at, actions.c.action_id)):
            if orjson.loads(body).get("agent") == agent:
                yield tuple(values)


def _named(columns: Sequence[sa.Column[Any]], values: Sequence[Any]) -> Row:
    """Return values by name. SQLAlchemy's names are a subclass of `str`, which is no key of JSON."""
    return {str(column.name): value for column, value in zip(columns, values, strict=True)}
