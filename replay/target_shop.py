"""The systems of a shop that a remedy acts on, as a database with rules: customer messages and tickets, credits and
refunds, holds, shipments, pages, releases.

Every effect stands in a table under its idempotency key, together with what was answered, in one transaction; so it
happens once however often it is asked for. What it changes can be read: numbers of an entity, such as its messages.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from config.errors import UsageError


class Operation(NamedTuple):
    """Something a system does."""

    field: str
    """The number of the entity that it raises."""
    amount: str = ""
    """The parameter that says by how much, in hundredths; by one without."""
    inverse: str = ""
    """What takes it back; nothing does without."""


OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "crm": {
        "send_message": Operation("messages", inverse="withdraw_message"),
        "open_ticket": Operation("tickets", inverse="close_ticket"),
        "add_note": Operation("notes", inverse="remove_note"),
        "suppress_contacts": Operation("suppressed", inverse="resume_contacts"),
    },
    "billing": {
        "credit": Operation("credits", "amount", "reverse_credit"),
        "refund": Operation("refunds", "amount"),
    },
    "payments": {
        "hold": Operation("holds", inverse="release"),
        "open_review": Operation("reviews", inverse="close_review"),
    },
    "logistics": {
        "expedite": Operation("expedited", inverse="cancel_expedite"),
        "replace": Operation("replacements", inverse="cancel_replacement"),
    },
    "pager": {"page": Operation("pages", inverse="resolve_page")},
    "releases": {"roll_back": Operation("rollbacks", inverse="roll_forward")},
}

FIELDS = sorted({operation.field for named in OPERATIONS.values() for operation in named.values()} | {"trouble"})
"""What is known of an entity; `trouble` is 1 until something helped."""

TABLES = """
CREATE TABLE IF NOT EXISTS effects (
  key TEXT PRIMARY KEY, system TEXT NOT NULL, operation TEXT NOT NULL, entity TEXT NOT NULL, body BLOB NOT NULL,
  status TEXT NOT NULL, undoes TEXT, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL,
  again INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS numbers (
  entity TEXT NOT NULL, field TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (entity, field));
CREATE TABLE IF NOT EXISTS refusals (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, key TEXT NOT NULL, path TEXT NOT NULL, why TEXT NOT NULL);
"""


Run = Callable[..., sqlite3.Cursor]
"""Runs a statement with its values, within a transaction."""


class Refused(Exception):
    """A request that is not obeyed; nothing was changed."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Answer(NamedTuple):
    """What is answered."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Order(NamedTuple):
    """A request for an effect, taken apart."""

    key: str
    system: str
    operation: str
    body: bytes
    expires: float = float("inf")
    """Until when it may be obeyed, seconds since the epoch."""

    @property
    def path(self) -> str:
        """Where it was sent."""
        return f"/{self.system}/{self.operation}"


def _check_own(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse the database of somebody else, before anything is written into it."""
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError:
        tables = {""}
    if tables and not {"effects", "answers", "numbers", "refusals"} <= tables:
        connection.close()
        raise UsageError(
            f"{path}: this is no database of a target system.",
            remedy="Name a new file, or one that `forestall target --db` has made.",
        )


class Shop:
    """The systems and their database.

    Args:
        path: Its file; made when it is not there. None for one in memory.
        keyless: Systems that know no idempotency keys: what is asked for twice is done twice.

    Raises:
        UsageError: the file is something else.
    """

    def __init__(self, path: Path | None = None, keyless: frozenset[str] = frozenset()) -> None:
        self._lock, self._keyless = threading.Lock(), keyless
        self._connection = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        if path is not None:
            _check_own(self._connection, path)
            self._connection.execute("PRAGMA journal_mode=WAL")
        # What a killed process has committed stays; only a loss of power would cost it.
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(TABLES)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    def obey(self, order: Order, now: float, *, helps: bool = True, spills: bool = False) -> Answer:
        """Bring the effect about, once, and return the answer; the same answer when it was there.

        Args:
            order: What to do.
            now: Seconds since the epoch.
            helps: Whether the entity's trouble ends with it.
            spills: Whether something else changes too, which should not.

        Raises:
            Refused: it is not obeyed, and nothing was changed.
        """
        fingerprint = sha256(order.path.encode() + b"\0" + order.body).digest()
        with self._transaction() as run:
            known = run("SELECT fingerprint, status, body, again FROM answers WHERE key = ?", order.key).fetchone()
            if known is not None and order.system in self._keyless:
                run("UPDATE answers SET again = again + 1 WHERE key = ?", order.key)
                order = order._replace(key=f"{order.key}#{known[3] + 2}")
            elif known is not None:
                if known[0] != fingerprint:
                    raise Refused(422, "this idempotency key was used for another request")
                run("UPDATE answers SET again = again + 1 WHERE key = ?", order.key)
                return Answer(known[1], known[2])
            if now > order.expires:
                raise Refused(408, "the request has expired")
            self._apply(run, order, now, helps=helps, spills=spills)
            body = orjson.dumps({"status": "done", "key": order.key})
            run("INSERT INTO answers VALUES (?, ?, 200, ?, 0)", order.key, fingerprint, body)
            return Answer(200, body)

    def effect(self, key: str) -> dict[str, Any] | None:
        """Return what became of the effect under a key, if there is any."""
        with self._transaction() as run:
            query = "SELECT key, system, operation, entity, status, undoes FROM effects WHERE key = ?"
            row = run(query, key).fetchone()
        return row and dict(zip(("key", "system", "operation", "entity", "status", "undoes"), row, strict=True))

    def numbers(self, entity: str) -> dict[str, int]:
        """Return what is known of an entity."""
        with self._transaction() as run:
            found = dict(run("SELECT field, number FROM numbers WHERE entity = ?", entity).fetchall())
        return {field: found.get(field, int(field == "trouble")) for field in FIELDS}

    def effects(self) -> list[dict[str, Any]]:
        """Return all effects, in the order of their keys, for those who compare."""
        names = ("key", "system", "operation", "entity", "status", "undoes", "body", "at")
        with self._transaction() as run:
            rows = run(f"SELECT {', '.join(names)} FROM effects ORDER BY key").fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def refuse(self, key: str, path: str, why: str, now: float) -> None:
        """Take note of a request that was not obeyed."""
        with self._transaction() as run:
            run("INSERT INTO refusals (at, key, path, why) VALUES (?, ?, ?, ?)", now, key, path, why)

    def refusals(self) -> list[tuple[str, str, str]]:
        """Return (key, path, why) of what was not obeyed, in order."""
        with self._transaction() as run:
            return run("SELECT key, path, why FROM refusals ORDER BY n").fetchall()

    def _apply(self, run: Run, order: Order, now: float, *, helps: bool, spills: bool) -> None:
        operations = OPERATIONS.get(order.system, {})
        content = _content(order.body)
        entity = content.get("entity")
        if not isinstance(entity, str) or not entity:
            raise Refused(400, "entity is missing")
        undoes = None
        if order.operation in operations:
            operation = operations[order.operation]
            amount = _amount(operation, content)
        else:
            undone = next((one for one in operations.values() if one.inverse == order.operation), None)
            if undone is None:
                raise Refused(404, f"{order.path} is nothing that can be done here")
            undoes = content.get("undoes")
            operation, amount = undone, -self._take_back(run, order, undoes, operations)
        self._raise(run, entity, operation.field, amount)
        if helps:
            self._raise(run, entity, "trouble", -self._number(run, entity, "trouble", 1) if undoes is None else 1)
        if spills:
            self._raise(run, entity, "notes" if operation.field != "notes" else "tickets", 1)
        row = (order.key, order.system, order.operation, entity, order.body, "done", undoes, now)
        run("INSERT INTO effects VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *row)

    def _take_back(self, run: Run, order: Order, undoes: object, operations: Mapping[str, Operation]) -> int:
        """Mark the effect `undoes` as undone; return by how much it had raised its number."""
        query = "SELECT system, operation, status, body FROM effects WHERE key = ?"
        row = run(query, undoes).fetchone() if isinstance(undoes, str) else None
        if row is None or row[0] != order.system or row[1] not in operations:
            raise Refused(404, "there is no effect to undo")
        if operations[row[1]].inverse != order.operation:
            raise Refused(422, f"{order.operation} does not undo {row[1]}")
        if row[2] != "done":
            raise Refused(409, "the effect is undone already")
        run("UPDATE effects SET status = 'undone' WHERE key = ?", undoes)
        return _amount(operations[row[1]], _content(row[3]))

    def _number(self, run: Run, entity: str, field: str, absent: int) -> int:
        row = run("SELECT number FROM numbers WHERE entity = ? AND field = ?", entity, field).fetchone()
        return absent if row is None else int(row[0])

    def _raise(self, run: Run, entity: str, field: str, amount: int) -> None:
        number = self._number(run, entity, field, int(field == "trouble")) + amount
        run("INSERT OR REPLACE INTO numbers VALUES (?, ?, ?)", entity, field, number)

    @contextmanager
    def _transaction(self) -> Iterator[Run]:
        with self._lock:
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield lambda statement, *values: connection.execute(statement, values)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(content, dict):
        raise Refused(400, "the body is no object")
    return content


def _amount(operation: Operation, content: Mapping[str, Any]) -> int:
    if not operation.amount:
        return 1
    amount = content.get(operation.amount)
    if not isinstance(amount, int | float) or isinstance(amount, bool) or not 0 < amount < 1e9:
        raise Refused(422, f"{operation.amount} is no amount of money")
    return round(amount * 100)
