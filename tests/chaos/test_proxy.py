"""The proxy before a broker: it hands requests on whole, and fails exactly as it is told."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.kafka import free_port
from tests.support.proxy import END_TXN, Proxy

PRODUCE = 0
SHORT_S = 0.3
LONG_S = 5.0


def request(kind: int, correlation: int, body: bytes = b"body") -> bytes:
    content = struct.pack(">hhi", kind, 3, correlation) + body
    return struct.pack(">i", len(content)) + content


def answer(correlation: int) -> bytes:
    content = struct.pack(">i", correlation) + b"well"
    return struct.pack(">i", len(content)) + content


class Echo:
    """A broker that answers each request with its correlation id, and remembers when it got which."""

    def __init__(self, port: int) -> None:
        self.got: list[tuple[int, float]] = []
        self._server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while head := connection.recv(4, socket.MSG_WAITALL):
                content = connection.recv(struct.unpack(">i", head)[0], socket.MSG_WAITALL)
                correlation = struct.unpack(">i", content[4:8])[0]
                self.got.append((correlation, time.monotonic()))
                try:
                    connection.sendall(answer(correlation))
                except OSError:
                    return


@pytest.fixture
def broker() -> Iterator[tuple[Echo, Proxy, int]]:
    inner, outer = free_port(), free_port()
    echo, proxy = Echo(inner), Proxy(outer, inner)
    yield echo, proxy, outer
    proxy.close()
    echo.close()


def connected(port: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(LONG_S)
    return client


def read(client: socket.socket) -> bytes:
    """Return an answer; b"" if the connection was broken."""
    try:
        return client.recv(len(answer(0)), socket.MSG_WAITALL)
    except ConnectionError:
        return b""


def test_requests_and_answers_are_handed_on(broker: tuple[Echo, Proxy, int]) -> None:
    with connected(broker[2]) as client:
        client.sendall(request(PRODUCE, 1, bytes(200_000)) + request(END_TXN, 2))
        assert [read(client), read(client)] == [answer(1), answer(2)]


def test_a_cut_breaks_connections_and_refuses_new_ones_until_it_is_healed(broker: tuple[Echo, Proxy, int]) -> None:
    _, proxy, port = broker
    with connected(port) as client:
        client.sendall(request(PRODUCE, 1))
        assert read(client) == answer(1)
        proxy.cut()
        assert read(client) == b""
    with connected(port) as client:
        assert read(client) == b""
    proxy.heal()
    with connected(port) as client:
        client.sendall(request(PRODUCE, 2))
        assert read(client) == answer(2)


def test_what_is_held_arrives_when_it_is_healed(broker: tuple[Echo, Proxy, int]) -> None:
    echo, proxy, port = broker
    with connected(port) as client:
        client.sendall(request(PRODUCE, 1))
        assert read(client) == answer(1)
        proxy.hold()
        time.sleep(SHORT_S / 3)
        client.sendall(request(PRODUCE, 2))
        client.settimeout(SHORT_S)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert len(echo.got) == 1
        proxy.heal()
        client.settimeout(LONG_S)
        assert read(client) == answer(2)


def test_a_commit_whose_answer_is_lost_has_reached_the_broker(broker: tuple[Echo, Proxy, int]) -> None:
    echo, proxy, port = broker
    proxy.lose_commits(1)
    with connected(port) as client:
        client.sendall(request(PRODUCE, 1))
        assert read(client) == answer(1)
        client.sendall(request(END_TXN, 2))
        assert read(client) == b""
    assert [correlation for correlation, _ in echo.got] == [1, 2]
    with connected(port) as client:
        client.sendall(request(END_TXN, 3))
        assert read(client) == answer(3)
    assert proxy.seen.lost == 1


def test_a_late_commit_reaches_the_broker_when_its_client_is_gone(broker: tuple[Echo, Proxy, int]) -> None:
    echo, proxy, port = broker
    proxy.delay_commits(1, SHORT_S)
    with connected(port) as client:
        client.sendall(request(END_TXN, 1))
        assert read(client) == b""
    cut_at = time.monotonic()
    assert echo.got == []
    while not echo.got:
        assert time.monotonic() - cut_at < LONG_S
        time.sleep(0.01)
    assert echo.got[0][1] - cut_at > SHORT_S / 2
