"""A place in a database: how it is opened, read, written and brought to today's tables, whatever it holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL

from config.errors import StoreError
from sinks.engine import BUSY_TIMEOUT_S, REMEDIES, faults, open_database, parse_url, store_path

RETRY_S = 0.2
MIGRATION_LOCK = 0x666F7265  # "fore"

R = TypeVar("R")


@dataclass(frozen=True)
class Kind:
    """What a place holds, and how it got its tables."""

    name: str
    """What messages call it."""
    revision: str
    """The newest of its steps."""
    versions: str
    """Folder of its steps in `sinks/migrations`."""
    version_table: str
    """The table that tells which steps it has had."""
    made_by: str
    """The command that makes one."""
    shares: bool = False
    """Whether it may lie beside tables that are not its own."""


class Place:
    """A place in a database. Safe to share between threads; each process opens its own."""

    kind: ClassVar[Kind]

    def __init__(self, url: URL, *, new: bool = False) -> None:
        self.url = url
        self.name = url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)
        self._database = open_database(url, new=new)

    @classmethod
    def open(cls, url: str, *, create: bool = False, upgrade: bool = True) -> Self:
        """Open what is at `url`; bring an older one to today's tables.

        Args:
            url: `sqlite:///path`, or `postgresql://user@host/database` without a password.
            create: Make it where there is none.
            upgrade: Leave an older one as it is when False: for those who only look.

        Raises:
            UsageError: `url` is no URL, or holds a password.
            StoreError: There is none, it is of a newer version, or cannot be read.
        """
        parsed = parse_url(url)
        path = store_path(url)
        if path is not None and not path.exists():
            if not create:
                raise StoreError(
                    f"There is no {cls.kind.name} at {path}.",
                    remedy=f"Check --{cls.kind.name}, or run `{cls.kind.made_by}` first.",
                )
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                message = f"{cls.kind.name.capitalize()} {path}: {error.strerror}."
                raise StoreError(message, remedy=REMEDIES["unable to open"]) from error
        place = cls(parsed, new=path is not None and create and not (path.exists() and path.stat().st_size))
        try:
            if upgrade:
                place._migrate(create)
            else:
                place.revision()
        except BaseException:
            place.close()
            raise
        return place

    def close(self) -> None:
        """Close all connections."""
        self._database.writer.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def remedies(self) -> Mapping[str, str]:
        """What to do, by a word of what the database says."""
        return self._database.remedies

    @contextmanager
    def session(self) -> Iterator[sa.Connection]:
        """Yield a connection of its own, outside transactions, for what belongs to a session."""
        engine = self._database.writer.execution_options(isolation_level="AUTOCOMMIT")
        connection = engine.connect()
        try:
            connection.detach()  # what it holds goes with it, not back into the pool
            yield connection
        finally:
            connection.close()

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Yield a connection in a transaction that writes; it commits at the end.

        Raises:
            StoreError: Whatever the database refuses, naming the store.
        """
        with faults(self.name, self.remedies), self._database.writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yield a connection that sees one state of the store and keeps nobody from writing.

        Raises:
            StoreError: Whatever the database refuses, naming the store.
        """
        with faults(self.name, self.remedies), self._database.reader.connect() as connection:
            yield connection

    def patiently(self, transact: Callable[[], R]) -> R:
        """Return what `transact` returns, tried again for a while where the database was away or undid it.

        Args:
            transact: One transaction, which may come a second time though the first did well.

        Raises:
            StoreError: The database is away for too long, or refuses.
        """
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                return transact()
            except StoreError as error:
                if not self._database.is_transient(error.__cause__ or error) or time.monotonic() > deadline:
                    raise
            time.sleep(RETRY_S)

    def revision(self) -> str:
        """Return the version of its tables.

        Raises:
            StoreError: It has none, or is of a newer version.
        """
        with self.read() as connection:
            return str(self._revision(connection, create=False))

    def _migrate(self, create: bool) -> None:
        with self.read() as connection:
            revision = self._revision(connection, create=create)
        if revision == self.kind.revision:
            return
        from sinks.migrations.run import upgrade

        with self.begin() as connection:
            if connection.dialect.name == "postgresql":  # where two could make the same tables at once
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            if self._revision(connection, create=create) != self.kind.revision:
                upgrade(connection, self.kind.versions, self.kind.version_table)

    def _revision(self, connection: sa.Connection, *, create: bool) -> str | None:
        """Return the version of its tables; None where they may be made."""
        kind, tables = self.kind, sa.inspect(connection).get_table_names()
        if kind.version_table in tables:
            found = str(connection.execute(sa.text(f"SELECT version_num FROM {kind.version_table}")).scalar_one())
            if found > kind.revision:
                name = f"{kind.name.capitalize()} {self.name}"
                raise StoreError(
                    f"{name} has version {found}, this program knows up to {kind.revision}.",
                    remedy=f"Use the newer Forestall that made it, or name another {kind.name}.",
                )
            return found
        if (tables and not kind.shares) or not create:
            raise StoreError(f"{self.name} is no {kind.name} of Forestall.", remedy=f"Check --{kind.name}.")
        return None
