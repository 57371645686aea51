"""A target system to act on, for tests and demonstrations: a real HTTP service with its own database.

    POST /<system>/<operation>      brings an effect about; `Idempotency-Key` as in the IETF's draft
    GET  /<system>/effects/<key>    what became of the effect under an idempotency key; 404 where there is none
    GET  /<system>/state?entity=E   what is known of an entity, as numbers
    GET  /health                    200

All but the last are signed (`config/http_signature.py`), and nothing is obeyed after its signature has expired. It
can be told to misbehave (`replay/target_faults.py`).
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs

import orjson

from config.errors import EnvironmentFault
from config.http_signature import IDEMPOTENCY_KEY, SignatureError, Target, verify
from replay.target_faults import Fault, Faults
from replay.target_shop import OPERATIONS, Answer, Order, Refused, Shop

BODY_BYTES_MAX = 65_536
HUGE_BYTES = 4 << 20
IDLE_S = 30.0
"""A connection without a request for so long is closed."""

_KEY = re.compile(r'"([!-~]{1,128})"')
"""A key as the draft has it: a string of structured fields (RFC 8941), in quotation marks."""


class Request(NamedTuple):
    """A request as it arrives."""

    method: str
    target: Target
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes = b""

    @property
    def key(self) -> str:
        """The key it is about: of its header, or at the end of its path."""
        found = _KEY.fullmatch(self.headers.get(IDEMPOTENCY_KEY, ""))
        return found[1] if found else self.target.path.rpartition("/")[2]


class Service:
    """Answers requests. Safe to share between threads.

    Args:
        shop: The systems and their database.
        keys: Secrets that requests are signed with, by key id.
        faults: What goes wrong.
    """

    def __init__(self, shop: Shop, keys: Mapping[str, bytes], faults: Faults | None = None) -> None:
        self.shop, self._keys, self._faults = shop, keys, faults or Faults()
        self._lock = threading.Lock()
        self._busy: set[str] = set()

    def fault(self, request: Request) -> Fault:
        """Return what goes wrong with a request: whoever calls waits so long as it says, then asks for the answer."""
        with self._lock:
            return self._faults.draw(request.method, request.target.path, request.key)

    def answer(self, request: Request, fault: Fault, now: float) -> Answer | None:
        """Do what is asked for; return the answer, None for a connection that is closed without one.

        Args:
            request: What is asked for.
            fault: What goes wrong with it.
            now: Seconds since the epoch.
        """
        if request.target.path == "/health":
            return Answer(200, b'{"status":"ok"}')
        try:
            expires = verify(request.target, request.headers, request.body, self._keys, now)
            answer = self._faulty(request, fault, now, expires)
        except SignatureError as error:
            answer = self._refusal(request, 401, str(error), now)
        except Refused as refused:
            answer = self._refusal(request, refused.status, refused.why, now)
        if fault.name in ("lose_request", "lose_reply"):
            return None
        if fault.name == "garbage":
            return Answer(200, b"<html>It works!</html>")
        if fault.name == "huge":
            return Answer(200, b" " * HUGE_BYTES)
        return problem(500, "something broke") if fault.name == "fail_after" else answer

    def _faulty(self, request: Request, fault: Fault, now: float, expires: float) -> Answer:
        match fault.name:
            case "fail_before":
                return problem(500, "something broke")
            case "lose_request":
                return problem(500, "lost")
            case "refuse":
                return self._refusal(request, 422, "told to refuse", now)
            case "throttle":
                return problem(429, "too many requests", ("Retry-After", "1"))
            case "lie":
                return Answer(200, orjson.dumps({"status": "done", "key": request.key}))
            case "redirect":
                return problem(307, "elsewhere", ("Location", "http://169.254.169.254/latest"))
            case "duplicate":
                self._obey(request, fault, now, expires)
        return self._obey(request, fault, now, expires)

    def _obey(self, request: Request, fault: Fault, now: float, expires: float) -> Answer:
        system, _, rest = request.target.path.lstrip("/").partition("/")
        if system not in OPERATIONS:
            raise Refused(404, "there is no such system")
        if request.method == "GET":
            return self._read(system, rest, request)
        key = _KEY.fullmatch(request.headers.get(IDEMPOTENCY_KEY, ""))
        if key is None:
            raise Refused(400, "Idempotency-Key is missing, or is no string in quotation marks")
        with self._alone(key[1]):
            order = Order(key[1], system, rest, request.body, expires)
            return self.shop.obey(order, now, helps=fault.name != "useless", spills=fault.name == "spill")

    def _read(self, system: str, rest: str, request: Request) -> Answer:
        what, _, key = rest.partition("/")
        if what == "effects" and key:
            if key in self._busy:
                return Answer(200, orjson.dumps({"key": key, "status": "in progress"}))
            effect = self.shop.effect(key)
            if effect is None or effect["system"] != system:
                return problem(404, "there is no effect under this key")
            return Answer(200, orjson.dumps(effect))
        if rest == "state":
            entities = parse_qs(request.target.query).get("entity", [])
            if len(entities) == 1:
                return Answer(200, orjson.dumps(self.shop.numbers(entities[0])))
        raise Refused(404, "there is nothing to read there")

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Keep a second request with the same key away while the first is worked on, as the draft asks for."""
        with self._lock:
            if key in self._busy:
                raise Refused(409, "a request with this idempotency key is being worked on")
            self._busy.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(key)

    def _refusal(self, request: Request, status: int, why: str, now: float) -> Answer:
        self.shop.refuse(request.key, request.target.path, why, now)
        return problem(status, why)


def problem(status: int, why: str, *headers: tuple[str, str]) -> Answer:
    """Return an answer that tells a problem (RFC 9457)."""
    return Answer(status, orjson.dumps({"type": "about:blank", "status": status, "title": why}), headers)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    service: Service
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer a request that only asks."""
        self._respond(b"")

    def do_POST(self) -> None:
        """Answer a request for an effect."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and int(length) <= BODY_BYTES_MAX):
            self.close_connection = True
            self._send(problem(413, f"a body is needed, of at most {BODY_BYTES_MAX} bytes"))
            return
        self._respond(self.rfile.read(int(length)))

    def _respond(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        target = Target(self.command, headers.get("host", ""), path, query)
        request = Request(self.command, target, headers, body)
        fault = self.service.fault(request)
        time.sleep(fault.hold_s)
        answer = self.service.answer(request, fault, time.time())
        if answer is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json" if answer.status == 200 else "application/problem+json")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        try:
            self.wfile.write(answer.body)
        except ConnectionError:
            self.close_connection = True  # whoever asked has stopped listening

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: paths and keys are those of customers."""


@contextmanager
def serving(service: Service, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve for as long as the block runs; yield the address, `http://host:port`.

    Raises:
        EnvironmentFault: the port cannot be listened on.
    """
    handler = type("Handler", (_Handler,), {"service": service})
    try:
        server = ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise EnvironmentFault(
            f"{host}:{port} cannot be listened on: {error.strerror}.", remedy="Name another --port; 0 takes a free one."
        ) from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
