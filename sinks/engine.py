"""How the store is reached: URLs, connections, and what its database says when it cannot.

All that is particular to one database stands here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from config.errors import StoreError, UsageError

BUSY_TIMEOUT_S = 30
"""How long a writer waits for another one before it gives up."""

CACHE_KIB = 65_536
"""SQLite's page cache: ids are random, so the index over them is written all over."""

REMEDIES = {
    "full": "Free space on its disk and start again; nothing is lost.",
    "locked": "Stop the other process that writes to it, or wait for it.",
    "readonly": "Give this user the right to write the file and its folder.",
    "unable to open": "Check that the folder exists and that this user may write there.",
    "not a database": "Check --store: the file is something else, or damaged; restore it from a backup.",
    "malformed": "Restore the file and its recovery folder from a backup of the same moment.",
    "I/O": "Check the disk; then start again.",
}


def store_path(url: str) -> Path | None:
    """Return the file of an SQLite store, or None where the store is a server's.

    Raises:
        UsageError: `url` is no URL of a store.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise UsageError(f"{url!r} names no file.", remedy="Write the store as sqlite:///path/of/store.db.")
    return Path(parsed.database)


def parse_url(url: str) -> URL:
    """Return `url` taken apart.

    Raises:
        UsageError: `url` is no URL.
    """
    try:
        return make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise UsageError(
            "That is not the URL of a store.", remedy="Write the store as sqlite:///path/of/store.db."
        ) from error


def make_engine(url: URL, *, new: bool = False) -> sa.Engine:
    """Return an engine whose transactions are durable when they end, and whose writers wait for each other.

    Args:
        url: Where the database is.
        new: Whether its file is to be made; only then is the file's journal mode chosen, which stays with the file.

    Raises:
        UsageError: no driver is known or installed for such a database.
    """
    # Statements and errors never show parameters: those are our data.
    try:
        if url.get_backend_name() != "sqlite":
            return sa.create_engine(url, isolation_level="READ COMMITTED", pool_pre_ping=True, hide_parameters=True)
        engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True)
    except (sa.exc.ArgumentError, ImportError) as error:
        raise UsageError(
            f"A store at {url.drivername}://… cannot be reached: there is no driver for it here.",
            remedy="Write the store as sqlite:///path/of/store.db.",
        ) from error

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # we begin transactions ourselves: the driver would begin them too late
        pragmas = ("synchronous=FULL", f"cache_size=-{CACHE_KIB}")
        for pragma in ("journal_mode=WAL", *pragmas) if new else pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


@contextmanager
def faults(name: str) -> Iterator[None]:
    """Turn what the database refuses into errors of ours that name the store.

    Raises:
        StoreError: Whatever went wrong in the database.
    """
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        # Only the database's own first line: SQLAlchemy's message quotes the parameters, that is, our data.
        said = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
        remedy = next((text for word, text in REMEDIES.items() if word.lower() in said.lower()), "")
        raise StoreError(f"Store {name}: {said}.", remedy=remedy or "Check the store.") from error
