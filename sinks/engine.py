"""How the store is reached: URLs, connections, and what its database says when it cannot.

All that is particular to one database stands here for SQLite, and in `sinks/postgres.py` for PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from config.errors import StoreError, UsageError

BUSY_TIMEOUT_S = 30
"""How long a writer waits for another one before it gives up."""

CACHE_KIB = 65_536
"""SQLite's page cache: ids are random, so the index over them is written all over."""
CHECKPOINT_PAGES = 8_000
"""Pages of SQLite's write-ahead log, 32 MB, after which it is written into the file: that waits for the disk twice."""

FORMS = "Write the store as sqlite:///path/of/store.db or postgresql://user@host/db."

REMEDIES = {
    "full": "Free space on its disk and start again; nothing is lost.",
    "locked": "Stop the other process that writes to it, or wait for it.",
    "readonly": "Give this user the right to write the file and its folder.",
    "unable to open": "Check that the folder exists and that this user may write there.",
    "not a database": "Check the URL: the file is something else, or damaged; restore it from a backup.",
    "malformed": "Restore the file and its recovery folder from a backup of the same moment.",
    "I/O": "Check the disk; then start again.",
}


@dataclass(frozen=True)
class Database:
    """A database as its store uses it."""

    writer: sa.Engine
    """Its transactions are durable when they end; writers wait for each other."""
    reader: sa.Engine
    """Of the same connections: a transaction sees one state of the store, and keeps nobody from writing."""
    remedies: Mapping[str, str]
    """What to do, by a word of what the database says."""
    is_transient: Callable[[BaseException], bool]
    """Whether a transaction that failed so may do well when it is tried again."""


def store_path(url: str) -> Path | None:
    """Return the file of an SQLite store, or None where the store is a server's.

    Raises:
        UsageError: `url` is no URL of a store.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise UsageError(f"{url!r} names no file.", remedy=FORMS)
    return Path(parsed.database)


def parse_url(url: str) -> URL:
    """Return `url` taken apart.

    Raises:
        UsageError: `url` is no URL, or holds a secret.
    """
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise UsageError("That is not the URL of a store.", remedy=FORMS) from error
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        from sinks import postgres

        return postgres.checked(parsed)
    if backend != "sqlite":
        raise UsageError(f"A store cannot be kept at {parsed.drivername}://….", remedy=FORMS)
    return parsed


def open_database(url: URL, *, new: bool = False) -> Database:
    """Return the database at `url`, whether it is there or not.

    Args:
        url: As `parse_url` returns it.
        new: Whether its file is to be made; only then is the file's journal mode chosen, which stays with the file.
    """
    if url.get_backend_name() != "sqlite":
        from sinks import postgres

        engine = postgres.make_engine(url)
        reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return Database(engine, reader, postgres.REMEDIES, postgres.is_transient)
    engine = _sqlite_engine(url, new=new)
    return Database(engine, engine.execution_options(reads=True), REMEDIES, lambda error: False)


def _sqlite_engine(url: URL, *, new: bool) -> sa.Engine:
    # Statements and errors never show parameters: those are our data.
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # we begin transactions ourselves: the driver would begin them too late
        pragmas = ("synchronous=FULL", f"cache_size=-{CACHE_KIB}", f"wal_autocheckpoint={CHECKPOINT_PAGES}")
        for pragma in ("journal_mode=WAL", *pragmas) if new else pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


@contextmanager
def faults(name: str, remedies: Mapping[str, str] = REMEDIES) -> Iterator[None]:
    """Turn what the database refuses into errors of ours that name the store.

    Raises:
        StoreError: Whatever went wrong in the database.
    """
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        # Only the database's own first line: SQLAlchemy's message quotes the parameters, that is, our data.
        said = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
        remedy = next((text for word, text in remedies.items() if word.lower() in said.lower()), "")
        raise StoreError(f"Store {name}: {said}.", remedy=remedy or "Check the store.") from error
