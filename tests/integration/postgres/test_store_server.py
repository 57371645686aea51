"""A store in PostgreSQL: what only a server can do to it, and what it does to a server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from config.errors import FencedError, StoreError, UsageError
from sinks import postgres as backend
from sinks.audit import verify_chain
from sinks.chain import GENESIS, Entry, canonical, link
from sinks.part_writer import PartWriter
from sinks.schema import progress
from sinks.server_lock import lock_server
from sinks.store import Store
from tests.support.postgres import PASSWORD, USER, Server

PARTS = ["part-000", "part-001"]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def server(postgres_server: Any) -> Server:
    """The server of this run, if it is ours."""
    if not isinstance(postgres_server, Server):
        pytest.skip("the server of FORESTALL_TEST_POSTGRES is not ours to change")
    return postgres_server


@pytest.fixture
def durable(server: Server) -> Iterator[Server]:
    """Another server, one that syncs what it commits, to be stopped and started by the test."""
    made = Server(durable=True)
    yield made
    made.remove()


def begun(url: str) -> Store:
    store = Store.open(url, create=True)
    store.begin_run(PARTS, "job")
    return store


def opened(store: Store, part: str = "part-000") -> PartWriter:
    return store.open_part(part, 0, [GENESIS])


def made(*ids: str, part: str = "part-000") -> list[Entry]:
    entries, head = list[Entry](), GENESIS
    for seq, id_ in enumerate(ids, 1):
        body = canonical({"id": id_})
        head = link(head, part, seq, "finding", id_, 7, "key", body)
        entries.append(Entry(seq, "finding", id_, 7, "key", body, head))
    return entries


def test_second_job_on_a_store_is_refused_as_long_as_the_first_lives(postgres: str) -> None:
    with Store.open(postgres, create=True) as first, Store.open(postgres) as second:
        with lock_server(first), pytest.raises(StoreError, match="in use by another job"), lock_server(second):
            pass
        with lock_server(second):
            pass


def test_lock_goes_with_the_process_that_held_it(postgres: str) -> None:
    program = (
        "import sys, time\nfrom sinks.server_lock import lock_server\nfrom sinks.store import Store\n"
        "with lock_server(Store.open(sys.argv[1], create=True)):\n    print('locked', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, postgres]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=dict(os.environ)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with Store.open(postgres) as store:
            with pytest.raises(StoreError, match="in use"), lock_server(store):
                pass
            process.kill()
            process.wait()
            deadline = time.monotonic() + 10
            while True:
                try:
                    with lock_server(store):
                        break
                except StoreError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)


def test_stores_of_two_databases_do_not_lock_each_other(server: Server) -> None:
    one, other = (Store.open(server.database(), create=True) for _ in range(2))
    with one, other, lock_server(one), lock_server(other):
        pass


def test_password_is_taken_from_a_file_and_from_nowhere_else(server: Server, tmp_path: Path) -> None:
    name = server.database().partition("@/")[2].partition("?")[0]
    url, passfile = server.by_password(name)
    with Store.open(f"{url}?passfile={passfile}", create=True) as store:
        assert store.counts() == {}
        assert PASSWORD not in store.name
    with pytest.raises(StoreError, match=r"no password supplied.*Name a password file"):
        Store.open(f"{url}?passfile={_empty(tmp_path)}")
    bad, wrong = server.by_password(name, "wrong")
    with pytest.raises(StoreError, match=r"password authentication failed.*Check user and password file") as raised:
        Store.open(f"{bad}?passfile={wrong}")
    assert "wrong" not in str(raised.value)
    passfile.chmod(0o640)
    with pytest.raises(UsageError, match=r"Others may read the password file .* Remedy: chmod 600"):
        Store.open(f"{url}?passfile={passfile}")
    with pytest.raises(UsageError, match="Password file /absent: No such file"):
        Store.open(f"{url}?passfile=/absent")
    with pytest.raises(UsageError, match="is a relative path"):
        Store.open(f"{url}?passfile=absent")


def _empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty"
    path.touch(0o600)
    return path


@pytest.mark.parametrize(
    "url", ["postgresql://me:s3cret@host/db", "postgresql://me@host/db?password=s3cret", "postgres://me:s3cret@host"]
)
def test_password_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match=r"holds a password.*passfile=") as raised:
        Store.open(url, create=True)
    assert "s3cret" not in str(raised.value)


def test_server_database_and_user_that_are_not_there_are_named(server: Server) -> None:
    away = f"postgresql://{USER}@127.0.0.1:1/db"
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/db: .*refused.*Check that the server runs"):
        Store.open(away, create=True)
    with pytest.raises(StoreError, match=r'database "absent" does not exist.*`createdb`'):
        Store.open(server.url("absent").render_as_string(), create=True)
    with pytest.raises(StoreError, match=r'role "nobody" does not exist.*`createuser`'):
        Store.open(server.url().set(username="nobody").render_as_string(), create=True)


def test_schema_of_others_is_left_alone(server: Server) -> None:
    url = server.database()
    with closing(server.connect(url.partition("@/")[2].partition("?")[0])) as connection:
        connection.execute("CREATE TABLE theirs (x int)")
    for create in (False, True):
        with pytest.raises(StoreError, match="no store of Forestall"):
            Store.open(url, create=create)


def test_two_who_make_a_store_at_once_make_one(postgres: str) -> None:
    failures: list[BaseException] = []

    def make() -> None:
        try:
            Store.open(postgres, create=True).close()
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_commits_are_on_disk_whatever_the_server_is_set_to(server: Server) -> None:
    url = server.database()
    name = url.partition("@/")[2].partition("?")[0]
    with closing(server.connect()) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off'.encode())
    with begun(url) as store, store.begin() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
    with closing(server.connect()) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = remote_apply'.encode())
    with Store.open(url) as store, store.begin() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "remote_apply"


@pytest.mark.slow
def test_process_that_hangs_in_a_transaction_does_not_hold_up_its_successor(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "SESSION", backend.SESSION.replace(f"'{backend.IDLE_IN_TRANSACTION_S}s'", "'1s'"))
    with begun(postgres) as hung, Store.open(postgres) as successor:
        zombie, stuck = opened(hung), hung.begin()
        stuck.__enter__().execute(progress.update().values(done=True))
        began = time.monotonic()
        owner = opened(successor)  # waits for the row
        assert 0.5 < time.monotonic() - began < 10
        with pytest.raises(StoreError):
            stuck.__exit__(None, None, None)
        with pytest.raises(FencedError):
            zombie.release(made("a"))
        owner.release(made("a"))
        assert successor.counts() == {"finding": 1}


@pytest.mark.slow
def test_parts_that_bring_the_same_outputs_at_once_store_each_once(postgres: str) -> None:
    ids = [f"id-{number}" for number in range(300)]
    with begun(postgres) as store:
        releases = {"part-000": made(*ids), "part-001": made(*reversed(ids), part="part-001")}
        for _ in range(3):
            threads = [
                threading.Thread(target=opened(store, part).release, args=(entries,))
                for part, entries in releases.items()
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert store.counts() == {"finding": 300}
            assert store.totals()["repeats"] == 300
            assert verify_chain(store) == {"part-000": 300, "part-001": 300}
            with store.begin() as connection:
                for table in ("outputs", "repeats"):
                    connection.execute(sa.text(f"DELETE FROM {table}"))
                connection.execute(progress.update().values(seq=0, head=GENESIS))


def test_reader_sees_one_state_while_a_writer_goes_on(postgres: str) -> None:
    with begun(postgres) as store, Store.open(postgres) as other:
        writer, entries = opened(store), made(*(str(number) for number in range(200)))
        writer.release(entries[:100])
        with other.read() as connection:
            before = connection.execute(sa.select(progress.c.seq).where(progress.c.part == "part-000")).scalar_one()
            writer.release(entries)
            after = connection.execute(sa.text("SELECT count(*) FROM outputs")).scalar_one()
        assert (before, after) == (100, 100)


def test_nobody_writes_as_a_reader(postgres: str) -> None:
    with begun(postgres) as store, pytest.raises(StoreError, match="read-only"), store.read() as connection:
        connection.execute(progress.delete())


@pytest.mark.slow
def test_release_survives_a_crash_of_the_server_and_what_was_confirmed_is_there(durable: Server) -> None:
    with begun(durable.database()) as store:
        writer = opened(store)
        entries = made(*(str(number) for number in range(4_000)))
        confirmed, failures = [0], list[BaseException]()

        def release() -> None:
            try:
                for upto in range(20, 4_001, 20):
                    writer.release(entries[:upto])
                    confirmed[0] = upto
            except StoreError as error:
                failures.append(error)

        thread = threading.Thread(target=release)
        thread.start()
        for _ in range(3):
            time.sleep(0.3)
            durable.stop(signal.SIGQUIT)
            promised = confirmed[0]
            durable.start()
            assert store.counts().get("finding", 0) >= promised
        thread.join(120)
        assert failures == []
        assert store.counts() == {"finding": 4_000}
        assert verify_chain(store)["part-000"] == 4_000


@pytest.mark.slow
def test_server_that_stays_away_stops_the_release(durable: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.place.BUSY_TIMEOUT_S", 1.0)
    with begun(durable.database()) as store:
        writer = opened(store)
        durable.stop()
        began = time.monotonic()
        with pytest.raises(StoreError, match="Check that the server runs") as raised:
            writer.release(made("a"))
        assert raised.value.retry
        assert 1.0 <= time.monotonic() - began < 20
        durable.start()
        writer.release(made("a"))
        assert store.counts() == {"finding": 1}
