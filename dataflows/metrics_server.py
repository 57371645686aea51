"""Answers GET of `/metrics`, `/health/live` and `/health/ready`.

It reads the files the workers map (see `config/instruments.py`), so it answers whatever the workers are doing.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from dataflows.readings import Readings

TEXT = "text/plain; charset=utf-8"
HUNG_AFTER_S = 60.0
"""The supervisor looks at its workers many times a second; silent for so long, it hangs."""
REQUEST_S = 5.0
"""A client that takes longer to ask, or to take the answer, is left."""
CONNECTIONS_MAX = 16
"""At the same time; more are turned away."""


class Exporter:
    """Answers for one job.

    Args:
        readings: What its workers say.
        stalled_after: See `config.settings.Metrics`.
        idle_timeout: See `config.settings.Time`.
    """

    def __init__(self, readings: Readings, stalled_after: timedelta, idle_timeout: timedelta) -> None:
        self._readings = readings
        self._spans = stalled_after.total_seconds(), idle_timeout.total_seconds()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._beaten = time.monotonic()

    def beat(self) -> None:
        """Note that the supervisor is alive."""
        self._beaten = time.monotonic()

    def collect(self) -> Iterator[Any]:
        """Yield all metrics as they are now: as a collector of `prometheus_client`."""
        yield from self._readings.families(time.time(), self.hindrance() is None)

    def hindrance(self) -> str | None:
        """Return why the job is not ready, None if it is."""
        return self._readings.health().hindrance(time.time(), *self._spans)

    def answer(self, path: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        """Return status, content type and body for a GET of `path`."""
        if path == "/metrics":
            encode, content_type = choose_encoder(accept)
            return HTTPStatus.OK, content_type, encode(self._registry)
        if path == "/health/live":
            hangs = time.monotonic() - self._beaten > HUNG_AFTER_S
            return self._verdict("the supervisor hangs" if hangs else None, "alive")
        if path == "/health/ready":
            return self._verdict(self.hindrance(), "ready")
        return self._text(HTTPStatus.NOT_FOUND, "There are /metrics, /health/live and /health/ready.")

    def _verdict(self, hindrance: str | None, well: str) -> tuple[HTTPStatus, str, bytes]:
        if hindrance is None:
            return self._text(HTTPStatus.OK, well)
        return self._text(HTTPStatus.SERVICE_UNAVAILABLE, f"not {well}: {hindrance}")

    def _text(self, status: HTTPStatus, text: str) -> tuple[HTTPStatus, str, bytes]:
        return status, TEXT, f"{text}\n".encode()


class Server(ThreadingHTTPServer):
    """Listens, and lets an exporter answer.

    Args:
        address: Host and port.
        exporter: Who answers.
    """

    daemon_threads = True
    request_queue_size = 4 * CONNECTIONS_MAX
    block_on_close = False

    def __init__(self, address: tuple[str, int], exporter: Exporter) -> None:
        self.exporter = exporter
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, if one is free."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and be free again."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients come and go."""


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_S
    server: Server
    server_version = "forestall"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer; a fault of ours is an answer too, and fails no job."""
        path = self.path.partition("?")[0]
        try:
            status, content_type, body = self.server.exporter.answer(path, self.headers.get("Accept", ""))
        except Exception as error:
            status, content_type = HTTPStatus.INTERNAL_SERVER_ERROR, TEXT
            body = f"cannot read the metrics: {type(error).__name__}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a scrape is no event."""
