"""A target that takes commands from a table: a transactional outbox that somebody else empties.

A command is a row under its idempotency key, so that it is there once however often it is written; whether it is
there can be asked. What is done with it is up to whoever reads the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson
import sqlalchemy as sa

from config.clock import SECOND
from config.effects import Call, Reply, Result
from config.targets import Target
from sinks.engine import open_database, parse_url
from sinks.schema import TEXT


def commands_table(name: str) -> sa.Table:
    """Return the table of commands that goes by `name`."""
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("key", TEXT, primary_key=True),
        sa.Column("operation", TEXT, nullable=False),
        sa.Column("entity", TEXT, nullable=False),
        sa.Column("parameters", TEXT, nullable=False),
        sa.Column("undoes", TEXT),
        sa.Column("written_at", sa.BigInteger, nullable=False),
    )


class SqlTarget:
    """Writes commands into a table. Safe to share between threads.

    Args:
        target: Its database and table.
        wall: The time of the wall, seconds.
        replay: See `sinks.http_target.HttpTarget`.
    """

    def __init__(self, target: Target, wall: Callable[[], float] = time.time, *, replay: bool = False) -> None:
        self._engine = open_database(parse_url(target.url)).writer
        self._table, self._wall, self._replay = commands_table(target.table), wall, replay
        self._made = False

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    def carry_out(self, call: Call) -> Reply:
        """Write or look up a command, and return what came of it. Never raises for what the database refuses."""
        if call.verb == "measure":
            return Reply(call.action_id, call.turn, "unreadable", "a table tells no state")
        if call.verb != "query" and not self._replay and call.is_late(round(self._wall() * SECOND)):
            return Reply(call.action_id, call.turn, "expired", "it waited for its turn for too long")
        sent = False
        try:
            with self._engine.begin() as connection:
                if not self._made:
                    self._table.create(connection, checkfirst=True)
                    self._made = True
                if call.verb == "query":
                    return Reply(call.action_id, call.turn, self._told(connection, call.key))
                if self._told(connection, call.key) == "absent":
                    connection.execute(self._table.insert().values(self._row(call)))
                sent = True  # only the commit is left, and its answer may be lost
            return Reply(call.action_id, call.turn, "done")
        except sa.exc.SQLAlchemyError as error:
            result: Result = "unavailable" if call.verb == "query" else "unknown" if sent else "not-sent"
            return Reply(
                call.action_id, call.turn, result, f"its database failed ({type(error).__name__})", failed=True
            )

    def _told(self, connection: sa.Connection, key: str) -> Result:
        c = self._table.c
        found = set(connection.execute(sa.select(c.key).where(sa.or_(c.key == key, c.undoes == key))).scalars())
        if key not in found:
            return "absent"
        return "undone" if len(found) > 1 else "done"

    def _row(self, call: Call) -> dict[str, object]:
        return {
            "key": call.key,
            "operation": call.operation,
            "entity": call.entity,
            "parameters": orjson.dumps(call.parameters, option=orjson.OPT_SORT_KEYS).decode(),
            "undoes": call.undoes or None,
            "written_at": int(self._wall() * SECOND),
        }
