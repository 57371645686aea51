"""One job on one store, where the store is on a server and has no file to lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from config.errors import StoreError
from sinks.engine import faults
from sinks.store import Store

JOB_LOCK = 0x6A6F6273  # "jobs"


@contextmanager
def lock_server(store: Store) -> Iterator[None]:
    """Keep a second job away from `store`, as long as the server sees this process; a file's store is left as it is.

    The lock is a session's, so it goes with the process that took it or with the server. Workers do not inherit it:
    those that outlive their supervisor are stopped by the fence. A pooler that hands sessions from one client to the
    next has to be passed by.

    Raises:
        StoreError: Another job holds the lock, or the server cannot be reached.
    """
    if store.url.get_backend_name() != "postgresql":
        yield
        return
    # One store per schema; hashed, since the lock is a number.
    place = sa.func.hashtext(sa.func.current_schema())
    with faults(store.name, store.remedies), store.session() as connection:
        if not connection.execute(sa.select(sa.func.pg_try_advisory_lock(JOB_LOCK, place))).scalar_one():
            raise StoreError(
                f"The store {store.name} is in use by another job.",
                remedy="Wait until it ends or stop it; `SELECT client_addr, pid FROM pg_stat_activity JOIN pg_locks "
                "USING (pid) WHERE locktype = 'advisory'` names who holds it.",
            )
        yield
