"""A store in PostgreSQL: how its server is reached, and what is particular to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import errors
from sqlalchemy.engine import URL

from config.errors import UsageError

PATIENCE_S = 30
"""How long a writer waits for another one, or for a server that is away, before it gives up."""

IDLE_IN_TRANSACTION_S = 20
"""After so long a stopped process loses its open transaction, and with it the rows it holds against its successor."""

CONNECT_ARGS: dict[str, Any] = {
    "application_name": "forestall",
    "connect_timeout": 10,
    # A server that is gone without a word is noticed in half a minute, not in two hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}

SESSION = (
    f"SELECT set_config('lock_timeout', '{PATIENCE_S}s', false),"
    f" set_config('idle_in_transaction_session_timeout', '{IDLE_IN_TRANSACTION_S}s', false),"
    # A commit that is not on disk when it returns is none of ours; a stricter choice of the server's stays.
    " CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END"
)

DRIVERS = ("postgresql", "postgres", "postgresql+psycopg")
SECRETS = ("password", "sslpassword")

TRANSIENT = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.DeadlockDetected,
    errors.IdleInTransactionSessionTimeout,
    errors.SerializationFailure,
    errors.TooManyConnections,
)

AWAY = (
    "connection refused",
    "connection is closed",
    "connection timeout expired",
    "connection is lost",
    "consuming input failed",
    "no such file",
    "server closed the connection",
    "sending query failed",
    "the database system is",
    "timeout expired",
    "too many clients",
)
"""What is said without a code of the server's: there was no server, or no session yet, to give one."""

REMEDIES = {
    "password authentication failed": "Check user and password file (?passfile=… in the URL, or PGPASSFILE).",
    "no password supplied": "Name a password file, readable by its owner only: ?passfile=… in the URL, or PGPASSFILE.",
    'database "': "Check the database's name in --store, or create it: `createdb`.",
    'role "': "Check the user's name in --store, or create it: `createuser`.",
    "permission denied": "Give this user the rights to create and write tables in the schema.",
    "could not extend": "Free space on the server's disk and start again; nothing is lost.",
    "no space left": "Free space on the server's disk and start again; nothing is lost.",
    "read-only": "Name the primary server: this one is a standby, or set to read only.",
    "lock timeout": "Stop the other process that writes to it, or wait for it.",
    "too many": "Raise the server's max_connections, or stop what holds them.",
    "connection": "Check that the server runs and is reached at the host and port in --store; then start again.",
}


def checked(url: URL) -> URL:
    """Return `url` with the driver we use.

    Raises:
        UsageError: It holds a password, which the list of processes and the shell's history would show to others, or
            a relative path, which workers would look for elsewhere.
    """
    if url.password is not None or any(name in url.query for name in SECRETS):
        raise UsageError(
            "The URL of the store holds a password, where others can read it.",
            remedy="Leave it out, and put it into a password file, readable by its owner only: "
            "postgresql://user@host/db?passfile=/path/of/file, or PGPASSFILE=/path/of/file.",
        )
    passfile = url.query.get("passfile")
    if isinstance(passfile, str):
        _check_passfile(Path(passfile))
    if url.drivername not in DRIVERS:
        raise UsageError(
            f"A store at {url.drivername}://… cannot be reached: there is no driver for it here.",
            remedy="Write the store as postgresql://user@host/db.",
        )
    return url.set(drivername="postgresql+psycopg")


def _check_passfile(path: Path) -> None:
    """Refuse what the database's library would pass over in silence, to say later that there is no password."""
    if not path.is_absolute():
        raise UsageError(f"The password file {path} is a relative path.", remedy="Give it in full: ?passfile=/path.")
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"Password file {path}: {error.strerror}.", remedy="Correct ?passfile=… in --store.") from None
    if mode & 0o077:
        raise UsageError(f"Others may read the password file {path}.", remedy=f"chmod 600 {path}")


def make_engine(url: URL) -> sa.Engine:
    """Return an engine whose transactions are durable when they end, and whose writers wait for each other."""
    engine = sa.create_engine(
        checked(url),
        connect_args={name: value for name, value in CONNECT_ARGS.items() if name not in url.query},
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        hide_parameters=True,
    )

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _: object) -> None:
        connection.execute(SESSION)
        connection.commit()

    return engine


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may do well when it is tried again."""
    said = getattr(error, "orig", None)
    if isinstance(said, TRANSIENT):
        return True
    if not isinstance(said, psycopg.OperationalError) or said.sqlstate is not None:
        return False
    words = str(said).lower()
    return any(word in words for word in AWAY)
