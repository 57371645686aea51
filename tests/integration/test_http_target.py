"""An HTTP target over a real network: TLS, connections that hang, answers without end."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from config.clock import SECOND
from config.effects import Call, Reply
from config.targets import load_targets
from replay.target import Service, serving
from replay.target_shop import Shop
from sinks.http_target import HttpTarget
from tests.support.kafka_security import make_certificates
from tests.support.remedies import targets_file
from tests.support.target import KEYS


def call(timeout: int = 5 * SECOND) -> Call:
    now = time.time_ns() // 1_000
    entity = "customer:alice"
    return Call("a1", 1, "do", "crm", "send_message", "k1", entity, now, timeout, now + 10 * SECOND)


def ask(folder: Path, url: str, one: Call, **changed: Any) -> Reply:
    target = HttpTarget(load_targets(targets_file(folder, url, **changed)).by_name["crm"])
    try:
        return target.carry_out(one)
    finally:
        target.close()


@contextmanager
def answering(answer: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve connections by `answer`; yield the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)

    def serve() -> None:
        while True:
            try:
                connection = listener.accept()[0]
                connection = context.wrap_socket(connection, server_side=True) if context else connection
                with connection:
                    answer(connection)
            except ssl.SSLError:
                continue
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def take(connection: socket.socket) -> None:
    """Read a request to its end: what is left unread would reset the connection."""
    got = b""
    while not got.endswith(b"}"):
        got += connection.recv(65_536)


def done(connection: socket.socket) -> None:
    take(connection)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n{"status":"done"}')


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


def test_an_effect_over_http(tmp_path: Path) -> None:
    shop = Shop()
    with serving(Service(shop, KEYS)) as url:
        assert ask(tmp_path, url, call()).result == "done"
        assert ask(tmp_path, url, call()).result == "done"
    assert shop.numbers("customer:alice")["messages"] == 1
    shop.close()


def test_over_tls_only_a_certificate_of_the_authority_named_is_trusted(tmp_path: Path, certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "broker.pem", certificates / "broker.key")
    with answering(done, context) as address:
        trusted = {"ca_file": str(certificates / "ca.pem")}
        assert ask(tmp_path, f"https://{address}", call(), **trusted).result == "done"
        for other in ({}, {"ca_file": str(certificates / "stranger-ca.pem")}):
            reply = ask(tmp_path, f"https://{address}", call(), **other)
            assert (reply.result, reply.failed) == ("not-sent", True)
        # The certificate is of 127.0.0.1, whatever name leads there.
        named = ask(tmp_path, f"https://localhost:{address.partition(':')[2]}", call(), **trusted)
        assert named.result == "not-sent"


def test_a_target_that_accepts_and_says_nothing_is_given_up_in_time(tmp_path: Path) -> None:
    with answering(lambda connection: time.sleep(3)) as address:
        began = time.monotonic()
        reply = ask(tmp_path, f"http://{address}", call(timeout=SECOND // 4))
        assert (reply.result, reply.failed) == ("unknown", True)
        assert time.monotonic() - began < 2.5


def test_an_answer_that_drips_is_given_up_in_time(tmp_path: Path) -> None:
    def drip(connection: socket.socket) -> None:
        take(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
        for _ in range(60):
            connection.sendall(b" ")
            time.sleep(0.05)

    with answering(drip) as address:
        began = time.monotonic()
        reply = ask(tmp_path, f"http://{address}", call(timeout=SECOND // 4))
        assert reply.result == "unknown"
        assert time.monotonic() - began < 2.5


def test_where_nobody_listens_nothing_was_sent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert ask(tmp_path, f"http://127.0.0.1:{port}", call()).result == "not-sent"


def test_proxies_of_the_environment_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with answering(done) as address:
        assert ask(tmp_path, f"http://{address}", call()).result == "done"
