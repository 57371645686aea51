"""The exporter answers what is asked, turns away what is too much, and listens where it is told and nowhere else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from config.errors import EnvironmentFault
from config.instruments import FOLDER, prepare
from config.settings import Metrics
from dataflows import metrics_server
from dataflows.exporter import exporting
from dataflows.metrics_server import Exporter, Server
from dataflows.readings import Readings
from tests.support.commands import eventually
from tests.support.metrics import series, value
from tests.support.prometheus import fetch, free_port

IDLE_TIMEOUT = timedelta(seconds=30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prepare(tmp_path / FOLDER, 1)
    return tmp_path / FOLDER


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    exporter = Exporter(Readings(folder, 1), timedelta(seconds=30), IDLE_TIMEOUT)
    with Server(("127.0.0.1", 0), exporter) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def url(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.server_port}{path}"


def test_each_path_has_its_answer(server: Server) -> None:
    status, page = fetch(url(server, "/metrics?name=x"))
    assert status == 200
    assert value(series(page), "forestall_ready") == 0
    assert fetch(url(server, "/health/live")) == (200, "alive\n")
    assert fetch(url(server, "/health/ready")) == (503, "not ready: worker process 0 does not run\n")
    assert fetch(url(server, "/")) == (404, "There are /metrics, /health/live and /health/ready.\n")


def test_openmetrics_is_spoken_to_who_asks_for_it(server: Server) -> None:
    _, content_type, body = server.exporter.answer("/metrics", "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_a_supervisor_that_hangs_is_not_alive(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(metrics_server, "time", SimpleNamespace(monotonic=lambda: now, time=lambda: now))
    server.exporter.beat()
    now = 59.0
    assert server.exporter.answer("/health/live", "")[0] == 200
    now = 61.0
    assert fetch(url(server, "/health/live")) == (503, "not alive: the supervisor hangs\n")
    server.exporter.beat()
    assert server.exporter.answer("/health/live", "")[0] == 200


def test_a_damaged_file_is_an_answer_and_not_the_end(server: Server, folder: Path) -> None:
    (folder / "counter_0.db").write_bytes(b"\x7f" * 64)
    status, page = fetch(url(server, "/metrics"))
    assert status == 500
    assert page.startswith("cannot read the metrics: ")
    assert fetch(url(server, "/health/live"))[0] == 200


def test_other_methods_are_refused(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
        connection.sendall(b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert b" 501 " in connection.recv(100)


def test_more_clients_than_are_allowed_are_turned_away(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(metrics_server.CONNECTIONS_MAX):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.server_port)))
        eventually(lambda: fetch(url(server, "/health/live"))[0] == 0, "the next one is turned away")
    eventually(lambda: fetch(url(server, "/health/live"))[0] == 200, "there is room again")


def test_a_client_that_keeps_silent_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server._Handler, "timeout", 0.1)
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as silent:
        silent.sendall(b"GET /metr")
        assert silent.recv(1) == b""


def settings(host: str, port: int) -> Metrics:
    return Metrics(host=host, port=port, stalled_after=timedelta(seconds=30))


def test_exporting_prepares_the_folder_serves_and_stops(tmp_path: Path) -> None:
    port = free_port()
    with exporting(settings("127.0.0.1", port), tmp_path, 2, IDLE_TIMEOUT) as alive:
        alive()
        assert (tmp_path / FOLDER / "counter_1.db").exists()
        assert fetch(f"http://127.0.0.1:{port}/health/live")[0] == 200
    assert fetch(f"http://127.0.0.1:{port}/health/live")[0] == 0


def test_without_a_port_nothing_is_served_nor_counted(tmp_path: Path) -> None:
    prepare(tmp_path / FOLDER, 1)
    with exporting(settings("127.0.0.1", 0), tmp_path, 1, IDLE_TIMEOUT) as alive:
        alive()
        assert not (tmp_path / FOLDER).exists()
        assert not any(thread.name == "exporter" for thread in threading.enumerate())


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_address_of_ipv6_is_one_too(tmp_path: Path) -> None:
    port = free_port()
    with exporting(settings("::1", port), tmp_path, 1, IDLE_TIMEOUT):
        assert fetch(f"http://[::1]:{port}/health/live")[0] == 200


def test_a_port_that_is_taken_is_said_before_workers_start(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(EnvironmentFault, match=rf"served at 127.0.0.1:{port}: Address already in use") as raised,
            exporting(settings("127.0.0.1", port), tmp_path, 1, IDLE_TIMEOUT),
        ):
            pass
    assert "metrics.port" in raised.value.remedy


def test_a_host_that_is_none_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(EnvironmentFault, match=r"cannot be served at nowhere\.invalid:9464"),
        exporting(settings("nowhere.invalid", 9464), tmp_path, 1, IDLE_TIMEOUT),
    ):
        pass
