"""A real PostgreSQL server for tests: Debian's programs, its own folder, a Unix socket and a port of loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from tests.support.kafka import free_port

EXTERNAL = "FORESTALL_TEST_POSTGRES"
USER = "forestall"
PASSWORD = "of the tests: %40"
INSTALL = f"install it (Debian: apt-get install postgresql), or set {EXTERNAL} to the URL of one"
START_S = 30.0


class Unavailable(Exception):
    """This machine has no PostgreSQL for tests; the message says how to get it."""


class Server:
    """A server that tests may stop, kill and start again.

    Args:
        durable: Whether it syncs what it commits; tests that do not look at this are quicker without.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._bin = _programs()
        self._as = _user()
        # In a place that the server's user can reach, which the test run's own folders are not.
        self.folder = Path(tempfile.mkdtemp(prefix="forestall-postgres-", dir="/tmp"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._empty: list[str] = []
        """Names of databases that were given back, empty again."""
        if self._as:
            shutil.chown(self.folder, "postgres")
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        more = [f"--username={USER}", f"--pwfile={password}", "--auth-local=trust", "--auth-host=scram-sha-256"]
        self._run("initdb", "-D", str(self._data), "--encoding=UTF8", "--locale=C", "--no-sync", *more)
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "on" if durable else "off",
            "shared_buffers": "32MB",
        }
        self.start()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self.folder / "log"

    def url(self, database: str = "postgres") -> URL:
        """Return the URL of a database by the socket, where no password is asked for."""
        query = {"host": str(self.folder), "port": str(self.port)}
        return URL.create("postgresql", username=USER, database=database, query=query)

    def by_password(self, database: str, password: str = PASSWORD) -> tuple[str, Path]:
        """Return the URL of a database by its port, and the password file that opens it."""
        passfile = self.folder / f"passfile-{uuid.uuid4().hex}"
        passfile.touch(0o600)
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        passfile.write_text(f"*:*:*:{USER}:{escaped}\n")
        url = URL.create("postgresql", username=USER, host="127.0.0.1", port=self.port, database=database)
        return url.render_as_string(), passfile

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._as, str(self._bin / "postgres"), "-D", str(self._data), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with suppress(psycopg.OperationalError), closing(self.connect()):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start: {self.log.read_text()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends its sessions, SIGQUIT is as a loss of power to it."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self._postmaster(), how)
        self._process.wait(START_S)
        self._process = None

    def remove(self) -> None:
        """Stop it and remove all that it kept."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _postmaster(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Return a connection of the administrator, outside transactions."""
        return psycopg.connect(host=str(self.folder), port=self.port, user=USER, dbname=database, autocommit=True)

    def database(self) -> str:
        """Return the URL of an empty database: a fresh one, or one that was given back."""
        if self._empty:
            return self.url(self._empty.pop()).render_as_string()
        name = f"t{uuid.uuid4().hex[:12]}"
        with closing(self.connect()) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} STRATEGY file_copy").format(sql.Identifier(name)))
        return self.url(name).render_as_string()

    def give_back(self, url: str) -> None:
        """Empty a database and keep it for others, unless somebody is still connected to it.

        To make one costs 300 files, and to remove it at the end as many again.
        """
        name = make_url(url).database
        assert name is not None
        with suppress(psycopg.OperationalError), closing(self.connect(name)) as connection:
            others = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
            found = connection.execute(others, (name,)).fetchone()
            if found == (0,):
                connection.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(sql.Identifier(name)))
                connection.execute("DROP SCHEMA public CASCADE")
                connection.execute("CREATE SCHEMA public")
                self._empty.append(name)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([*self._as, str(self._bin / program), *arguments], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")


class ExternalServer:
    """A server that runs already, named by `FORESTALL_TEST_POSTGRES`; databases are made in it and left there."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)

    def database(self) -> str:
        """Make a fresh database; return its URL."""
        name = f"forestall_test_{uuid.uuid4().hex[:12]}"
        plain = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} STRATEGY file_copy").format(sql.Identifier(name)))
        return self._url.set(database=name).render_as_string(hide_password=False)

    def give_back(self, url: str) -> None:
        """Leave the database as it is."""

    def remove(self) -> None:
        """Leave it as it is."""


def _programs() -> Path:
    """Return the folder of the newest server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path is None:
        raise Unavailable(f"no PostgreSQL server: {INSTALL}")
    return Path(on_path).parent


def _user() -> Sequence[str]:
    """Return how to become another user, since the server refuses to be root."""
    if os.geteuid() != 0:
        return ()
    with suppress(KeyError):
        pwd.getpwnam("postgres")
        if shutil.which("setpriv"):
            return ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=KILL", "--")
    raise Unavailable("PostgreSQL does not run as root, and there is no user postgres, or no setpriv, to run it as")
