"""One statement for many rows, past SQLAlchemy's work on each parameter, which costs as much as the statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import Executable

Row = Sequence[Any]


class Many:
    """A statement, and the names of what each of its rows holds.

    Args:
        statement: Its parameters bear the names.
        names: In the order of a row.
    """

    def __init__(self, statement: Executable, names: Sequence[str]) -> None:
        self._statement, self._names = statement, tuple(names)
        self._compiled: dict[str, tuple[str, tuple[int, ...] | None]] = {}

    def __call__(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        """Run the statement once for each of `rows`."""
        if not rows:
            return
        text, order = self._by_dialect(connection.dialect)
        if order is None:
            connection.execute(self._statement, [dict(zip(self._names, row, strict=True)) for row in rows])
        elif order == tuple(range(len(self._names))):
            connection.exec_driver_sql(text, [tuple(row) for row in rows])
        else:
            connection.exec_driver_sql(text, [tuple(row[place] for place in order) for row in rows])

    def _by_dialect(self, dialect: sa.Dialect) -> tuple[str, tuple[int, ...] | None]:
        if dialect.name not in self._compiled:
            statement: Any = self._statement
            compiled = statement.compile(dialect=dialect)
            order = None
            if compiled.positional and compiled.positiontup:
                order = tuple(self._names.index(name) for name in compiled.positiontup)
            self._compiled[dialect.name] = (str(compiled), order)
        return self._compiled[dialect.name]


def inserting(table: sa.Table) -> Many:
    """Return what inserts whole rows of `table`."""
    return Many(table.insert(), [column.name for column in table.columns])


class _Inserting:
    """Inserts whole rows of a table."""

    def __init__(self, table: sa.Table) -> None:
        names = [column.name for column in table.columns]
        keys = [column.name for column in table.primary_key.columns]
        self._by_dialect: dict[str, Many] = {}
        for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql)):
            self._by_dialect[name] = Many(self._or_else(dialect.insert(table), names, keys), names)

    def _or_else(self, statement: Any, names: Sequence[str], keys: Sequence[str]) -> Executable:
        """Return the statement with what it does where a primary key is there already."""
        raise NotImplementedError

    def __call__(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        """Write `rows`."""
        self._by_dialect[connection.dialect.name](connection, rows)


class Upserting(_Inserting):
    """Inserts whole rows of a table, or takes the place of those with the same primary key."""

    def _or_else(self, statement: Any, names: Sequence[str], keys: Sequence[str]) -> Executable:
        rest = {column: statement.excluded[column] for column in names if column not in keys}
        changed: Executable = statement.on_conflict_do_update(index_elements=keys, set_=rest)
        return changed


class InsertingNew(_Inserting):
    """Inserts whole rows of a table, and leaves those alone that have the same primary key."""

    def _or_else(self, statement: Any, names: Sequence[str], keys: Sequence[str]) -> Executable:
        kept: Executable = statement.on_conflict_do_nothing(index_elements=keys)
        return kept


def updating(table: sa.Table, key: str, names: Sequence[str]) -> Many:
    """Return what updates the columns `names` of the row whose `key` stands first."""
    changed: Any = {name: sa.bindparam(name) for name in names}
    statement = table.update().where(table.c[key] == sa.bindparam(f"_{key}")).values(changed)
    return Many(statement, [f"_{key}", *names])
